// The specification of norms, softmax and row means.
#include "../internal.h"
#include "simd.h"
#include "../shared/activation_body.h"
#include "row_sums_scalar.h"

static float row_sum(const float *x, size_t count) {
    float lanes[SUM_LANES] = {0};
    for (size_t i = 0; i < count; i++) {
        lanes[i % SUM_LANES] += x[i];
    }
    return sum_of_lanes(lanes);
}

static float row_differences(const float *x, size_t count, float center) {
    float lanes[SUM_LANES] = {0};
    for (size_t i = 0; i < count; i++) {
        lanes[i % SUM_LANES] += x[i] - center;
    }
    return sum_of_lanes(lanes);
}

static float row_squares(const float *x, size_t count, float center) {
    float lanes[SUM_LANES] = {0};
    for (size_t i = 0; i < count; i++) {
        lanes[i % SUM_LANES] = fmaf(x[i] - center, x[i] - center, lanes[i % SUM_LANES]);
    }
    return sum_of_lanes(lanes);
}

static void layernorm_f32(float *y, const float *x, const float *gain, const float *bias,
                          size_t rows, size_t columns, float epsilon) {
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float mean = row_sum(x, columns) / (float)columns;
        // What rounding the mean has left.
        float rest = row_differences(x, columns, mean) / (float)columns;
        float variance = row_squares(x, columns, mean) / (float)columns - rest * rest;
        float factor = 1 / sqrtf((variance > 0 ? variance : 0) + epsilon);
        for (size_t c = 0; c < columns; c++) {
            float t = (x[c] - mean - rest) * factor;
            t = gain ? t * gain[c] : t;
            y[c] = bias ? t + bias[c] : t;
        }
    }
}

static void rmsnorm_f32(float *y, const float *x, const float *gain, size_t rows, size_t columns,
                        float epsilon) {
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float factor = 1 / sqrtf(row_squares(x, columns, 0) / (float)columns + epsilon);
        for (size_t c = 0; c < columns; c++) {
            y[c] = gain ? x[c] * factor * gain[c] : x[c] * factor;
        }
    }
}

static void l2_normalize_f32(float *y, const float *x, size_t rows, size_t columns, float epsilon) {
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float length = sqrtf(row_squares(x, columns, 0));
        float factor = 1 / (length > epsilon ? length : epsilon);
        for (size_t c = 0; c < columns; c++) {
            y[c] = x[c] * factor;
        }
    }
}

static void softmax_f32(float *y, const float *x, size_t rows, size_t columns) {
    for (size_t row = 0; row < rows; row++, y += columns, x += columns) {
        float highest = x[0];
        for (size_t c = 1; c < columns; c++) {
            highest = x[c] > highest ? x[c] : highest;
        }
        for (size_t c = 0; c < columns; c++) {
            y[c] = v_exp(x[c] - highest);
        }
        float factor = 1 / row_sum(y, columns);
        for (size_t c = 0; c < columns; c++) {
            y[c] *= factor;
        }
    }
}

static void mean_rows_f32(float *y, const float *x, const float *weight, size_t rows,
                          size_t columns) {
    float total = (float)rows;
    if (weight) {
        total = 0;
        for (size_t row = 0; row < rows; row++) {
            total += weight[row];
        }
    }
    float factor = 1 / (total > 1e-9f ? total : 1e-9f);
    for (size_t c = 0; c < columns; c++) {
        float sum = 0;
        for (size_t row = 0; row < rows; row++) {
            sum = fmaf(weight ? weight[row] : 1, x[row * columns + c], sum);
        }
        y[c] = sum * factor;
    }
}

static void groupnorm_stats_f32(double *sums, double *squares, const float *x, const float *pivot,
                                size_t pixels, size_t channels) {
    enum { BLOCK = 256 };
    for (size_t c = 0; c < channels; c++) {
        sums[c] = squares[c] = 0;
        for (size_t begin = 0; begin < pixels; begin += BLOCK) {
            float sum = 0, square = 0;
            for (size_t pixel = begin; pixel < begin + BLOCK && pixel < pixels; pixel++) {
                float d = x[pixel * channels + c] - pivot[c];
                sum += d;
                square = fmaf(d, d, square);
            }
            sums[c] += sum;
            squares[c] += square;
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
    table->attention_f32 = attention_f32_scalar;
}
