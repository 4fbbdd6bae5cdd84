// Depthwise convolution over the vocabulary of simd.h. Lanes are channels; a block of neighbouring
// output pixels shares the loads of the weights. The level's file defines DEPTHWISE_VECTORS, the
// vectors of channels that a block of four pixels has registers for.
#include "epilogue_f32_body.h"

enum { DEPTHWISE_PIXELS = 4 };

/// Neighbouring output pixels of one row.
struct pixel_block {
    const float *image;  // of the batch
    size_t first;        // index in y
    size_t output_x;
    ptrdiff_t top;       // input row of the window's first tap; negative in the padding
};

/// The floats that a tap reads, from channel 0 on; NULL in the padding.
ALWAYS_INLINE const float *depthwise_tap(const struct conv2d_f32_args *args, const float *line,
                                         size_t output_x, size_t kernel_column) {
    // Left of the image the subtraction wraps around: past any image.
    size_t left = output_x * args->stride_width - args->pad_left;
    size_t x = left + kernel_column * args->dilation_width;
    return line && x < args->input_width ? line + x * args->x_pixel_stride : NULL;
}

/// `pixels` outputs x `vectors` of channels from `channel` on, both constants where this is inlined.
/// Of each vector `count` channels are wanted: all of them, unless vectors is 1.
ALWAYS_INLINE void depthwise_block(const struct conv2d_f32_args *args, struct pixel_block block,
                                   size_t channel, size_t count, const size_t pixels,
                                   const size_t vectors) {
    vec sums[DEPTHWISE_PIXELS][DEPTHWISE_VECTORS];
    for (size_t p = 0; p < pixels; p++) {
        for (size_t v = 0; v < vectors; v++) {
            sums[p][v] = v_zero();
        }
    }
    const float *weight = (const float *)args->weight.values + channel;
    for (size_t kernel_row = 0; kernel_row < args->kernel_height; kernel_row++) {
        size_t y = (size_t)(block.top + (ptrdiff_t)(kernel_row * args->dilation_height));
        const float *line = y < args->input_height
                                ? block.image + y * args->input_width * args->x_pixel_stride
                                : NULL;
        for (size_t kernel_column = 0; kernel_column < args->kernel_width; kernel_column++) {
            vec w[DEPTHWISE_VECTORS];
            for (size_t v = 0; v < vectors; v++) {
                w[v] = v_load_first(weight + v * LANES, count);
            }
            for (size_t p = 0; p < pixels; p++) {
                const float *x = depthwise_tap(args, line, block.output_x + p, kernel_column);
                if (!x) {
                    continue;
                }
                for (size_t v = 0; v < vectors; v++) {
                    vec t = v_load_first(x + channel + v * LANES, count);
                    sums[p][v] = v_fma(t, w[v], sums[p][v]);
                }
            }
            weight += args->output_channels;
        }
    }
    for (size_t p = 0; p < pixels; p++) {
        float *y = args->y + (block.first + p) * args->y_pixel_stride + channel;
        for (size_t v = 0; v < vectors; v++) {
            vec t = v_epilogue(sums[p][v], &args->epilogue, block.first + p, channel + v * LANES,
                               count);
            v_store_first(y + v * LANES, t, count);
        }
    }
}

/// All channels of `pixels` neighbouring outputs.
ALWAYS_INLINE void depthwise_pixels(const struct conv2d_f32_args *args, struct pixel_block block,
                                    const size_t pixels) {
    size_t channel = 0, channels = args->output_channels;
    for (; channel + DEPTHWISE_VECTORS * LANES <= channels; channel += DEPTHWISE_VECTORS * LANES) {
        depthwise_block(args, block, channel, LANES, pixels, DEPTHWISE_VECTORS);
    }
    for (; channel + LANES <= channels; channel += LANES) {
        depthwise_block(args, block, channel, LANES, pixels, 1);
    }
    if (channel < channels) {
        depthwise_block(args, block, channel, channels - channel, pixels, 1);
    }
}

static void depthwise_f32(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end) {
    ASSUME(args->input_channels == args->output_channels && args->upsample == 1);
    ASSUME(row_end <= args->batch * args->output_height);
    ASSUME(args->y_pixel_stride >= args->output_channels);
    for (size_t row = row_begin; row < row_end; row++) {
        size_t output_y = row % args->output_height;
        size_t image = row / args->output_height;
        struct pixel_block block = {
            .image = args->x +
                     image * args->input_height * args->input_width * args->x_pixel_stride,
            .top = (ptrdiff_t)(output_y * args->stride_height) - (ptrdiff_t)args->pad_top,
            .first = row * args->output_width,
        };
        for (; block.output_x + DEPTHWISE_PIXELS <= args->output_width;
             block.output_x += DEPTHWISE_PIXELS, block.first += DEPTHWISE_PIXELS) {
            depthwise_pixels(args, block, DEPTHWISE_PIXELS);
        }
        for (; block.output_x < args->output_width; block.output_x++, block.first++) {
            depthwise_pixels(args, block, 1);
        }
    }
}
