// The vector vocabulary on AVX-512: 16 floats. Counts of the _n functions are 1 ... 15.
typedef __m512 vec;
enum { LANES = 16 };

ALWAYS_INLINE vec v_zero(void) { return _mm512_setzero_ps(); }
ALWAYS_INLINE vec v_set1(float x) { return _mm512_set1_ps(x); }
ALWAYS_INLINE vec v_load(const float *p) { return _mm512_loadu_ps(p); }
ALWAYS_INLINE void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
ALWAYS_INLINE __mmask16 v_mask(size_t n) { return (__mmask16)((1u << n) - 1); }
ALWAYS_INLINE vec v_load_n(const float *p, size_t n) { return _mm512_maskz_loadu_ps(v_mask(n), p); }
ALWAYS_INLINE void v_store_n(float *p, vec x, size_t n) { _mm512_mask_storeu_ps(p, v_mask(n), x); }
/// Lanes from n on become 0.
ALWAYS_INLINE vec v_first(vec x, size_t n) { return _mm512_maskz_mov_ps(v_mask(n), x); }
ALWAYS_INLINE vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
ALWAYS_INLINE vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
ALWAYS_INLINE vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
ALWAYS_INLINE vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
ALWAYS_INLINE vec v_sqrt(vec a) { return _mm512_sqrt_ps(a); }
/// a * b + c
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
/// Where one is NaN: b.
ALWAYS_INLINE vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
ALWAYS_INLINE vec v_abs(vec a) { return _mm512_abs_ps(a); }
/// The sign of b on the magnitude of a, which is not negative.
ALWAYS_INLINE vec v_with_sign(vec a, vec b) {
    return _mm512_or_ps(a, _mm512_and_ps(b, _mm512_set1_ps(-0.0f)));
}
ALWAYS_INLINE vec v_round(vec a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// x * 2^n for whole n.
ALWAYS_INLINE vec v_scale(vec x, vec n) { return _mm512_scalef_ps(x, n); }
/// As above.
ALWAYS_INLINE vec v_add_exponent(vec x, vec n) { return v_scale(x, n); }
/// x without the nearest whole number: -1/2 ... 1/2, exactly.
ALWAYS_INLINE vec v_rest(vec x) {
    return _mm512_reduce_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// The nearest whole number of x, whose rest is known.
ALWAYS_INLINE vec v_whole(vec x, vec rest) { return v_sub(x, rest); }
/// Halves, then neighbours: see row_sums.h.
ALWAYS_INLINE float v_sum(vec a) {
    __m256 halves = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
    x = _mm_add_ps(x, _mm_movehdup_ps(x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehl_ps(x, x)));
}
ALWAYS_INLINE float v_highest(vec a) { return _mm512_reduce_max_ps(a); }
ALWAYS_INLINE vec v_from_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
ALWAYS_INLINE vec v_from_bf16(const uint16_t *p) {
    __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}
ALWAYS_INLINE vec v_from_i8(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
/// LANES nibbles from LANES / 2 bytes, the low half of each first, minus 8.
ALWAYS_INLINE vec v_from_nibbles(const uint8_t *p) {
    __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
    __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
    __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    __m128i nibbles = _mm_sub_epi8(_mm_unpacklo_epi8(low, high), _mm_set1_epi8(8));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(nibbles));
}
/// LANES integers as floats.
ALWAYS_INLINE vec v_from_i32(const int32_t *a) {
    return _mm512_cvtepi32_ps(_mm512_loadu_si512(a));
}
/// a[i] - b[i] * factor as floats.
ALWAYS_INLINE vec v_from_difference(const int32_t *a, const int32_t *b, int32_t factor) {
    __m512i product = _mm512_mullo_epi32(_mm512_loadu_si512(b), _mm512_set1_epi32(factor));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(a), product));
}
/// LANES numbers, rounded to nearest even, plus an offset; the low bytes of what comes out.
ALWAYS_INLINE void v_to_i8(int8_t *p, vec x, int offset) {
    __m512i whole = _mm512_add_epi32(_mm512_cvtps_epi32(x), _mm512_set1_epi32(offset));
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(whole));
}
