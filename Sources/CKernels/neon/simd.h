// The vector vocabulary on Advanced SIMD: 4 floats. Counts of the _n functions are 1 ... 3.
typedef float32x4_t vec;
enum { LANES = 4 };

ALWAYS_INLINE vec v_zero(void) { return vdupq_n_f32(0); }
ALWAYS_INLINE vec v_set1(float x) { return vdupq_n_f32(x); }
ALWAYS_INLINE vec v_load(const float *p) { return vld1q_f32(p); }
ALWAYS_INLINE void v_store(float *p, vec x) { vst1q_f32(p, x); }
ALWAYS_INLINE vec v_load_n(const float *p, size_t n) {
    vec x = vld1q_lane_f32(p, vdupq_n_f32(0), 0);
    if (n > 1) x = vld1q_lane_f32(p + 1, x, 1);
    if (n > 2) x = vld1q_lane_f32(p + 2, x, 2);
    return x;
}
ALWAYS_INLINE void v_store_n(float *p, vec x, size_t n) {
    vst1q_lane_f32(p, x, 0);
    if (n > 1) vst1q_lane_f32(p + 1, x, 1);
    if (n > 2) vst1q_lane_f32(p + 2, x, 2);
}
/// Lanes from n on become 0.
ALWAYS_INLINE vec v_first(vec x, size_t n) {
    static const uint32_t masks[6] = {~0u, ~0u, ~0u};
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vld1q_u32(masks + 3 - n)));
}
ALWAYS_INLINE vec v_add(vec a, vec b) { return vaddq_f32(a, b); }
ALWAYS_INLINE vec v_sub(vec a, vec b) { return vsubq_f32(a, b); }
ALWAYS_INLINE vec v_mul(vec a, vec b) { return vmulq_f32(a, b); }
ALWAYS_INLINE vec v_div(vec a, vec b) { return vdivq_f32(a, b); }
ALWAYS_INLINE vec v_sqrt(vec a) { return vsqrtq_f32(a); }
/// a * b + c
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
/// Where one is NaN: NaN.
ALWAYS_INLINE vec v_max(vec a, vec b) { return vmaxq_f32(a, b); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return vminq_f32(a, b); }
ALWAYS_INLINE vec v_abs(vec a) { return vabsq_f32(a); }
/// The sign of b on the magnitude of a, which is not negative.
ALWAYS_INLINE vec v_with_sign(vec a, vec b) {
    return vbslq_f32(vdupq_n_u32(0x80000000u), b, a);
}
ALWAYS_INLINE vec v_round(vec a) { return vrndnq_f32(a); }
/// 2^n for whole n in -126 ... 127.
ALWAYS_INLINE vec v_pow2(vec n) {
    int32x4_t bits = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(bits, 23));
}
/// Neighbours: see row_sums.h.
ALWAYS_INLINE float v_sum(vec a) { return vaddvq_f32(a); }
ALWAYS_INLINE float v_highest(vec a) { return vmaxvq_f32(a); }
ALWAYS_INLINE vec v_from_f16(const uint16_t *p) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
ALWAYS_INLINE vec v_from_bf16(const uint16_t *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
ALWAYS_INLINE vec v_from_i8(const int8_t *p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(word)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
/// LANES nibbles from LANES / 2 bytes, the low half of each first, minus 8.
ALWAYS_INLINE vec v_from_nibbles(const uint8_t *p) {
    uint16_t half;
    memcpy(&half, p, sizeof half);
    uint8x8_t bytes = vreinterpret_u8_u16(vdup_n_u16(half));
    uint8x8_t nibbles = vzip1_u8(vand_u8(bytes, vdup_n_u8(15)), vshr_n_u8(bytes, 4));
    int16x8_t wide = vmovl_s8(vsub_s8(vreinterpret_s8_u8(nibbles), vdup_n_s8(8)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
/// LANES integers as floats.
ALWAYS_INLINE vec v_from_i32(const int32_t *a) {
    return vcvtq_f32_s32(vld1q_s32(a));
}
/// a[i] - b[i] * factor as floats.
ALWAYS_INLINE vec v_from_difference(const int32_t *a, const int32_t *b, int32_t factor) {
    return vcvtq_f32_s32(vmlsq_s32(vld1q_s32(a), vld1q_s32(b), vdupq_n_s32(factor)));
}
/// LANES numbers, rounded to nearest even, plus an offset; the low bytes of what comes out, -128 of NaN.
ALWAYS_INLINE void v_to_i8(int8_t *p, vec x, int offset) {
    int32x4_t whole = vcvtnq_s32_f32(vmaxnmq_f32(x, vdupq_n_f32((float)(-128 - offset))));
    int16x4_t halves = vmovn_s32(vaddq_s32(whole, vdupq_n_s32(offset)));
    uint32_t word = vget_lane_u32(vreinterpret_u32_s8(vmovn_s16(vcombine_s16(halves, halves))), 0);
    memcpy(p, &word, sizeof word);
}
/// x * 2^n for whole n in -252 ... 252, in two factors, so that results below 2^-126 come out right.
ALWAYS_INLINE vec v_scale(vec x, vec n) {
    vec half = v_round(v_mul(n, v_set1(0.5f)));
    return v_mul(v_mul(x, v_pow2(half)), v_pow2(v_sub(n, half)));
}
/// x * 2^n for x in 1/2 ... 2 and whole n in -120 ... 128, at 128 of x >= 1 infinity.
ALWAYS_INLINE vec v_add_exponent(vec x, vec n) {
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), vcvtq_n_s32_f32(n, 23)));
}
/// x without the nearest whole number: -1/2 ... 1/2, exactly.
ALWAYS_INLINE vec v_rest(vec x) { return v_sub(x, v_round(x)); }
/// The nearest whole number of x, whose rest is known.
ALWAYS_INLINE vec v_whole(vec x, vec rest) {
    (void)rest;
    return v_round(x);
}
