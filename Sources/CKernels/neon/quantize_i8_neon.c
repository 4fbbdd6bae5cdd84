// Numbers to 8-bit integers with NEON: 16 at a time, whose conversions saturate by themselves.
#if defined(__aarch64__)
#include "../internal.h"
#include "isa_begin.h"

/// Four numbers to integers; NaN to one far below what 8 bits hold, so that it becomes -128.
ALWAYS_INLINE int32x4_t quantized_four(const float *x, float32x4_t inverse, const int zero_point) {
    float32x4_t t = vmaxnmq_f32(vmulq_f32(vld1q_f32(x), inverse), vdupq_n_f32(-1e9f));
    int32x4_t whole = vcvtnq_s32_f32(t);
    return zero_point ? vqaddq_s32(whole, vdupq_n_s32(zero_point)) : whole;
}

ALWAYS_INLINE int8x16_t quantized_sixteen(const float *x, float32x4_t inverse, const int zero_point) {
    int32x4_t a = quantized_four(x, inverse, zero_point);
    int32x4_t b = quantized_four(x + 4, inverse, zero_point);
    int32x4_t c = quantized_four(x + 8, inverse, zero_point);
    int32x4_t d = quantized_four(x + 12, inverse, zero_point);
    int16x8_t low = vqmovn_high_s32(vqmovn_s32(a), b), high = vqmovn_high_s32(vqmovn_s32(c), d);
    return vqmovn_high_s16(vqmovn_s16(low), high);
}

/// As `quantize_i8`; a zero point of 0 is a constant where this is inlined, and is not added.
ALWAYS_INLINE void quantize(int8_t *y, const float *x, size_t count, float inverse_scale,
                            const int zero_point) {
    float32x4_t inverse = vdupq_n_f32(inverse_scale);
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        vst1q_s8(y + i, quantized_sixteen(x + i, inverse, zero_point));
    }
    if (i < count) {
        float rest[16] = {0};
        int8_t bytes[16];
        memcpy(rest, x + i, (count - i) * sizeof *x);
        vst1q_s8(bytes, quantized_sixteen(rest, inverse, zero_point));
        memcpy(y + i, bytes, count - i);
    }
}

void quantize_i8_neon(int8_t *y, const float *x, size_t count, float inverse_scale, int zero_point) {
    ASSUME(y && x);
    ASSUME(zero_point >= -128 && zero_point <= 127);
    if (zero_point == 0) {
        quantize(y, x, count, inverse_scale, 0);
    } else {
        quantize(y, x, count, inverse_scale, zero_point);
    }
}

/// The least and the greatest number, 0 among them; NaN counts for nothing. Returns whether all are finite.
static bool range_of(const float *x, size_t count, float *low, float *high) {
    float32x4_t most[4], least[4];
    for (size_t v = 0; v < 4; v++) {
        most[v] = least[v] = vdupq_n_f32(0);
    }
    size_t i = 0;
#pragma clang loop unroll_count(2)
    for (; i + 16 <= count; i += 16) {
        for (size_t v = 0; v < 4; v++) {
            most[v] = vmaxq_f32(most[v], vld1q_f32(x + i + 4 * v));
            least[v] = vminq_f32(least[v], vld1q_f32(x + i + 4 * v));
        }
    }
    *high = vmaxvq_f32(vmaxq_f32(vmaxq_f32(most[0], most[1]), vmaxq_f32(most[2], most[3])));
    *low = vminvq_f32(vminq_f32(vminq_f32(least[0], least[1]), vminq_f32(least[2], least[3])));
    bool is_number = *high == *high;
    if (!is_number) {
        *high = *low = 0;
        i = 0;
    }
    for (; i < count; i++) {
        is_number &= x[i] == x[i];
        *high = x[i] > *high ? x[i] : *high;
        *low = x[i] < *low ? x[i] : *low;
    }
    return is_number && *high < INFINITY && *low > -INFINITY;
}

/// Products that are numbers within 16 bits.
ALWAYS_INLINE int16x8_t fitting_eight(const float *x, float32x4_t inverse) {
    int32x4_t low = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x), inverse));
    int32x4_t high = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + 4), inverse));
    return vuzp1q_s16(vreinterpretq_s16_s32(low), vreinterpretq_s16_s32(high));
}

/// As `quantize`, of a multiple of 16 numbers that fit 8 bits without being clamped: low bytes are all there is.
static void quantize_fitting(int8_t *y, const float *x, size_t count, float inverse_scale,
                             int zero_point) {
    float32x4_t inverse = vdupq_n_f32(inverse_scale);
    int8x16_t offset = vdupq_n_s8((int8_t)zero_point);
#pragma clang loop unroll_count(2)
    for (size_t i = 0; i + 16 <= count; i += 16) {
        int16x8_t low = fitting_eight(x + i, inverse), high = fitting_eight(x + i + 8, inverse);
        int8x16_t bytes = vuzp1q_s8(vreinterpretq_s8_s16(low), vreinterpretq_s8_s16(high));
        vst1q_s8(y + i, vaddq_s8(bytes, offset));
    }
}

void quantize_rows_i8_neon(int8_t *y, const float *x, size_t rows, size_t columns) {
    ASSUME(y && x);
    ASSUME(columns > 0);
    size_t stride = QUANTIZED_ROW_STRIDE(columns);
    for (size_t row = 0; row < rows; row++, x += columns, y += stride) {
        float low, high, inverse;
        bool is_finite = range_of(x, columns, &low, &high);
        struct row_quantization own = quantization_of_row(low, high, &inverse);
        size_t fitting = is_finite && high - low < INFINITY ? columns / 16 * 16 : 0;
        quantize_fitting(y, x, fitting, inverse, own.zero_point);
        quantize(y + fitting, x + fitting, columns - fitting, inverse, own.zero_point);
        memcpy(y + stride - sizeof own, &own, sizeof own);
    }
}

#include "../isa_end.h"
#endif
