// What the products of the specification have in common: a panel's numbers, and chains of multiply-adds over them.
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

/// The numbers of a panel's columns at one place of depth.
static __attribute__((unused)) void weights_at(float *row, const struct packed_weight *weight,
                                               size_t depth, size_t panel, size_t d) {
    size_t first = (panel * depth + d) * TILE_COLUMNS;
    if (weight->format == WEIGHT_F32) {
        memcpy(row, (const float *)weight->values + first, TILE_COLUMNS * sizeof *row);
        return;
    }
    size_t groups = weight->factors ? depth / weight->factor_depth : 0;
    size_t group = weight->factors ? panel * groups + d / weight->factor_depth : 0;
    for (size_t column = 0; column < TILE_COLUMNS; column++) {
        float stored = stored_at(weight, first + column);
        row[column] = weight->factors ? stored * weight->factors[group * TILE_COLUMNS + column] : stored;
    }
}

/// Stores a panel's sums of one row of the result through the epilogue.
static void finish_panel(float *y, const float sums[TILE_COLUMNS], const struct epilogue_f32 *epilogue,
                         size_t row, size_t panel, size_t columns) {
    size_t first = panel * TILE_COLUMNS;
    for (size_t column = first; column < first + TILE_COLUMNS && column < columns; column++) {
        y[column] = finish(sums[column - first], epilogue, row, column);
    }
}

/// The pixel of the image that an output pixel's tap reads, or the zeros.
static __attribute__((unused)) const float *tap_pixel(const struct conv2d_f32_args *args, size_t pixel,
                                                        size_t kernel_row, size_t kernel_column) {
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
