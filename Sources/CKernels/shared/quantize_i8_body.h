// Numbers to 8-bit integers, over the vocabulary of simd.h.

/// How numbers become integers. They are kept within what 8 bits hold before they are rounded, for which the
/// limits are whole numbers: to limit afterwards would give the same.
struct v_quantizer {
    vec inverse, low, high;
    int zero_point;
};

ALWAYS_INLINE struct v_quantizer quantizer_of(float inverse_scale, int zero_point) {
    return (struct v_quantizer){v_set1(inverse_scale), v_set1((float)(-128 - zero_point)),
                                v_set1((float)(127 - zero_point)), zero_point};
}

/// LANES integers, -128 from NaN.
ALWAYS_INLINE void v_quantize(int8_t *y, vec x, struct v_quantizer quantizer) {
    vec t = v_max(v_mul(x, quantizer.inverse), quantizer.low);
    v_to_i8(y, v_min(t, quantizer.high), quantizer.zero_point);
}

/// As `v_quantize`, of the first `count` lanes.
ALWAYS_INLINE void v_quantize_first(int8_t *y, vec x, struct v_quantizer quantizer, size_t count) {
    if (count >= LANES) {
        v_quantize(y, x, quantizer);
    } else {
        int8_t lanes[LANES];
        v_quantize(lanes, x, quantizer);
        memcpy(y, lanes, count);
    }
}

static __attribute__((unused)) void quantize_i8(int8_t *y, const float *x, size_t count,
                                                float inverse_scale, int zero_point) {
    ASSUME(y && x);
    ASSUME(zero_point >= -128 && zero_point <= 127);
    struct v_quantizer quantizer = quantizer_of(inverse_scale, zero_point);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v_quantize(y + i, v_load(x + i), quantizer);
    }
    if (i < count) {
        v_quantize_first(y + i, v_load_n(x + i, count - i), quantizer, count - i);
    }
}

static __attribute__((unused)) void quantize_rows_i8(int8_t *y, const float *x, size_t rows,
                                                     size_t columns) {
    ASSUME(y && x);
    ASSUME(columns > 0);
    size_t stride = QUANTIZED_ROW_STRIDE(columns);
    for (size_t row = 0; row < rows; row++, x += columns, y += stride) {
        vec highest = v_zero();
        size_t c = 0;
        for (; c + LANES <= columns; c += LANES) {
            highest = v_max(highest, v_abs(v_load(x + c)));
        }
        if (c < columns) {
            highest = v_max(highest, v_abs(v_load_n(x + c, columns - c)));
        }
        float largest = v_highest(highest);
        largest = largest > 0 ? largest : 1;
        quantize_i8(y, x, columns, 127 / largest, 0);
        float scale = largest / 127;
        memcpy(y + stride - sizeof scale, &scale, sizeof scale);
    }
}
