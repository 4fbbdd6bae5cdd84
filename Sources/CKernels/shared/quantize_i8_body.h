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

/// The lowest and the highest number of a row and 0, lane by lane.
ALWAYS_INLINE void row_range(vec *low, vec *high, const float *x, size_t columns) {
    enum { CHAINS = 4 };  // that hide each other's latency
    vec lows[CHAINS], highs[CHAINS];
    UNROLL
    for (size_t i = 0; i < CHAINS; i++) {
        lows[i] = highs[i] = v_zero();
    }
    size_t c = 0;
    for (; c + CHAINS * LANES <= columns; c += CHAINS * LANES) {
        UNROLL
        for (size_t i = 0; i < CHAINS; i++) {
            // Of NaN and a number the second remains.
            vec t = v_load(x + c + i * LANES);
            highs[i] = v_max(t, highs[i]);
            lows[i] = v_min(t, lows[i]);
        }
    }
    for (; c < columns; c += LANES) {
        vec t = columns - c >= LANES ? v_load(x + c) : v_load_n(x + c, columns - c);
        highs[0] = v_max(t, highs[0]);
        lows[0] = v_min(t, lows[0]);
    }
    *high = v_max(v_max(highs[0], highs[1]), v_max(highs[2], highs[3]));
    *low = v_min(v_min(lows[0], lows[1]), v_min(lows[2], lows[3]));
}

/// As `quantize_rows_i8`; `inverts` sign bits or not, a constant where this is inlined.
ALWAYS_INLINE void quantize_rows(int8_t *y, const float *x, size_t rows, size_t columns,
                                 const bool inverts) {
    ASSUME(y && x);
    ASSUME(columns > 0);
    size_t stride = QUANTIZED_ROW_STRIDE(columns);
    for (size_t row = 0; row < rows; row++, x += columns, y += stride) {
        vec high, low;
        row_range(&low, &high, x, columns);
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
