// The specification of norms, softmax, row means and attention.
#include "../internal.h"

static double mean_of(const float *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += x[i];
    }
    return sum / (double)count;
}

static double mean_square(const float *x, size_t count, double center) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (x[i] - center) * (x[i] - center);
    }
    return sum / (double)count;
}

static void layernorm_f32(float *y, const float *x, const float *gain, const float *bias,
                          size_t rows, size_t columns, float epsilon) {
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        double mean = mean_of(x, columns);
        double factor = 1 / sqrt(mean_square(x, columns, mean) + epsilon);
        for (size_t c = 0; c < columns; c++) {
            double t = (x[c] - mean) * factor;
            y[c] = (float)(t * (gain ? gain[c] : 1) + (bias ? bias[c] : 0));
        }
    }
}

static void rmsnorm_f32(float *y, const float *x, const float *gain, size_t rows, size_t columns,
                        float epsilon) {
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        double factor = 1 / sqrt(mean_square(x, columns, 0) + epsilon);
        for (size_t c = 0; c < columns; c++) {
            y[c] = (float)(x[c] * factor * (gain ? gain[c] : 1));
        }
    }
}

static void l2_normalize_f32(float *y, const float *x, size_t rows, size_t columns, float epsilon) {
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        double length = sqrt(mean_square(x, columns, 0) * (double)columns);
        for (size_t c = 0; c < columns; c++) {
            y[c] = (float)(x[c] / fmax(length, epsilon));
        }
    }
}

static void softmax_f32(float *y, const float *x, size_t rows, size_t columns) {
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float highest = x[0];
        for (size_t c = 1; c < columns; c++) {
            highest = x[c] > highest ? x[c] : highest;
        }
        double sum = 0;
        for (size_t c = 0; c < columns; c++) {
            y[c] = (float)exp((double)x[c] - highest);
            sum += y[c];
        }
        for (size_t c = 0; c < columns; c++) {
            y[c] = (float)(y[c] / sum);
        }
    }
}

static void mean_rows_f32(float *y, const float *x, const float *weight, size_t rows,
                          size_t columns) {
    for (size_t c = 0; c < columns; c++) {
        double sum = 0, total = 0;
        for (size_t row = 0; row < rows; row++) {
            double w = weight ? weight[row] : 1;
            sum += w * x[row * columns + c];
            total += w;
        }
        y[c] = (float)(sum / fmax(total, 1e-9));
    }
}

static void groupnorm_stats_f32(double *sums, double *squares, const float *x, const float *pivot,
                                size_t pixels, size_t channels) {
    for (size_t c = 0; c < channels; c++) {
        sums[c] = squares[c] = 0;
        for (size_t pixel = 0; pixel < pixels; pixel++) {
            double d = (double)x[pixel * channels + c] - pivot[c];
            sums[c] += d;
            squares[c] += d * d;
        }
    }
}

/// The score of query i and key j; -infinity where the key is hidden.
static double attention_score(const struct attention_f32_args *args, size_t i, size_t j) {
    if (args->causal && j > i) {
        return -INFINITY;
    }
    double sum = 0;
    for (size_t d = 0; d < args->head_dimension; d++) {
        sum += (double)args->q[i * args->q_stride + d] * args->k[j * args->k_stride + d];
    }
    double bias = args->key_bias ? args->key_bias[j] : 0;
    if (args->score_bias) {
        bias += args->score_bias[(ptrdiff_t)i * args->score_bias_stride + (ptrdiff_t)j];
    }
    return sum * args->scale + bias;
}

// Three passes over the keys and no memory for scores: slow, and obviously right.
static void attention_f32(const struct attention_f32_args *args, float *scratch, size_t query_begin,
                          size_t query_end) {
    (void)scratch;
    for (size_t i = query_begin; i < query_end; i++) {
        double highest = -INFINITY, sum = 0;
        for (size_t j = 0; j < args->key_count; j++) {
            highest = fmax(highest, attention_score(args, i, j));
        }
        float *y = args->y + i * args->y_stride;
        memset(y, 0, args->head_dimension * sizeof(float));
        if (highest == -INFINITY) {
            continue;
        }
        for (size_t j = 0; j < args->key_count; j++) {
            sum += exp(attention_score(args, i, j) - highest);
        }
        for (size_t j = 0; j < args->key_count; j++) {
            double weight = exp(attention_score(args, i, j) - highest) / sum;
            for (size_t d = 0; d < args->head_dimension; d++) {
                y[d] += (float)(weight * args->v[j * args->v_stride + d]);
            }
        }
    }
}

void table_scalar_norms(struct kernel_table *table);

void table_scalar_norms(struct kernel_table *table) {
    table->layernorm_f32 = layernorm_f32;
    table->rmsnorm_f32 = rmsnorm_f32;
    table->l2_normalize_f32 = l2_normalize_f32;
    table->softmax_f32 = softmax_f32;
    table->mean_rows_f32 = mean_rows_f32;
    table->groupnorm_stats_f32 = groupnorm_stats_f32;
    table->attention_f32 = attention_f32;
}
