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

ALWAYS_INLINE void quantize_by(int8_t *y, const float *x, size_t count, struct v_quantizer quantizer) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v_quantize(y + i, v_load(x + i), quantizer);
    }
    if (i < count) {
        v_quantize_first(y + i, v_load_n(x + i, count - i), quantizer, count - i);
    }
}

static __attribute__((unused)) void quantize_i8(int8_t *y, const float *x, size_t count,
                                                float inverse_scale, int zero_point) {
    ASSUME(y && x);
    ASSUME(zero_point >= -128 && zero_point <= 127);
    quantize_by(y, x, count, quantizer_of(inverse_scale, zero_point));
}

/// As `quantize_rows_i8`; `inverts` sign bits or not, a constant where this is inlined.
ALWAYS_INLINE void quantize_rows(int8_t *y, const float *x, size_t rows, size_t columns,
                                 const bool inverts) {
    ASSUME(y && x);
    ASSUME(columns > 0);
    size_t stride = QUANTIZED_ROW_STRIDE(columns);
    for (size_t row = 0; row < rows; row++, x += columns, y += stride) {
        vec high = v_zero(), low = v_zero();
        size_t c = 0;
        for (; c + LANES <= columns; c += LANES) {
            // Of NaN and a number the second remains.
            high = v_max(v_load(x + c), high);
            low = v_min(v_load(x + c), low);
        }
        if (c < columns) {
            high = v_max(v_load_n(x + c, columns - c), high);
            low = v_min(v_load_n(x + c, columns - c), low);
        }
        float inverse;
        struct row_quantization own =
            quantization_of_row(-v_highest(v_sub(v_zero(), low)), v_highest(high), &inverse);
        struct v_quantizer quantizer = quantizer_of(inverse, own.zero_point);
        quantizer.zero_point += inverts ? 128 : 0;
        quantize_by(y, x, columns, quantizer);
        memcpy(y + stride - sizeof own, &own, sizeof own);
    }
}

static __attribute__((unused)) void quantize_rows_i8(int8_t *y, const float *x, size_t rows,
                                                     size_t columns) {
    quantize_rows(y, x, rows, columns, false);
}
