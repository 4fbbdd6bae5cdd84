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

/// The largest magnitude; NaN if that is in the first numbers, up to a multiple of 16.
static float largest_of(const float *x, size_t count) {
    float32x4_t most[4] = {vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0), vdupq_n_f32(0)};
    size_t i = 0;
#pragma clang loop unroll_count(2)
    for (; i + 16 <= count; i += 16) {
        for (size_t v = 0; v < 4; v++) {
            most[v] = vmaxq_f32(most[v], vabsq_f32(vld1q_f32(x + i + 4 * v)));
        }
    }
    float largest = vmaxvq_f32(vmaxq_f32(vmaxq_f32(most[0], most[1]), vmaxq_f32(most[2], most[3])));
    for (; i < count; i++) {
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    }
    return largest;
}

/// Products that are numbers and fit 8 bits as they are, so that their low bytes are all there is.
ALWAYS_INLINE int16x8_t fitting_eight(const float *x, float32x4_t inverse) {
    int32x4_t low = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x), inverse));
    int32x4_t high = vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + 4), inverse));
    return vuzp1q_s16(vreinterpretq_s16_s32(low), vreinterpretq_s16_s32(high));
}

/// As `quantize`, of a multiple of 16 numbers that are all finite and at most 127 when multiplied.
static void quantize_fitting(int8_t *y, const float *x, size_t count, float inverse_scale) {
    float32x4_t inverse = vdupq_n_f32(inverse_scale);
#pragma clang loop unroll_count(2)
    for (size_t i = 0; i + 16 <= count; i += 16) {
        int16x8_t low = fitting_eight(x + i, inverse), high = fitting_eight(x + i + 8, inverse);
        vst1q_s8(y + i, vuzp1q_s8(vreinterpretq_s8_s16(low), vreinterpretq_s8_s16(high)));
    }
}

void quantize_rows_i8_neon(int8_t *y, const float *x, size_t rows, size_t columns) {
    ASSUME(y && x);
    ASSUME(columns > 0);
    size_t stride = QUANTIZED_ROW_STRIDE(columns);
    for (size_t row = 0; row < rows; row++, x += columns, y += stride) {
        float largest = largest_of(x, columns);
        // A row with NaN or infinity, or of numbers so small that 1 / scale is infinite, is not known to fit.
        bool is_usual = largest > 1e-30f && largest < INFINITY;
        largest = largest > 0 ? largest : 1;
        size_t fitting = is_usual ? columns / 16 * 16 : 0;
        quantize_fitting(y, x, fitting, 127 / largest);
        quantize(y + fitting, x + fitting, columns - fitting, 127 / largest, 0);
        float scale = largest / 127;
        memcpy(y + stride - sizeof scale, &scale, sizeof scale);
    }
}

#include "../isa_end.h"
#endif
