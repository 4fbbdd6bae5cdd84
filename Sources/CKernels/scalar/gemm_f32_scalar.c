// The specification of matrix products and convolution: for each sum one chain of fused multiply-adds, over depth in
// ascending order.
#include "../internal.h"
#include "../shared/pack_nibbles.h"
#include "products_scalar.h"

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
static size_t product_scratch_count(enum weight_format format, size_t columns, size_t depth, bool has_residual) {
    (void)format;
    (void)columns;
    (void)depth;
    (void)has_residual;
    return 0;
}

/// sums[c] += x[i] * weight[c, begin + i], i in 0 ..< count, of one panel's columns.
static void add_products(float sums[TILE_COLUMNS], const float *x, size_t count,
                         const struct packed_weight *weight, size_t depth, size_t panel, size_t begin) {
    for (size_t i = 0; i < count; i++) {
        float row[TILE_COLUMNS];
        weights_at(row, weight, depth, panel, begin + i);
        for (size_t column = 0; column < TILE_COLUMNS; column++) {
            sums[column] = fmaf(x[i], row[column], sums[column]);
        }
    }
}

static void gemm(const struct gemm_f32_args *args, float *scratch, size_t row_begin, size_t row_end,
                 size_t panel_begin, size_t panel_end) {
    (void)scratch;
    ASSUME(row_end <= args->rows);
    ASSUME(args->a_stride >= args->depth && args->y_stride >= args->columns);
    for (size_t row = row_begin; row < row_end; row++) {
        for (size_t panel = panel_begin; panel < panel_end; panel++) {
            float sums[TILE_COLUMNS] = {0};
            add_products(sums, args->a + row * args->a_stride, args->depth, &args->weight, args->depth,
                         panel, 0);
            finish_panel(args->y + row * args->y_stride, sums, &args->epilogue, row, panel, args->columns);
        }
    }
}

static void conv2d(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                   size_t pixel_end, size_t panel_begin, size_t panel_end) {
    (void)scratch;
    ASSUME(pixel_end <= args->batch * args->output_height * args->output_width);
    ASSUME(args->upsample == 1 || args->upsample == 2);
    size_t taps = args->kernel_height * args->kernel_width, channels = args->input_channels;
    for (size_t pixel = pixel_begin; pixel < pixel_end; pixel++) {
        for (size_t panel = panel_begin; panel < panel_end; panel++) {
            float sums[TILE_COLUMNS] = {0};
            for (size_t tap = 0; tap < taps; tap++) {
                const float *x =
                    tap_pixel(args, pixel, tap / args->kernel_width, tap % args->kernel_width);
                add_products(sums, x, channels, &args->weight, taps * channels, panel, tap * channels);
            }
            finish_panel(args->y + pixel * args->y_pixel_stride, sums, &args->epilogue, pixel, panel,
                         args->output_channels);
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
    .halves_tile_rows = 1,
    .gemm_halves = gemm_halves_scalar,
    .conv2d_halves = conv2d_halves_scalar,
    .winograd_scratch_count = winograd_scratch_count_scalar,
    .winograd = winograd_scalar,
};
