// The specification of products in half precision: blocks of depth add up in it, blocks to each other in f32.
#include "../internal.h"
#include "../shared/pack_nibbles.h"
#include "products_scalar.h"

/// The nearest number of binary16, ties to even.
static double round_to_half(double x) {
    const double overflow = 65520, smallest_normal = 0x1p-14, last_place = 0x1.8p52 * 0x1p-24;
    double magnitude = fabs(x);
    if (!(magnitude < overflow)) {
        return magnitude >= overflow ? copysign(INFINITY, x) : x;
    }
    if (magnitude < smallest_normal) {
        return copysign(magnitude + last_place - last_place, x);
    }
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += ((uint64_t)1 << 41) - 1 + (bits >> 42 & 1);
    bits &= ~(((uint64_t)1 << 42) - 1);
    memcpy(&x, &bits, sizeof bits);
    return x;
}

/// The sums of one row and panel, on their way through depth.
struct half_sums {
    float sums[TILE_COLUMNS];
    double block[TILE_COLUMNS];
};

/// Adds the products of depth [begin, begin + count), with x the left operand from there on.
static void add_halves(struct half_sums *to, const float *x, size_t count, const struct packed_weight *weight,
                       size_t depth, size_t panel, size_t begin) {
    for (size_t d = begin; d < begin + count; d++) {
        double left = round_to_half(x[d - begin]);
        for (size_t column = 0; column < TILE_COLUMNS; column++) {
            // Exact, or so much smaller than the sum that double's rounding of both decides nothing.
            double product = left * stored_at(weight, (panel * depth + d) * TILE_COLUMNS + column);
            to->block[column] = round_to_half(product + to->block[column]);
        }
        if ((d + 1) % HALVES_BLOCK == 0 || d + 1 == depth) {
            for (size_t column = 0; column < TILE_COLUMNS; column++) {
                to->sums[column] += (float)to->block[column];
                to->block[column] = 0;
            }
        }
    }
}

static void finish_halves(float *y, struct half_sums *from, const struct packed_weight *weight,
                          const struct epilogue_f32 *epilogue, size_t row, size_t panel, size_t columns) {
    for (size_t column = 0; weight->factors && column < TILE_COLUMNS; column++) {
        from->sums[column] *= weight->factors[panel * TILE_COLUMNS + column];
    }
    finish_panel(y, from->sums, epilogue, row, panel, columns);
}

void gemm_halves_scalar(const struct gemm_f32_args *args, float *scratch, size_t row_begin, size_t row_end,
                        size_t panel_begin, size_t panel_end) {
    (void)scratch;
    ASSUME(row_end <= args->rows && args->weight.format == WEIGHT_F16);
    ASSUME(args->a_stride >= args->depth && args->y_stride >= args->columns);
    for (size_t row = row_begin; row < row_end; row++) {
        for (size_t panel = panel_begin; panel < panel_end; panel++) {
            struct half_sums sums = {0};
            add_halves(&sums, args->a + row * args->a_stride, args->depth, &args->weight, args->depth, panel, 0);
            finish_halves(args->y + row * args->y_stride, &sums, &args->weight, &args->epilogue, row, panel,
                          args->columns);
        }
    }
}

void conv2d_halves_scalar(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                          size_t pixel_end, size_t panel_begin, size_t panel_end) {
    (void)scratch;
    ASSUME(pixel_end <= args->batch * args->output_height * args->output_width);
    ASSUME(args->weight.format == WEIGHT_F16);
    size_t taps = args->kernel_height * args->kernel_width, channels = args->input_channels;
    for (size_t pixel = pixel_begin; pixel < pixel_end; pixel++) {
        for (size_t panel = panel_begin; panel < panel_end; panel++) {
            struct half_sums sums = {0};
            for (size_t tap = 0; tap < taps; tap++) {
                const float *x = tap_pixel(args, pixel, tap / args->kernel_width, tap % args->kernel_width);
                add_halves(&sums, x, channels, &args->weight, taps * channels, panel, tap * channels);
            }
            finish_halves(args->y + pixel * args->y_pixel_stride, &sums, &args->weight, &args->epilogue, pixel,
                          panel, args->output_channels);
        }
    }
}
