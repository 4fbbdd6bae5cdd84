// The specification of pooling, resampling, layout and the expansion of stored weights.
#include "../internal.h"

static void max_pool_f32(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end) {
    for (size_t row = row_begin; row < row_end; row++) {
        size_t image = row / args->output_height;
        size_t top = row % args->output_height * args->stride_height - args->pad_top;
        for (size_t column = 0; column < args->output_width; column++) {
            size_t left = column * args->stride_width - args->pad_left;
            for (size_t c = 0; c < args->input_channels; c++) {
                float highest = -INFINITY;
                for (size_t y = 0; y < args->kernel_height; y++) {
                    for (size_t x = 0; x < args->kernel_width; x++) {
                        // Positions above or left of the image wrap around: past any image.
                        if (top + y >= args->input_height || left + x >= args->input_width) {
                            continue;
                        }
                        size_t line = image * args->input_height + top + y;
                        size_t pixel = line * args->input_width + left + x;
                        highest = fmaxf(highest, args->x[pixel * args->x_pixel_stride + c]);
                    }
                }
                args->y[(row * args->output_width + column) * args->y_pixel_stride + c] = highest;
            }
        }
    }
}

static void max_pool_i8(const struct conv2d_i8_args *args, size_t row_begin, size_t row_end) {
    size_t channels = args->input_channels;
    for (size_t i = row_begin * args->output_width; i < row_end * args->output_width; i++) {
        size_t row = i / args->output_width, column = i % args->output_width;
        size_t image = row / args->output_height * args->input_height;
        size_t top = row % args->output_height * args->stride_height - args->pad_top;
        size_t left = column * args->stride_width - args->pad_left;
        int8_t *y = args->epilogue.integers + i * args->y_pixel_stride;
        memset(y, -128, channels);
        for (size_t tap = 0; tap < args->kernel_height * args->kernel_width; tap++) {
            size_t from_row = top + tap / args->kernel_width;
            size_t from_column = left + tap % args->kernel_width;
            if (from_row >= args->input_height || from_column >= args->input_width) {
                continue;
            }
            size_t pixel = (image + from_row) * args->input_width + from_column;
            const int8_t *x = args->x + pixel * args->x_pixel_stride;
            for (size_t c = 0; c < channels; c++) {
                y[c] = x[c] > y[c] ? x[c] : y[c];
            }
        }
    }
}

static void upsample2x_f32(float *y, const float *x, size_t width, size_t channels,
                           size_t row_begin, size_t row_end) {
    ASSUME(y != x);
    ASSUME(width > 0 && channels > 0);
    for (size_t row = row_begin; row < row_end; row++) {
        const float *source = x + row / 2 * width * channels;
        float *target = y + row * 2 * width * channels;
        for (size_t column = 0; column < 2 * width; column++) {
            memcpy(target + column * channels, source + column / 2 * channels,
                   channels * sizeof(float));
        }
    }
}

/// Taps [begin, end) of a kernel that is laid over positions from `first` on lie in `limit` positions.
struct taps {
    size_t begin, end;
};
static struct taps taps_inside(size_t kernel, size_t position, size_t before, size_t limit) {
    struct taps taps = {position < before ? before - position : 0, kernel};
    if (position + kernel > limit + before) {
        taps.end = limit + before > position ? limit + before - position : 0;
    }
    return taps;
}

enum { SUMMED_TOGETHER = 4 };

/// One pixel's sums of `count` <= SUMMED_TOGETHER channels from `channel` on; x is the window's corner.
static void sum_pixel(const struct sum_taps_args *args, float *y, const float *x, struct taps rows,
                      struct taps columns, size_t channel, size_t count) {
    size_t kernel = args->kernel, stride = kernel * kernel * args->channels;
    float sums[SUMMED_TOGETHER] = {0};
    for (size_t c = 0; c < count; c++) {
        sums[c] = args->bias ? args->bias[channel + c] : 0;
    }
    for (size_t i = rows.begin; i < rows.end; i++) {
        for (size_t j = columns.begin; j < columns.end; j++) {
            const float *tap = x + (ptrdiff_t)((i * args->width + j) * stride +
                                               (i * kernel + j) * args->channels + channel);
            for (size_t c = 0; c < count; c++) {
                sums[c] += tap[c];
            }
        }
    }
    memcpy(y + channel, sums, count * sizeof(float));
}

static void sum_taps_f32(const struct sum_taps_args *args, size_t row_begin, size_t row_end) {
    ASSUME(args->kernel > 0 && args->channels > 0);
    ASSUME(args->width > 0 && args->height > 0);
    size_t channels = args->channels, kernel = args->kernel;
    ptrdiff_t stride = (ptrdiff_t)(kernel * kernel * channels);
    for (size_t row = row_begin; row < row_end; row++) {
        struct taps rows = taps_inside(kernel, row, args->top, args->height);
        for (size_t column = 0; column < args->output_width; column++) {
            struct taps columns = taps_inside(kernel, column, args->left, args->width);
            ptrdiff_t line = (ptrdiff_t)row - (ptrdiff_t)args->top;
            ptrdiff_t place = (ptrdiff_t)column - (ptrdiff_t)args->left;
            const float *x = args->x + (line * (ptrdiff_t)args->width + place) * stride;
            float *y = args->y + (row * args->output_width + column) * channels;
            // Three channels, those of a picture, with constants.
            if (channels == 3 && kernel == 3) {
                sum_pixel(args, y, x, rows, columns, 0, 3);
                continue;
            }
            for (size_t c = 0; c < channels; c += SUMMED_TOGETHER) {
                size_t left = channels - c;
                sum_pixel(args, y, x, rows, columns, c,
                          left < SUMMED_TOGETHER ? left : SUMMED_TOGETHER);
            }
        }
    }
}

/// Three planes to pixels. No places overlap, so that compilers use the machine's interleaving.
static void pixels_from_planes(float *restrict y, const float *restrict x, size_t plane_stride,
                               size_t pixels) {
    const float *restrict second = x + plane_stride, *restrict third = second + plane_stride;
    for (size_t p = 0; p < pixels; p++) {
        y[3 * p] = x[p];
        y[3 * p + 1] = second[p];
        y[3 * p + 2] = third[p];
    }
}

static void planes_from_pixels(float *restrict y, size_t plane_stride, const float *restrict x,
                               size_t pixels) {
    float *restrict second = y + plane_stride, *restrict third = second + plane_stride;
    for (size_t p = 0; p < pixels; p++) {
        y[p] = x[3 * p];
        second[p] = x[3 * p + 1];
        third[p] = x[3 * p + 2];
    }
}

// Blocks that fit in the first-level cache twice, so that neither side strides through memory.
static void transpose_f32(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows,
                          size_t columns) {
    ASSUME(y_stride >= rows);
    ASSUME(x_stride >= columns);
    enum { BLOCK = 16 };
    if (rows == 3 && y_stride == 3) {
        pixels_from_planes(y, x, x_stride, columns);
        return;
    }
    if (columns == 3 && x_stride == 3) {
        planes_from_pixels(y, y_stride, x, rows);
        return;
    }
    for (size_t row = 0; row < rows; row += BLOCK) {
        size_t row_end = row + BLOCK < rows ? row + BLOCK : rows;
        for (size_t column = 0; column < columns; column += BLOCK) {
            size_t column_end = column + BLOCK < columns ? column + BLOCK : columns;
            for (size_t c = column; c < column_end; c++) {
                for (size_t r = row; r < row_end; r++) {
                    y[c * y_stride + r] = x[r * x_stride + c];
                }
            }
        }
    }
}

static void widen_pixels_i8(int8_t *y, const int8_t *x, size_t pixels, size_t channels, int8_t value) {
    ASSUME(channels > 0 && channels < 4);
    uint32_t own = UINT32_MAX >> 8 * (4 - channels);
    uint32_t others = ~own & 0x01010101u * (uint8_t)value;
    size_t p = 0;
    for (; channels * p + 4 <= channels * pixels; p++) {
        uint32_t word;
        memcpy(&word, x + channels * p, sizeof word);
        word = (word & own) | others;
        memcpy(y + 4 * p, &word, sizeof word);
    }
    // Behind the last ones memory may be another's.
    for (; p < pixels; p++) {
        int8_t pixel[4] = {value, value, value, value};
        memcpy(pixel, x + channels * p, channels);
        memcpy(y + 4 * p, pixel, sizeof pixel);
    }
}

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

float half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 0) {
        return from_bits(sign | 0x3f800000) * (float)fraction * 0x1p-24f;
    }
    if (exponent == 31) {
        // Conversions make a NaN quiet, as hardware does.
        return from_bits(sign | 0x7f800000 | fraction << 13 | (fraction ? 0x400000 : 0));
    }
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static void f32_from_f16(float *y, const uint16_t *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = half_to_float(x[i]);
    }
}

static void f32_from_bf16(float *y, const uint16_t *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = from_bits((uint32_t)x[i] << 16);
    }
}

static void f32_from_i8(float *y, const int8_t *x, size_t count, float scale) {
    for (size_t i = 0; i < count; i++) {
        y[i] = (float)x[i] * scale;
    }
}

static void f32_from_i4(float *y, const uint8_t *x, const float *scale, size_t count,
                        size_t group) {
    for (size_t i = 0; i < count; i++) {
        int nibble = i % 2 == 0 ? x[i / 2] & 15 : x[i / 2] >> 4;
        y[i] = (float)(nibble - 8) * scale[i / group];
    }
}

void table_scalar_layout(struct kernel_table *table);

void table_scalar_layout(struct kernel_table *table) {
    table->max_pool_f32 = max_pool_f32;
    table->max_pool_i8 = max_pool_i8;
    table->upsample2x_f32 = upsample2x_f32;
    table->sum_taps_f32 = sum_taps_f32;
    table->transpose_f32 = transpose_f32;
    table->widen_pixels_i8 = widen_pixels_i8;
    table->f32_from_f16 = f32_from_f16;
    table->f32_from_bf16 = f32_from_bf16;
    table->f32_from_i8 = f32_from_i8;
    table->f32_from_i4 = f32_from_i4;
}
