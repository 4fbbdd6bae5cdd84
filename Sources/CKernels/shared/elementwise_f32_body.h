// Elementwise kernels over the vocabulary of simd.h.

static void activate_f32(float *y, const float *x, size_t count, enum activation activation) {
    ASSUME(y && x);
    ASSUME(activation <= ACTIVATION_RELU6);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v_store(y + i, v_activate(v_load(x + i), activation));
    }
    if (i < count) {
        v_store_n(y + i, v_activate(v_load_n(x + i, count - i), activation), count - i);
    }
}

ALWAYS_INLINE vec v_binary(vec a, vec b, enum binary op) {
    switch (op) {
        case BINARY_ADD: return v_add(a, b);
        case BINARY_SUBTRACT: return v_sub(a, b);
        case BINARY_MULTIPLY: return v_mul(a, b);
        case BINARY_DIVIDE: return v_div(a, b);
    }
    return a;
}

static void binary_f32(float *y, const float *a, const float *b, size_t rows, size_t columns,
                       size_t b_row_stride, size_t b_column_stride, enum binary op) {
    ASSUME(y && a && b);
    ASSUME(b_column_stride <= 1);
    for (size_t row = 0; row < rows; row++) {
        const float *b_row = b + row * b_row_stride;
        size_t c = 0;
        for (; c + LANES <= columns; c += LANES) {
            vec right = b_column_stride ? v_load(b_row + c) : v_set1(*b_row);
            v_store(y + row * columns + c, v_binary(v_load(a + row * columns + c), right, op));
        }
        if (c < columns) {
            size_t n = columns - c;
            vec right = b_column_stride ? v_load_n(b_row + c, n) : v_set1(*b_row);
            vec left = v_load_n(a + row * columns + c, n);
            v_store_n(y + row * columns + c, v_binary(left, right, op), n);
        }
    }
}

static void affine_f32(float *y, const float *x, size_t count, float scale, float shift) {
    ASSUME(y);
    ASSUME(x);
    vec factor = v_set1(scale), offset = v_set1(shift);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v_store(y + i, v_fma(v_load(x + i), factor, offset));
    }
    if (i < count) {
        v_store_n(y + i, v_fma(v_load_n(x + i, count - i), factor, offset), count - i);
    }
}

static void modulate_f32(float *y, const float *x, const float *scale, const float *shift,
                         size_t rows, size_t columns) {
    ASSUME(y && x);
    ASSUME(scale && shift);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        size_t c = 0;
        for (; c + LANES <= columns; c += LANES) {
            vec factor = v_add(v_set1(1), v_load(scale + c));
            v_store(y + c, v_fma(v_load(x + c), factor, v_load(shift + c)));
        }
        if (c < columns) {
            size_t n = columns - c;
            vec factor = v_add(v_set1(1), v_load_n(scale + c, n));
            v_store_n(y + c, v_fma(v_load_n(x + c, n), factor, v_load_n(shift + c, n)), n);
        }
    }
}

static void gate_add_f32(float *y, const float *x, const float *gate, const float *residual,
                         size_t rows, size_t columns) {
    ASSUME(y && x);
    ASSUME(gate && residual);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns, residual += columns) {
        size_t c = 0;
        for (; c + LANES <= columns; c += LANES) {
            v_store(y + c, v_fma(v_load(gate + c), v_load(x + c), v_load(residual + c)));
        }
        if (c < columns) {
            size_t n = columns - c;
            vec sum = v_fma(v_load_n(gate + c, n), v_load_n(x + c, n), v_load_n(residual + c, n));
            v_store_n(y + c, sum, n);
        }
    }
}

static void geglu_f32(float *y, const float *x, size_t rows, size_t columns) {
    ASSUME(y && x);
    ASSUME(y != x);
    for (size_t row = 0; row < rows; row++, y += columns, x += 2 * columns) {
        size_t c = 0;
        for (; c + LANES <= columns; c += LANES) {
            v_store(y + c, v_mul(v_load(x + c), v_gelu(v_load(x + columns + c))));
        }
        if (c < columns) {
            size_t n = columns - c;
            v_store_n(y + c, v_mul(v_load_n(x + c, n), v_gelu(v_load_n(x + columns + c, n))), n);
        }
    }
}

/// activation(x * scale + shift) of `vectors` whole vectors; both are constants where this is inlined.
ALWAYS_INLINE void scale_shift_vectors(float *y, const float *x, const float *scale, const float *shift,
                                       const size_t vectors, const enum activation activation) {
    vec t[2];
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        t[v] = v_fma(v_load(x + v * LANES), v_load(scale + v * LANES), v_load(shift + v * LANES));
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        v_store(y + v * LANES, v_activate(t[v], activation));
    }
}

ALWAYS_INLINE void scale_shift_row(float *y, const float *x, const float *scale, const float *shift,
                                   size_t channels, const enum activation activation) {
    enum { PAIR = 2 * LANES };
    size_t left = channels;
    for (; left >= 2 * PAIR; left -= 2 * PAIR) {
        scale_shift_vectors(y, x, scale, shift, 2, activation);
        scale_shift_vectors(y + PAIR, x + PAIR, scale + PAIR, shift + PAIR, 2, activation);
        y += 2 * PAIR, x += 2 * PAIR, scale += 2 * PAIR, shift += 2 * PAIR;
        OWN_REGISTER(y);
        OWN_REGISTER(x);
        OWN_REGISTER(scale);
        OWN_REGISTER(shift);
    }
    for (; left >= LANES; left -= LANES) {
        scale_shift_vectors(y, x, scale, shift, 1, activation);
        y += LANES, x += LANES, scale += LANES, shift += LANES;
    }
    if (left > 0) {
        vec t = v_fma(v_load_n(x, left), v_load_n(scale, left), v_load_n(shift, left));
        v_store_n(y, v_activate(t, activation), left);
    }
}

static void scale_shift_f32(float *y, const float *x, const float *scale, const float *shift,
                            size_t pixels, size_t channels, enum activation activation) {
    ASSUME(y && x);
    ASSUME(scale && shift);
    for (size_t pixel = 0; pixel < pixels; pixel++, y += channels, x += channels) {
        if (activation == ACTIVATION_SILU) {  // what follows group norm in image networks
            scale_shift_row(y, x, scale, shift, channels, ACTIVATION_SILU);
        } else {
            scale_shift_row(y, x, scale, shift, channels, ACTIVATION_NONE);
            if (activation != ACTIVATION_NONE) {
                activate_f32(y, y, channels, activation);
            }
        }
    }
}
