// Numbers to 8-bit integers, over the vocabulary of simd.h.

/// round(x * inverse) + zero_point within -128 ... 127, as floats; NaN becomes -128.
ALWAYS_INLINE vec v_quantize(vec x, vec inverse, vec zero_point) {
    vec t = v_add(v_round(v_mul(x, inverse)), zero_point);
    return v_min(v_max(t, v_set1(-128)), v_set1(127));
}

/// The first `count` lanes, whole numbers within -128 ... 127, to memory.
ALWAYS_INLINE void v_store_i8(int8_t *y, vec x, size_t count) {
    if (count >= LANES) {
        v_to_i8(y, x);
    } else {
        int8_t lanes[LANES];
        v_to_i8(lanes, x);
        memcpy(y, lanes, count);
    }
}

static __attribute__((unused)) void quantize_i8(int8_t *y, const float *x, size_t count,
                                                float inverse_scale, int zero_point) {
    ASSUME(y && x);
    ASSUME(zero_point >= -128 && zero_point <= 127);
    vec inverse = v_set1(inverse_scale), zero = v_set1((float)zero_point);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v_to_i8(y + i, v_quantize(v_load(x + i), inverse, zero));
    }
    if (i < count) {
        v_store_i8(y + i, v_quantize(v_load_n(x + i, count - i), inverse, zero), count - i);
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
