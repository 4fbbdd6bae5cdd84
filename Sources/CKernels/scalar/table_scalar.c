// THE SPECIFICATION: plain loops, one function a kernel, in the order of operations that all levels keep to.
#include "../internal.h"
#include "simd.h"
#include "../shared/activation_body.h"

float activate_scalar(float x, enum activation activation) { return v_activate(x, activation); }

static void activate_f32(float *y, const float *x, size_t count, enum activation activation) {
    for (size_t i = 0; i < count; i++) {
        y[i] = activate_scalar(x[i], activation);
    }
}

static void binary_f32(float *y, const float *a, const float *b, size_t rows, size_t columns,
                       size_t b_row_stride, size_t b_column_stride, enum binary op) {
    for (size_t row = 0; row < rows; row++) {
        for (size_t c = 0; c < columns; c++) {
            float left = a[row * columns + c];
            float right = b[row * b_row_stride + c * b_column_stride];
            float *target = &y[row * columns + c];
            switch (op) {
                case BINARY_ADD: *target = left + right; break;
                case BINARY_SUBTRACT: *target = left - right; break;
                case BINARY_MULTIPLY: *target = left * right; break;
                case BINARY_DIVIDE: *target = left / right; break;
            }
        }
    }
}

static void affine_f32(float *y, const float *x, size_t count, float scale, float shift) {
    for (size_t i = 0; i < count; i++) {
        y[i] = fmaf(x[i], scale, shift);
    }
}

static void modulate_f32(float *y, const float *x, const float *scale, const float *shift,
                         size_t rows, size_t columns) {
    for (size_t i = 0; i < rows * columns; i++) {
        y[i] = fmaf(x[i], 1 + scale[i % columns], shift[i % columns]);
    }
}

static void gate_add_f32(float *y, const float *x, const float *gate, const float *residual,
                         size_t rows, size_t columns) {
    for (size_t i = 0; i < rows * columns; i++) {
        y[i] = fmaf(gate[i % columns], x[i], residual[i]);
    }
}

static void geglu_f32(float *y, const float *x, size_t rows, size_t columns) {
    for (size_t row = 0; row < rows; row++) {
        for (size_t c = 0; c < columns; c++) {
            const float *p = x + row * 2 * columns + c;
            y[row * columns + c] = p[0] * activate_scalar(p[columns], ACTIVATION_GELU);
        }
    }
}

static void scale_shift_f32(float *y, const float *x, const float *scale, const float *shift,
                            size_t pixels, size_t channels, enum activation activation) {
    for (size_t i = 0; i < pixels * channels; i++) {
        float t = fmaf(x[i], scale[i % channels], shift[i % channels]);
        y[i] = activate_scalar(t, activation);
    }
}

static size_t peak_f32(size_t rounds, float *result) {
    float sums[4] = {0, 1, 2, 3}, a = *result;
    for (size_t round = 0; round < rounds * 256; round++) {
        for (size_t i = 0; i < 4; i++) {
            sums[i] = sums[i] * a + 0.5f;
        }
    }
    *result = sums[0] + sums[1] + sums[2] + sums[3];
    return rounds * 256 * 4 * 2;
}

static float read_f32(const float *x, size_t count) {
    float sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += x[i];
    }
    return sum;
}

void table_scalar_norms(struct kernel_table *table);
void table_scalar_layout(struct kernel_table *table);

void table_scalar(struct kernel_table *table) {
    table->gemm_f32 = gemm_f32_scalar;
    table->gemm_i8 = gemm_i8_scalar;
    table->quantize_i8 = quantize_i8_scalar;
    table->quantize_rows_i8 = quantize_rows_i8_scalar;
    table->peak_i8 = peak_i8_scalar;
    table->depthwise_f32 = depthwise_f32_scalar;
    table->activate_f32 = activate_f32;
    table->binary_f32 = binary_f32;
    table->affine_f32 = affine_f32;
    table->modulate_f32 = modulate_f32;
    table->gate_add_f32 = gate_add_f32;
    table->geglu_f32 = geglu_f32;
    table->scale_shift_f32 = scale_shift_f32;
    table->peak_f32 = peak_f32;
    table->read_f32 = read_f32;
    table_scalar_norms(table);
    table_scalar_layout(table);
}
