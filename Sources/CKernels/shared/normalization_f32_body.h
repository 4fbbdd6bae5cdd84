// Norms, softmax and row means over the vocabulary of simd.h.

#include "row_sums.h"

enum row_term { TERM_ITSELF, TERM_SQUARE };

/// Adds sixteen numbers of a row, or the first `count` of them, or their squares, to their lanes.
ALWAYS_INLINE void add_terms(vec lanes[SUM_VECTORS], const float *x, size_t count, const enum row_term term) {
    UNROLL
    for (size_t v = 0; v < SUM_VECTORS; v++) {
        size_t own = v * LANES;
        if (own < count) {
            vec t = own + LANES <= count ? v_load(x + own) : v_load_n(x + own, count - own);
            lanes[v] = term == TERM_SQUARE ? v_fma(t, t, lanes[v]) : v_add(lanes[v], t);
        }
    }
}

/// The differences of sixteen numbers, or of the first `count` of them, from their mean, and the squares of those.
ALWAYS_INLINE void add_differences(vec sums[SUM_VECTORS], vec squares[SUM_VECTORS], const float *x, size_t count,
                                   vec mean) {
    UNROLL
    for (size_t v = 0; v < SUM_VECTORS; v++) {
        size_t own = v * LANES;
        if (own < count) {
            bool is_whole = own + LANES <= count;
            vec t = v_sub(is_whole ? v_load(x + own) : v_load_n(x + own, count - own), mean);
            t = is_whole ? t : v_first(t, count - own);
            sums[v] = v_add(sums[v], t);
            squares[v] = v_fma(t, t, squares[v]);
        }
    }
}

enum { ROWS_TOGETHER = 4 / SUM_VECTORS };  // whose sums hide each other's latency

ALWAYS_INLINE void clear_lanes(vec lanes[ROWS_TOGETHER][SUM_VECTORS], const size_t rows) {
    UNROLL
    for (size_t row = 0; row < rows; row++) {
        UNROLL
        for (size_t v = 0; v < SUM_VECTORS; v++) {
            lanes[row][v] = v_zero();
        }
    }
}

/// The sums over some rows, of which there are as many as a constant says, of x[i] or of x[i]^2.
ALWAYS_INLINE void row_sums(float *sums, const float *x, const size_t rows, size_t columns,
                            const enum row_term term) {
    vec lanes[ROWS_TOGETHER][SUM_VECTORS];
    clear_lanes(lanes, rows);
    size_t c = 0;
    for (; c + SUM_LANES <= columns; c += SUM_LANES) {
        UNROLL
        for (size_t row = 0; row < rows; row++) {
            add_terms(lanes[row], x + row * columns + c, SUM_LANES, term);
        }
    }
    UNROLL
    for (size_t row = 0; row < rows; row++) {
        if (c < columns) {
            add_terms(lanes[row], x + row * columns + c, columns - c, term);
        }
        sums[row] = v_sum_lanes(lanes[row]);
    }
}

ALWAYS_INLINE float row_sum(const float *x, size_t columns, const enum row_term term) {
    float sum;
    row_sums(&sum, x, 1, columns, term);
    return sum;
}

/// The sums over some rows of x[i] - mean, and of (x[i] - mean)^2.
ALWAYS_INLINE void row_differences(float *sums, float *squares, const float *x, const float *means,
                                   const size_t rows, size_t columns) {
    vec lanes[ROWS_TOGETHER][SUM_VECTORS], square_lanes[ROWS_TOGETHER][SUM_VECTORS];
    clear_lanes(lanes, rows);
    clear_lanes(square_lanes, rows);
    size_t c = 0;
    for (; c + SUM_LANES <= columns; c += SUM_LANES) {
        UNROLL
        for (size_t row = 0; row < rows; row++) {
            add_differences(lanes[row], square_lanes[row], x + row * columns + c, SUM_LANES, v_set1(means[row]));
        }
    }
    UNROLL
    for (size_t row = 0; row < rows; row++) {
        if (c < columns) {
            add_differences(lanes[row], square_lanes[row], x + row * columns + c, columns - c,
                            v_set1(means[row]));
        }
        sums[row] = v_sum_lanes(lanes[row]);
        squares[row] = v_sum_lanes(square_lanes[row]);
    }
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

// Two passes before the last: the mean, then what its rounding has left, and the variance. One (mean of squares
// minus square of mean) loses every digit when |mean| is much larger than the deviation, as in the first
// blocks of a UNet; the rows are in the first-level cache after the first pass.
ALWAYS_INLINE void layernorm_rows(float *y, const float *x, const float *gain, const float *bias, const size_t rows,
                                  size_t columns, float epsilon) {
    float means[ROWS_TOGETHER], rests[ROWS_TOGETHER], squares[ROWS_TOGETHER];
    row_sums(means, x, rows, columns, TERM_ITSELF);
    UNROLL
    for (size_t row = 0; row < rows; row++) {
        means[row] /= (float)columns;
    }
    row_differences(rests, squares, x, means, rows, columns);
    UNROLL
    for (size_t row = 0; row < rows; row++) {
        // What rounding the mean to f32 has left is not little where |mean| is much larger than the deviation.
        float rest = rests[row] / (float)columns;
        float variance = squares[row] / (float)columns - rest * rest;
        float factor = 1 / sqrtf((variance > 0 ? variance : 0) + epsilon);
        row_normalize(y + row * columns, x + row * columns, gain, bias, columns, means[row], rest, factor);
    }
}

static void layernorm_f32(float *y, const float *x, const float *gain, const float *bias,
                          size_t rows, size_t columns, float epsilon) {
    ASSUME(columns > 0);
    ASSUME(epsilon > 0);
    size_t row = 0;
    for (; row + ROWS_TOGETHER <= rows; row += ROWS_TOGETHER) {
        layernorm_rows(y + row * columns, x + row * columns, gain, bias, ROWS_TOGETHER, columns, epsilon);
    }
    for (; row < rows; row++) {
        layernorm_rows(y + row * columns, x + row * columns, gain, bias, 1, columns, epsilon);
    }
}

static void rmsnorm_f32(float *y, const float *x, const float *gain, size_t rows, size_t columns,
                        float epsilon) {
    ASSUME(columns > 0);
    ASSUME(epsilon > 0);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float square = row_sum(x, columns, TERM_SQUARE) / (float)columns;
        row_normalize(y, x, gain, NULL, columns, 0, 0, 1 / sqrtf(square + epsilon));
    }
}

static void l2_normalize_f32(float *y, const float *x, size_t rows, size_t columns, float epsilon) {
    ASSUME(columns > 0);
    ASSUME(epsilon > 0);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float length = sqrtf(row_sum(x, columns, TERM_SQUARE));
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

/// y = e^(x - highest) of sixteen numbers, or of the first `count` of them, which are added to their lanes.
ALWAYS_INLINE void add_exponentials(vec lanes[SUM_VECTORS], float *y, const float *x, size_t count,
                                    vec highest) {
    UNROLL
    for (size_t v = 0; v < SUM_VECTORS; v++) {
        size_t own = v * LANES;
        if (own + LANES <= count) {
            vec e = v_exp(v_sub(v_load(x + own), highest));
            v_store(y + own, e);
            lanes[v] = v_add(lanes[v], e);
        } else if (own < count) {
            vec e = v_exp(v_sub(v_load_n(x + own, count - own), highest));
            v_store_n(y + own, e, count - own);
            lanes[v] = v_add(lanes[v], v_first(e, count - own));
        }
    }
}

static void softmax_f32(float *y, const float *x, size_t rows, size_t columns) {
    ASSUME(columns > 0);
    ASSUME(y && x);
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        vec highest = v_set1(row_highest(x, columns)), lanes[SUM_VECTORS];
        UNROLL
        for (size_t v = 0; v < SUM_VECTORS; v++) {
            lanes[v] = v_zero();
        }
        size_t c = 0;
        for (; c + SUM_LANES <= columns; c += SUM_LANES) {
            add_exponentials(lanes, y + c, x + c, SUM_LANES, highest);
        }
        if (c < columns) {
            add_exponentials(lanes, y + c, x + c, columns - c, highest);
        }
        float total = v_sum_lanes(lanes);
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

enum { STRIPE_VECTORS = 4 };

/// The sums of a stripe over `vectors` whole vectors of channels, or over the first `count` channels of one.
ALWAYS_INLINE void stripe_sums(double *sums, double *squares, const float *x, const float *pivot, size_t pixels,
                               size_t channels, const size_t vectors, size_t count) {
    enum { BLOCK = 256 };
    bool is_whole = count == vectors * LANES;
    vec center[STRIPE_VECTORS];
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        center[v] = is_whole ? v_load(pivot + v * LANES) : v_load_n(pivot, count);
    }
    for (size_t c = 0; c < count; c++) {
        sums[c] = squares[c] = 0;
    }
    for (size_t begin = 0; begin < pixels; begin += BLOCK) {
        const float *end = x + (begin + BLOCK < pixels ? begin + BLOCK : pixels) * channels;
        vec sum[STRIPE_VECTORS], square[STRIPE_VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            sum[v] = square[v] = v_zero();
        }
        for (const float *p = x + begin * channels; p < end; p += channels) {
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                vec d = v_sub(is_whole ? v_load(p + v * LANES) : v_load_n(p, count), center[v]);
                sum[v] = v_add(sum[v], d);
                square[v] = v_fma(d, d, square[v]);
            }
        }
        float lanes[2 * STRIPE_VECTORS * LANES];
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            v_store(lanes + v * LANES, sum[v]);
            v_store(lanes + (STRIPE_VECTORS + v) * LANES, square[v]);
        }
        for (size_t c = 0; c < count; c++) {
            sums[c] += lanes[c];
            squares[c] += lanes[STRIPE_VECTORS * LANES + c];
        }
    }
}

static void groupnorm_stats_f32(double *sums, double *squares, const float *x, const float *pivot,
                                size_t pixels, size_t channels) {
    ASSUME(sums && squares);
    ASSUME(x && pivot);
    size_t c = 0;
    for (; c + STRIPE_VECTORS * LANES <= channels; c += STRIPE_VECTORS * LANES) {
        stripe_sums(sums + c, squares + c, x + c, pivot + c, pixels, channels, STRIPE_VECTORS,
                    STRIPE_VECTORS * LANES);
    }
    for (size_t n; c < channels; c += n) {
        n = channels - c < LANES ? channels - c : LANES;
        if (n == LANES) {
            stripe_sums(sums + c, squares + c, x + c, pivot + c, pixels, channels, 1, LANES);
        } else {
            stripe_sums(sums + c, squares + c, x + c, pivot + c, pixels, channels, 1, n);
        }
    }
}
