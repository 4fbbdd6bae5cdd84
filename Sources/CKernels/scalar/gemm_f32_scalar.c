// The specification of matrix products and convolution: plain loops, f64 accumulators.
#include "../internal.h"
#include "../shared/pack_nibbles.h"
#include "epilogue_f32_scalar.h"

enum { TILE_COLUMNS = 8 };

/// A number of a packed weight as it is stored.
static float stored_at(const struct packed_weight *weight, size_t index) {
    switch (weight->format) {
        case WEIGHT_F16: return half_to_float(((const uint16_t *)weight->values)[index]);
        case WEIGHT_BF16: {
            uint32_t bits = (uint32_t)((const uint16_t *)weight->values)[index] << 16;
            float x;
            memcpy(&x, &bits, sizeof x);
            return x;
        }
        case WEIGHT_I8: return ((const int8_t *)weight->values)[index];
        case WEIGHT_I4: return (float)nibble_at(weight->values, index) - 8;
        default: return ((const float *)weight->values)[index];
    }
}

static float weight_at(const struct packed_weight *weight, size_t depth, size_t column, size_t d) {
    size_t panel = column / TILE_COLUMNS, place = column % TILE_COLUMNS;
    float stored = stored_at(weight, (panel * depth + d) * TILE_COLUMNS + place);
    if (!weight->factors) {
        return stored;
    }
    size_t group = panel * (depth / weight->factor_depth) + d / weight->factor_depth;
    return stored * weight->factors[group * TILE_COLUMNS + place];
}

static void pack_panel(void *panel, const void *weight, size_t weight_stride, size_t count,
                       size_t depth, enum weight_format format) {
    ASSUME(count > 0 && count <= TILE_COLUMNS);
    ASSUME(weight_stride >= depth);
    if (format == WEIGHT_I4) {
        pack_nibbles(panel, weight, weight_stride, count, depth, TILE_COLUMNS);
        return;
    }
    size_t bytes = format == WEIGHT_F32 ? 4 : format == WEIGHT_I8 ? 1 : 2;
    char *to = panel;
    const char *from = weight;
    for (size_t d = 0; d < depth; d++) {
        for (size_t column = 0; column < TILE_COLUMNS; column++, to += bytes) {
            if (column < count) {
                memcpy(to, from + (column * weight_stride + d) * bytes, bytes);
            } else {
                memset(to, 0, bytes);
            }
        }
    }
}

/// Nothing is expanded here.
static size_t product_scratch_count(enum weight_format format, size_t columns, size_t depth) {
    (void)format;
    (void)columns;
    (void)depth;
    return 0;
}

static void gemm(const struct gemm_f32_args *args, float *scratch, size_t row_begin, size_t row_end,
                 size_t panel_begin, size_t panel_end) {
    (void)scratch;
    ASSUME(row_end <= args->rows);
    ASSUME(args->a_stride >= args->depth && args->y_stride >= args->columns);
    for (size_t row = row_begin; row < row_end; row++) {
        for (size_t column = panel_begin * TILE_COLUMNS;
             column < panel_end * TILE_COLUMNS && column < args->columns; column++) {
            double sum = 0;
            for (size_t d = 0; d < args->depth; d++) {
                sum += (double)args->a[row * args->a_stride + d] *
                       weight_at(&args->weight, args->depth, column, d);
            }
            args->y[row * args->y_stride + column] = finish(sum, &args->epilogue, row, column);
        }
    }
}

/// The pixel of the image that an output pixel's tap reads, or the zeros.
static const float *tap_pixel(const struct conv2d_f32_args *args, size_t pixel, size_t kernel_row,
                              size_t kernel_column) {
    size_t output_x = pixel % args->output_width;
    size_t output_y = pixel / args->output_width % args->output_height;
    size_t image = pixel / args->output_width / args->output_height;
    size_t y = output_y * args->stride_height + kernel_row * args->dilation_height;
    size_t x = output_x * args->stride_width + kernel_column * args->dilation_width;
    if (y < args->pad_top || y - args->pad_top >= args->input_height * args->upsample ||
        x < args->pad_left || x - args->pad_left >= args->input_width * args->upsample) {
        return args->zeros;
    }
    y = (y - args->pad_top) / args->upsample;
    x = (x - args->pad_left) / args->upsample;
    return args->x +
           ((image * args->input_height + y) * args->input_width + x) * args->x_pixel_stride;
}

static double window_sum(const struct conv2d_f32_args *args, size_t pixel, size_t column) {
    size_t depth = args->kernel_height * args->kernel_width * args->input_channels;
    double sum = 0;
    size_t d = 0;
    for (size_t kernel_row = 0; kernel_row < args->kernel_height; kernel_row++) {
        for (size_t kernel_column = 0; kernel_column < args->kernel_width; kernel_column++) {
            const float *x = tap_pixel(args, pixel, kernel_row, kernel_column);
            for (size_t channel = 0; channel < args->input_channels; channel++, d++) {
                sum += (double)x[channel] * weight_at(&args->weight, depth, column, d);
            }
        }
    }
    return sum;
}

static void conv2d(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                   size_t pixel_end, size_t panel_begin, size_t panel_end) {
    (void)scratch;
    ASSUME(pixel_end <= args->batch * args->output_height * args->output_width);
    ASSUME(args->upsample == 1 || args->upsample == 2);
    for (size_t pixel = pixel_begin; pixel < pixel_end; pixel++) {
        for (size_t column = panel_begin * TILE_COLUMNS;
             column < panel_end * TILE_COLUMNS && column < args->output_channels; column++) {
            double sum = window_sum(args, pixel, column);
            args->y[pixel * args->y_pixel_stride + column] =
                finish(sum, &args->epilogue, pixel, column);
        }
    }
}

static size_t winograd_scratch_count(const struct conv2d_f32_args *args, size_t tile_count) {
    (void)args;
    (void)tile_count;
    return 0;
}

/// What fast convolution must come near: the plain one, over the tiles' pixels.
static void winograd(const struct conv2d_f32_args *args, float *scratch, size_t tile_begin,
                     size_t tile_end, size_t panel_begin, size_t panel_end) {
    size_t side = args->winograd_side * args->upsample;
    size_t columns = winograd_tile_columns(args), rows = winograd_tile_rows(args);
    for (size_t tile = tile_begin; tile < tile_end; tile++) {
        size_t image = tile / columns / rows, top = tile / columns % rows * side;
        size_t left = tile % columns * side;
        size_t right = left + side < args->output_width ? left + side : args->output_width;
        for (size_t row = top; row < top + side && row < args->output_height; row++) {
            size_t first = (image * args->output_height + row) * args->output_width;
            conv2d(args, scratch, first + left, first + right, panel_begin, panel_end);
        }
    }
}

const struct gemm_f32_kernels gemm_f32_scalar = {
    .tile_rows = 1,
    .tile_columns = TILE_COLUMNS,
    .pack_panel = pack_panel,
    .product_scratch_count = product_scratch_count,
    .gemm = gemm,
    .conv2d = conv2d,
    .winograd_scratch_count = winograd_scratch_count,
    .winograd = winograd,
};
