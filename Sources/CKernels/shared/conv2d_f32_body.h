// Convolution as a matrix product of gathered pixels.

#define ELEMENT float
#define CONVOLUTION struct conv2d_f32_args
#include "conv2d_gather.h"

static void conv2d_f32(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                       size_t pixel_end, size_t panel_begin, size_t panel_end) {
    ASSUME(pixel_end <= args->batch * args->output_height * args->output_width);
    ASSUME(args->upsample == 1 || args->upsample == 2);
    ASSUME(args->x_pixel_stride >= args->input_channels && args->input_channels > 0);
    struct product_f32 product = {
        .gather = gather_pixels,
        .args = args,
        .weight = &args->weight,
        .scratch = scratch,
        .y = args->y,
        .y_stride = args->y_pixel_stride,
        .columns = args->output_channels,
        .depth = args->kernel_height * args->kernel_width * args->input_channels,
        .epilogue = &args->epilogue,
    };
    multiply(&product, (struct range){pixel_begin, pixel_end},
             (struct range){panel_begin, panel_end});
}
