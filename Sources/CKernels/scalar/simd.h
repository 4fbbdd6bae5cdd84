// The vector vocabulary on single numbers, of which only what is elementwise is used: polynomials of activations and
// the lines of Winograd's transforms are part of the specification as they are written.
#ifndef PIPIT_SCALAR_SIMD_H
#define PIPIT_SCALAR_SIMD_H

typedef float vec;
enum { LANES = 1 };

ALWAYS_INLINE vec v_zero(void) { return 0; }
ALWAYS_INLINE vec v_set1(float x) { return x; }
ALWAYS_INLINE vec v_add(vec a, vec b) { return a + b; }
ALWAYS_INLINE vec v_sub(vec a, vec b) { return a - b; }
ALWAYS_INLINE vec v_mul(vec a, vec b) { return a * b; }
ALWAYS_INLINE vec v_div(vec a, vec b) { return a / b; }
/// a * b + c, rounded once.
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return fmaf(a, b, c); }
/// Where one is NaN: b.
ALWAYS_INLINE vec v_max(vec a, vec b) { return a > b ? a : b; }
ALWAYS_INLINE vec v_min(vec a, vec b) { return a < b ? a : b; }
ALWAYS_INLINE vec v_abs(vec a) { return fabsf(a); }
/// The sign of b on the magnitude of a, which is not negative.
ALWAYS_INLINE vec v_with_sign(vec a, vec b) { return copysignf(a, b); }
ALWAYS_INLINE vec v_round(vec a) { return rintf(a); }
/// 2^n for whole n in -126 ... 127.
ALWAYS_INLINE vec v_pow2(vec n) {
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    vec x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
/// x * 2^n for whole n in -252 ... 252, in two factors, so that results below 2^-126 come out right.
ALWAYS_INLINE vec v_scale(vec x, vec n) {
    if (x != x) {
        return x;
    }
    vec half = rintf(n * 0.5f);
    return x * v_pow2(half) * v_pow2(n - half);
}
/// x * 2^n for x in 1/2 ... 2 and whole n in -120 ... 128, at 128 of x >= 1 infinity.
ALWAYS_INLINE vec v_add_exponent(vec x, vec n) {
    if (x != x) {
        return x;
    }
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += (uint32_t)(int32_t)n << 23;
    memcpy(&x, &bits, sizeof x);
    return x;
}
/// x without the nearest whole number: -1/2 ... 1/2, exactly.
ALWAYS_INLINE vec v_rest(vec x) { return x - rintf(x); }
/// The nearest whole number of x, whose rest is known.
ALWAYS_INLINE vec v_whole(vec x, vec rest) { return x - rest; }

#endif
