// The specification of integer matrix products, convolution and quantization: plain loops.
#include "../internal.h"
#include "epilogue_f32_scalar.h"

enum { TILE_COLUMNS = 8 };

static size_t panel_bytes(size_t depth) { return TILE_COLUMNS * (sizeof(int32_t) + depth); }

static void pack_panel(int8_t *panel, const int8_t *weight, size_t weight_stride, size_t count,
                       size_t depth) {
    ASSUME(count > 0 && count <= TILE_COLUMNS);
    ASSUME(weight_stride >= depth);
    memset(panel, 0, panel_bytes(depth));
    int32_t *sums = (int32_t *)panel;
    int8_t *to = panel + TILE_COLUMNS * sizeof(int32_t);
    for (size_t column = 0; column < count; column++) {
        for (size_t d = 0; d < depth; d++) {
            int8_t value = weight[column * weight_stride + d];
            sums[column] += value;
            to[d * TILE_COLUMNS + column] = value;
        }
    }
}

static int32_t weight_sum(const int8_t *packed, size_t depth, size_t column) {
    const int8_t *panel = packed + column / TILE_COLUMNS * panel_bytes(depth);
    return ((const int32_t *)panel)[column % TILE_COLUMNS];
}

static int32_t weight_at(const int8_t *packed, size_t depth, size_t column, size_t d) {
    const int8_t *panel = packed + column / TILE_COLUMNS * panel_bytes(depth);
    return panel[TILE_COLUMNS * (sizeof(int32_t) + d) + column % TILE_COLUMNS];
}

static int8_t quantized(float x, float inverse_scale, int zero_point) {
    float t = rintf(x * inverse_scale) + (float)zero_point;
    t = t > -128 ? t : -128;
    return (int8_t)(t < 127 ? t : 127);
}

/// The quantization of a row of the left operand.
static struct row_quantization quantization_at(const struct epilogue_i8 *epilogue, size_t row) {
    if (!epilogue->row) {
        return (struct row_quantization){1, epilogue->zero_point};
    }
    return *(const struct row_quantization *)((const char *)epilogue->row + row * epilogue->row_stride);
}

static void store(int32_t sum, const struct epilogue_i8 *epilogue, float *y, size_t place,
                  size_t row, size_t column) {
    float scale = epilogue->column_scale[column] * quantization_at(epilogue, row).scale;
    struct epilogue_f32 floats = epilogue->floats;
    // To add -0 changes nothing, not even -0.
    float t = fmaf((float)sum, scale, floats.bias ? floats.bias[column] : -0.0f);
    floats.bias = NULL;
    if (epilogue->residual) {
        int stored = epilogue->residual[row * floats.residual_stride + column];
        float residual = (float)(stored - epilogue->residual_zero_point) * epilogue->residual_scale;
        t = finish_adding(t, &floats, column, &residual);
    } else {
        t = finish(t, &floats, row, column);
    }
    if (epilogue->integers) {
        epilogue->integers[place] =
            quantized(t, epilogue->inverse_scale, epilogue->output_zero_point);
    } else {
        y[place] = t;
    }
}

static void gemm(const struct gemm_i8_args *args, size_t row_begin, size_t row_end,
                 size_t panel_begin, size_t panel_end) {
    ASSUME(row_end <= args->rows);
    ASSUME(args->a_stride >= args->depth && args->y_stride >= args->columns);
    for (size_t row = row_begin; row < row_end; row++) {
        for (size_t column = panel_begin * TILE_COLUMNS;
             column < panel_end * TILE_COLUMNS && column < args->columns; column++) {
            int32_t sum = 0;
            for (size_t d = 0; d < args->depth; d++) {
                sum += args->a[row * args->a_stride + d] *
                       weight_at(args->packed, args->depth, column, d);
            }
            sum -= quantization_at(&args->epilogue, row).zero_point *
                   weight_sum(args->packed, args->depth, column);
            store(sum, &args->epilogue, args->y, row * args->y_stride + column, row, column);
        }
    }
}

/// The pixel of the image that an output pixel's tap reads, NULL outside.
static const int8_t *tap_pixel(const struct conv2d_i8_args *args, size_t pixel, size_t kernel_row,
                               size_t kernel_column) {
    size_t output_x = pixel % args->output_width;
    size_t output_y = pixel / args->output_width % args->output_height;
    size_t image = pixel / args->output_width / args->output_height;
    size_t y = output_y * args->stride_height + kernel_row * args->dilation_height;
    size_t x = output_x * args->stride_width + kernel_column * args->dilation_width;
    if (y < args->pad_top || y - args->pad_top >= args->input_height * args->upsample ||
        x < args->pad_left || x - args->pad_left >= args->input_width * args->upsample) {
        return NULL;
    }
    y = (y - args->pad_top) / args->upsample;
    x = (x - args->pad_left) / args->upsample;
    return args->x +
           ((image * args->input_height + y) * args->input_width + x) * args->x_pixel_stride;
}

static int32_t window_sum(const struct conv2d_i8_args *args, size_t pixel, size_t column) {
    size_t depth = args->kernel_height * args->kernel_width * args->input_channels;
    int32_t sum = 0;
    size_t d = 0;
    for (size_t kernel_row = 0; kernel_row < args->kernel_height; kernel_row++) {
        for (size_t kernel_column = 0; kernel_column < args->kernel_width; kernel_column++) {
            const int8_t *x = tap_pixel(args, pixel, kernel_row, kernel_column);
            for (size_t channel = 0; channel < args->input_channels; channel++, d++) {
                int32_t value = x ? x[channel] : args->epilogue.zero_point;
                sum += (value - args->epilogue.zero_point) *
                       weight_at(args->packed, depth, column, d);
            }
        }
    }
    return sum;
}

static void conv2d(const struct conv2d_i8_args *args, size_t pixel_begin, size_t pixel_end,
                   size_t panel_begin, size_t panel_end) {
    ASSUME(pixel_end <= args->batch * args->output_height * args->output_width);
    ASSUME(args->upsample == 1 || args->upsample == 2);
    for (size_t pixel = pixel_begin; pixel < pixel_end; pixel++) {
        for (size_t column = panel_begin * TILE_COLUMNS;
             column < panel_end * TILE_COLUMNS && column < args->output_channels; column++) {
            size_t place = pixel * args->y_pixel_stride +
                           pixel / args->output_width * args->y_row_gap + column;
            store(window_sum(args, pixel, column), &args->epilogue, args->y, place, pixel, column);
        }
    }
}

const struct gemm_i8_kernels gemm_i8_scalar = {
    .tile_rows = 1,
    .tile_columns = TILE_COLUMNS,
    .depth_group = 1,
    .pack_panel = pack_panel,
    .gemm = gemm,
    .conv2d = conv2d,
};

void quantize_i8_scalar(int8_t *y, const float *x, size_t count, float inverse_scale,
                        int zero_point) {
    for (size_t i = 0; i < count; i++) {
        y[i] = quantized(x[i], inverse_scale, zero_point);
    }
}

void quantize_rows_i8_scalar(int8_t *y, const float *x, size_t rows, size_t columns) {
    size_t stride = QUANTIZED_ROW_STRIDE(columns);
    for (size_t row = 0; row < rows; row++, x += columns, y += stride) {
        float low = 0, high = 0, inverse;
        for (size_t c = 0; c < columns; c++) {
            low = x[c] < low ? x[c] : low;
            high = x[c] > high ? x[c] : high;
        }
        struct row_quantization own = quantization_of_row(low, high, &inverse);
        quantize_i8_scalar(y, x, columns, inverse, own.zero_point);
        memcpy(y + stride - sizeof own, &own, sizeof own);
    }
}

size_t peak_i8_scalar(size_t rounds, int32_t *result) {
    int32_t sums[4] = {0, 1, 2, 3}, a = *result;
    for (size_t round = 0; round < rounds * 256; round++) {
        for (size_t i = 0; i < 4; i++) {
            sums[i] = (int32_t)((uint32_t)sums[i] * (uint32_t)a + 5u);
        }
    }
    *result = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
    return rounds * 256 * 4 * 2;
}
