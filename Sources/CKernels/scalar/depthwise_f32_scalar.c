// The specification of depthwise convolution: plain loops over chains of fused multiply-adds.
#include "../internal.h"
#include "epilogue_f32_scalar.h"

/// The sum over the window of one output pixel in one channel.
static float window_sum(const struct conv2d_f32_args *args, size_t row, size_t output_x,
                        size_t channel) {
    size_t image = row / args->output_height;
    size_t top = row % args->output_height * args->stride_height;
    size_t left = output_x * args->stride_width;
    const float *weight = args->weight.values;
    float sum = 0;
    for (size_t kernel_row = 0; kernel_row < args->kernel_height; kernel_row++) {
        for (size_t kernel_column = 0; kernel_column < args->kernel_width; kernel_column++) {
            // In the padding the subtraction wraps around: past any image.
            size_t y = top + kernel_row * args->dilation_height - args->pad_top;
            size_t x = left + kernel_column * args->dilation_width - args->pad_left;
            if (y < args->input_height && x < args->input_width) {
                size_t pixel = (image * args->input_height + y) * args->input_width + x;
                size_t tap = kernel_row * args->kernel_width + kernel_column;
                sum = fmaf(args->x[pixel * args->x_pixel_stride + channel],
                           weight[tap * args->output_channels + channel], sum);
            }
        }
    }
    return sum;
}

void depthwise_f32_scalar(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end) {
    ASSUME(args->input_channels == args->output_channels && args->upsample == 1);
    ASSUME(row_end <= args->batch * args->output_height);
    for (size_t row = row_begin; row < row_end; row++) {
        for (size_t x = 0; x < args->output_width; x++) {
            size_t pixel = row * args->output_width + x;
            for (size_t channel = 0; channel < args->output_channels; channel++) {
                float sum = window_sum(args, row, x, channel);
                args->y[pixel * args->y_pixel_stride + channel] =
                    finish(sum, &args->epilogue, pixel, channel);
            }
        }
    }
}
