// Convolution as a matrix product: the gathering of gemm_f32_body.h, from images. A row of the left
// operand is an output pixel; its depth runs over kernel rows, kernel columns, channels.

/// Where an output pixel's window begins in the (enlarged) input; negative in the padding.
struct window {
    const float *image;
    ptrdiff_t top, left;
};

/// Where in the kernel a gathering begins.
struct kernel_position {
    size_t row, column, channel;
};

static struct window window_of(const struct conv2d_f32_args *args, size_t pixel) {
    size_t x = pixel % args->output_width;
    size_t y = pixel / args->output_width % args->output_height;
    size_t image = pixel / args->output_width / args->output_height;
    size_t image_count = args->input_height * args->input_width * args->x_pixel_stride;
    return (struct window){
        .image = args->x + image * image_count,
        .top = (ptrdiff_t)(y * args->stride_height) - (ptrdiff_t)args->pad_top,
        .left = (ptrdiff_t)(x * args->stride_width) - (ptrdiff_t)args->pad_left,
    };
}

/// The window of the output pixel that follows in the same row, when there is one.
static struct window window_after(const struct conv2d_f32_args *args, struct window window,
                                  size_t pixel) {
    if ((pixel + 1) % args->output_width == 0) {
        return window_of(args, pixel + 1);
    }
    window.left += (ptrdiff_t)args->stride_width;
    return window;
}

/// The pixel that a tap reads, or the zeros.
ALWAYS_INLINE const float *tap_pixel(const struct conv2d_f32_args *args, struct window window,
                                     size_t kernel_row, size_t kernel_column) {
    // Negative coordinates become huge: one comparison finds both sides.
    size_t row = (size_t)(window.top + (ptrdiff_t)(kernel_row * args->dilation_height));
    size_t column = (size_t)(window.left + (ptrdiff_t)(kernel_column * args->dilation_width));
    if (row >= args->input_height * args->upsample || column >= args->input_width * args->upsample) {
        return args->zeros;
    }
    size_t halving = args->upsample - 1;
    return window.image +
           ((row >> halving) * args->input_width + (column >> halving)) * args->x_pixel_stride;
}

/// Gathers `depth_count` floats of one output pixel's window, from a position of the kernel on.
static void gather_window(float *a, const struct conv2d_f32_args *args, struct window window,
                          struct kernel_position at, size_t depth_count) {
    // Where the taps of a kernel row are neighbours in memory they are one run: with few channels
    // the runs' overhead counts, not the floats.
    bool is_joined = args->x_pixel_stride == args->input_channels && args->dilation_width == 1 &&
                     args->upsample == 1 && window.left >= 0 &&
                     (size_t)window.left + args->kernel_width <= args->input_width;
    while (depth_count > 0) {
        const float *x = tap_pixel(args, window, at.row, at.column);
        size_t taps = is_joined && x != args->zeros ? args->kernel_width - at.column : 1;
        size_t count = smaller(taps * args->input_channels - at.channel, depth_count);
        gather_run(a, x + at.channel, count);
        a += count;
        depth_count -= count;
        at.channel = 0;
        at.column += taps;
        if (at.column == args->kernel_width) {
            at.column = 0;
            at.row++;
        }
    }
}

static void gather_pixels(float *a, const void *args, size_t row_begin, size_t row_count,
                          size_t depth_begin, size_t depth_count) {
    const struct conv2d_f32_args *conv = args;
    size_t tap = depth_begin / conv->input_channels;
    struct kernel_position at = {
        .row = tap / conv->kernel_width,
        .column = tap % conv->kernel_width,
        .channel = depth_begin % conv->input_channels,
    };
    struct window window = window_of(conv, row_begin);
    for (size_t row = 0; row < row_count; row++) {
        gather_window(a + row * GATHERED_STRIDE, conv, window, at, depth_count);
        window = window_after(conv, window, row_begin + row);
    }
}

static void conv2d_f32(const struct conv2d_f32_args *args, size_t pixel_begin, size_t pixel_end,
                       size_t panel_begin, size_t panel_end) {
    ASSUME(pixel_end <= args->batch * args->output_height * args->output_width);
    ASSUME(args->upsample == 1 || args->upsample == 2);
    ASSUME(args->x_pixel_stride >= args->input_channels && args->input_channels > 0);
    struct product_f32 product = {
        .gather = gather_pixels,
        .args = args,
        .packed = args->packed,
        .y = args->y,
        .y_stride = args->y_pixel_stride,
        .columns = args->output_channels,
        .depth = args->kernel_height * args->kernel_width * args->input_channels,
        .epilogue = &args->epilogue,
    };
    multiply(&product, (struct range){pixel_begin, pixel_end},
             (struct range){panel_begin, panel_end});
}
