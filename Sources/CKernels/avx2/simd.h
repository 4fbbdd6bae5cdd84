// The vector vocabulary on AVX2 with FMA and F16C: 8 floats. Counts of the _n functions are 1 ... 7.
typedef __m256 vec;
enum { LANES = 8 };

static const int lane_masks[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

ALWAYS_INLINE vec v_zero(void) { return _mm256_setzero_ps(); }
ALWAYS_INLINE vec v_set1(float x) { return _mm256_set1_ps(x); }
ALWAYS_INLINE vec v_load(const float *p) { return _mm256_loadu_ps(p); }
ALWAYS_INLINE void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
ALWAYS_INLINE __m256i v_mask(size_t n) {
    return _mm256_loadu_si256((const __m256i *)(lane_masks + 8 - n));
}
ALWAYS_INLINE vec v_load_n(const float *p, size_t n) { return _mm256_maskload_ps(p, v_mask(n)); }
ALWAYS_INLINE void v_store_n(float *p, vec x, size_t n) { _mm256_maskstore_ps(p, v_mask(n), x); }
/// Lanes from n on become 0.
ALWAYS_INLINE vec v_first(vec x, size_t n) { return _mm256_and_ps(x, _mm256_castsi256_ps(v_mask(n))); }
ALWAYS_INLINE vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
ALWAYS_INLINE vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
ALWAYS_INLINE vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
ALWAYS_INLINE vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
ALWAYS_INLINE vec v_sqrt(vec a) { return _mm256_sqrt_ps(a); }
/// a * b + c
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
/// Where one is NaN: b.
ALWAYS_INLINE vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
ALWAYS_INLINE vec v_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
/// The sign of b on the magnitude of a, which is not negative.
ALWAYS_INLINE vec v_with_sign(vec a, vec b) {
    return _mm256_or_ps(a, _mm256_and_ps(b, _mm256_set1_ps(-0.0f)));
}
ALWAYS_INLINE vec v_round(vec a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// 2^n for whole n in -126 ... 127.
ALWAYS_INLINE vec v_pow2(vec n) {
    __m256i bits = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
}
/// Halves, then neighbours: see row_sums.h.
ALWAYS_INLINE float v_sum(vec a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehdup_ps(x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehl_ps(x, x)));
}
ALWAYS_INLINE float v_highest(vec a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps(x, x, 1)));
}
ALWAYS_INLINE vec v_from_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
ALWAYS_INLINE vec v_from_bf16(const uint16_t *p) {
    __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}
ALWAYS_INLINE vec v_from_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
/// LANES nibbles from LANES / 2 bytes, the low half of each first, minus 8.
ALWAYS_INLINE vec v_from_nibbles(const uint8_t *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    __m128i bytes = _mm_cvtsi32_si128((int)word);
    __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
    __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    __m128i nibbles = _mm_sub_epi8(_mm_unpacklo_epi8(low, high), _mm_set1_epi8(8));
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(nibbles));
}
/// LANES integers as floats.
ALWAYS_INLINE vec v_from_i32(const int32_t *a) {
    return _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)a));
}
/// a[i] - b[i] * factor as floats.
ALWAYS_INLINE vec v_from_difference(const int32_t *a, const int32_t *b, int32_t factor) {
    __m256i product = _mm256_mullo_epi32(_mm256_loadu_si256((const __m256i *)b), _mm256_set1_epi32(factor));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)a), product));
}
/// LANES numbers, rounded to nearest even, plus an offset; the low bytes of what comes out.
ALWAYS_INLINE void v_to_i8(int8_t *p, vec x, int offset) {
    __m256i words = _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(offset));
    __m256i first = _mm256_shuffle_epi8(words, _mm256_set1_epi32(0x0c080400));
    __m128i low = _mm256_castsi256_si128(first), high = _mm256_extracti128_si256(first, 1);
    _mm_storel_epi64((__m128i *)p, _mm_unpacklo_epi32(low, high));
}
/// x * 2^n for whole n in -252 ... 252, in two factors, so that results below 2^-126 come out right.
ALWAYS_INLINE vec v_scale(vec x, vec n) {
    vec half = v_round(v_mul(n, v_set1(0.5f)));
    return v_mul(v_mul(x, v_pow2(half)), v_pow2(v_sub(n, half)));
}
/// x * 2^n for x in 1/2 ... 2 and whole n in -120 ... 128, at 128 of x >= 1 infinity.
ALWAYS_INLINE vec v_add_exponent(vec x, vec n) {
    __m256i bits = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), bits));
}
/// x without the nearest whole number: -1/2 ... 1/2, exactly.
ALWAYS_INLINE vec v_rest(vec x) { return v_sub(x, v_round(x)); }
/// The nearest whole number of x, whose rest is known.
ALWAYS_INLINE vec v_whole(vec x, vec rest) {
    (void)rest;
    return v_round(x);
}
