// Norms, softmax and row means over the vocabulary of simd.h.

/// The sum of x[i] over a row.
ALWAYS_INLINE float row_sum(const float *x, size_t columns) {
    vec sum = v_zero();
    size_t c = 0;
    for (; c + LANES <= columns; c += LANES) {
        sum = v_add(sum, v_load(x + c));
    }
    if (c < columns) {
        sum = v_add(sum, v_load_n(x + c, columns - c));
    }
    return v_sum(sum);
}

/// The sum of (x[i] - mean)^2 over a row.
ALWAYS_INLINE float row_squares(const float *x, size_t columns, float mean) {
    vec sum = v_zero(), center = v_set1(mean);
    size_t c = 0;
    for (; c + LANES <= columns; c += LANES) {
        vec d = v_sub(v_load(x + c), center);
        sum = v_fma(d, d, sum);
    }
    float total = v_sum(sum);
    for (; c < columns; c++) {
        total += (x[c] - mean) * (x[c] - mean);
    }
    return total;
}

/// The sum of x[i] - mean over a row: what rounding the mean to f32 has left, which is not little where
/// |mean| is much larger than the deviation.
ALWAYS_INLINE float row_remainder(const float *x, size_t columns, float mean) {
    vec sum = v_zero(), center = v_set1(mean);
    size_t c = 0;
    for (; c + LANES <= columns; c += LANES) {
        sum = v_add(sum, v_sub(v_load(x + c), center));
    }
    float total = v_sum(sum);
    for (; c < columns; c++) {
        total += x[c] - mean;
    }
    return total;
}

/// y = ((x - mean) - remainder) * factor * gain + bias, with gain and bias where they are not NULL.
ALWAYS_INLINE void row_normalize(float *y, const float *x, const float *gain, const float *bias,
                                 size_t columns, float mean, float remainder, float factor) {
    vec center = v_set1(mean), rest = v_set1(remainder), scale = v_set1(factor);
    size_t c = 0;
    for (; c + LANES <= columns; c += LANES) {
        vec t = v_mul(v_sub(v_sub(v_load(x + c), center), rest), scale);
        t = gain ? v_mul(t, v_load(gain + c)) : t;
        v_store(y + c, bias ? v_add(t, v_load(bias + c)) : t);
    }
    if (c < columns) {
        size_t n = columns - c;
        vec t = v_mul(v_sub(v_sub(v_load_n(x + c, n), center), rest), scale);
        t = gain ? v_mul(t, v_load_n(gain + c, n)) : t;
        v_store_n(y + c, bias ? v_add(t, v_load_n(bias + c, n)) : t, n);
    }
}

// Three passes per row: mean, what its rounding has left, variance. One pass (mean of squares minus
// square of mean) loses every digit when |mean| is much larger than the deviation, as in the first
// blocks of a UNet; the row is in the first-level cache after the first pass.
static void layernorm_f32(float *y, const float *x, const float *gain, const float *bias,
                          size_t rows, size_t columns, float epsilon) {
    ASSUME(columns > 0);
    ASSUME(epsilon > 0);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float mean = row_sum(x, columns) / (float)columns;
        float rest = row_remainder(x, columns, mean) / (float)columns;
        float variance = row_squares(x, columns, mean) / (float)columns - rest * rest;
        float factor = 1 / sqrtf((variance > 0 ? variance : 0) + epsilon);
        row_normalize(y, x, gain, bias, columns, mean, rest, factor);
    }
}

static void rmsnorm_f32(float *y, const float *x, const float *gain, size_t rows, size_t columns,
                        float epsilon) {
    ASSUME(columns > 0);
    ASSUME(epsilon > 0);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float square = row_squares(x, columns, 0) / (float)columns;
        row_normalize(y, x, gain, NULL, columns, 0, 0, 1 / sqrtf(square + epsilon));
    }
}

static void l2_normalize_f32(float *y, const float *x, size_t rows, size_t columns, float epsilon) {
    ASSUME(columns > 0);
    ASSUME(epsilon > 0);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float length = sqrtf(row_squares(x, columns, 0));
        row_normalize(y, x, NULL, NULL, columns, 0, 0,
                      1 / (length > epsilon ? length : epsilon));
    }
}

/// The largest number of a row.
ALWAYS_INLINE float row_highest(const float *x, size_t columns) {
    vec highest = v_set1(-INFINITY);
    size_t c = 0;
    for (; c + LANES <= columns; c += LANES) {
        highest = v_max(highest, v_load(x + c));
    }
    float result = v_highest(highest);
    for (; c < columns; c++) {
        result = x[c] > result ? x[c] : result;
    }
    return result;
}

static void softmax_f32(float *y, const float *x, size_t rows, size_t columns) {
    ASSUME(columns > 0);
    ASSUME(y && x);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        vec highest = v_set1(row_highest(x, columns));
        vec sum = v_zero();
        size_t c = 0;
        for (; c + LANES <= columns; c += LANES) {
            vec e = v_exp(v_sub(v_load(x + c), highest));
            sum = v_add(sum, e);
            v_store(y + c, e);
        }
        float total = v_sum(sum);
        if (c < columns) {
            size_t n = columns - c;
            v_store_n(y + c, v_exp(v_sub(v_load_n(x + c, n), highest)), n);
            for (size_t i = c; i < columns; i++) {
                total += y[i];
            }
        }
        row_normalize(y, y, NULL, NULL, columns, 0, 0, 1 / total);
    }
}

static void mean_rows_f32(float *y, const float *x, const float *weight, size_t rows,
                          size_t columns) {
    ASSUME(y && x);
    ASSUME(rows > 0 && columns > 0);
    float total = (float)rows;
    if (weight) {
        total = 0;
        for (size_t row = 0; row < rows; row++) {
            total += weight[row];
        }
    }
    vec factor = v_set1(1 / (total > 1e-9f ? total : 1e-9f));
    for (size_t c = 0; c < columns; c += LANES) {
        size_t n = columns - c;
        vec sum = v_zero();
        for (size_t row = 0; row < rows; row++) {
            const float *p = x + row * columns + c;
            vec t = n >= LANES ? v_load(p) : v_load_n(p, n);
            sum = v_fma(v_set1(weight ? weight[row] : 1), t, sum);
        }
        sum = v_mul(sum, factor);
        if (n >= LANES) {
            v_store(y + c, sum);
        } else {
            v_store_n(y + c, sum, n);
        }
    }
}

static void groupnorm_stats_f32(double *sums, double *squares, const float *x, const float *pivot,
                                size_t pixels, size_t channels) {
    ASSUME(sums && squares);
    ASSUME(x && pivot);
    enum { BLOCK = 256 };
    for (size_t c = 0; c < channels; c += LANES) {
        size_t n = channels - c < LANES ? channels - c : LANES;
        vec center = n == LANES ? v_load(pivot + c) : v_load_n(pivot + c, n);
        for (size_t lane = 0; lane < n; lane++) {
            sums[c + lane] = squares[c + lane] = 0;
        }
        for (size_t begin = 0; begin < pixels; begin += BLOCK) {
            size_t end = begin + BLOCK < pixels ? begin + BLOCK : pixels;
            vec sum = v_zero(), square = v_zero();
            for (size_t pixel = begin; pixel < end; pixel++) {
                const float *p = x + pixel * channels + c;
                vec d = v_sub(n == LANES ? v_load(p) : v_load_n(p, n), center);
                sum = v_add(sum, d);
                square = v_fma(d, d, square);
            }
            float lanes[2 * LANES];
            v_store(lanes, sum);
            v_store(lanes + LANES, square);
            for (size_t lane = 0; lane < n; lane++) {
                sums[c + lane] += lanes[lane];
                squares[c + lane] += lanes[LANES + lane];
            }
        }
    }
}
