// Convolution as a matrix product: the gathering of products' bodies, from images. A row of the left
// operand is an output pixel; its depth runs over kernel rows, kernel columns, channels.
//
// Over ELEMENT, the type of a pixel's numbers, GATHERED, that of what is gathered where it differs, CONVOLUTION, the
// type of the arguments, and the body's gather_run and gather_padding.
#ifndef GATHERED
#define GATHERED ELEMENT
#endif

/// What the windows of one gathering have in common.
struct gathering {
    const CONVOLUTION *args;
    size_t pitch;                    // elements from input row to input row
    size_t row_limit, column_limit;  // of the (enlarged) input
    size_t halving;                  // shift from the enlarged input to the stored one
    size_t joined_limit;             // windows whose left edge is below it have joined taps
    size_t kernel_row, kernel_column, channel;  // where in the kernel the depth begins
    size_t depth_count;
};

/// An output pixel and where its window begins in the (enlarged) input; negative in the padding.
struct window {
    const ELEMENT *image;
    ptrdiff_t top, left;
    size_t output_x, output_y;
};

static struct gathering gathering_of(const CONVOLUTION *args, size_t depth_begin,
                                     size_t depth_count) {
    size_t tap = depth_begin / args->input_channels;
    // Where the taps of a kernel row are neighbours in memory they are one run: with few channels
    // the runs' overhead counts, not the floats.
    bool is_joined = args->x_pixel_stride == args->input_channels && args->dilation_width == 1 &&
                     args->upsample == 1 && args->kernel_width <= args->input_width;
    return (struct gathering){
        .args = args,
        .pitch = args->input_width * args->x_pixel_stride,
        .row_limit = args->input_height * args->upsample,
        .column_limit = args->input_width * args->upsample,
        .halving = args->upsample - 1,
        .joined_limit = is_joined ? args->input_width - args->kernel_width + 1 : 0,
        .kernel_row = tap / args->kernel_width,
        .kernel_column = tap % args->kernel_width,
        .channel = depth_begin % args->input_channels,
        .depth_count = depth_count,
    };
}

static struct window window_of(const CONVOLUTION *args, size_t pixel) {
    size_t x = pixel % args->output_width;
    size_t y = pixel / args->output_width % args->output_height;
    size_t image = pixel / args->output_width / args->output_height;
    size_t image_count = args->input_height * args->input_width * args->x_pixel_stride;
    return (struct window){
        .image = args->x + image * image_count,
        .top = (ptrdiff_t)(y * args->stride_height) - (ptrdiff_t)args->pad_top,
        .left = (ptrdiff_t)(x * args->stride_width) - (ptrdiff_t)args->pad_left,
        .output_x = x,
        .output_y = y,
    };
}

ALWAYS_INLINE struct window next_window(const CONVOLUTION *args, struct window window) {
    window.left += (ptrdiff_t)args->stride_width;
    if (++window.output_x < args->output_width) {
        return window;
    }
    window.output_x = 0;
    window.left = -(ptrdiff_t)args->pad_left;
    window.top += (ptrdiff_t)args->stride_height;
    if (++window.output_y < args->output_height) {
        return window;
    }
    window.output_y = 0;
    window.top = -(ptrdiff_t)args->pad_top;
    window.image += args->input_height * args->input_width * args->x_pixel_stride;
    return window;
}

/// `count` elements of one kernel row, from a kernel column and channel on.
ALWAYS_INLINE void gather_kernel_row(GATHERED *a, const struct gathering *gathering,
                                     struct window window, size_t kernel_row,
                                     size_t kernel_column, size_t channel, size_t count) {
    const CONVOLUTION *args = gathering->args;
    // Negative coordinates become huge: one comparison finds both sides of the image.
    size_t row = (size_t)window.top + kernel_row * args->dilation_height;
    if (row >= gathering->row_limit) {
        gather_padding(a, count, args);
        return;
    }
    const ELEMENT *line = window.image + (row >> gathering->halving) * gathering->pitch;
    if ((size_t)window.left < gathering->joined_limit) {
        size_t column = (size_t)window.left + kernel_column;
        gather_run(a, line + column * args->x_pixel_stride + channel, count);
        return;
    }
    while (count > 0) {
        size_t column = (size_t)window.left + kernel_column * args->dilation_width;
        size_t run = smaller(args->input_channels - channel, count);
        if (column < gathering->column_limit) {
            column >>= gathering->halving;
            gather_run(a, line + column * args->x_pixel_stride + channel, run);
        } else {
            gather_padding(a, run, args);
        }
        a += run;
        count -= run;
        channel = 0;
        kernel_column++;
    }
}

static void gather_pixels(GATHERED *a, const void *args, size_t row_begin, size_t row_count,
                          size_t depth_begin, size_t depth_count) {
    struct gathering gathering = gathering_of(args, depth_begin, depth_count);
    struct window window = window_of(args, row_begin);
    for (size_t row = 0; row < row_count; row++) {
        GATHERED *to = a + row * GATHERED_STRIDE;
        size_t column = gathering.kernel_column, channel = gathering.channel;
        size_t left = depth_count;
        for (size_t kernel_row = gathering.kernel_row; left > 0; kernel_row++) {
            size_t whole = (gathering.args->kernel_width - column) * gathering.args->input_channels;
            size_t count = smaller(whole - channel, left);
            gather_kernel_row(to, &gathering, window, kernel_row, column, channel, count);
            to += count;
            left -= count;
            column = 0;
            channel = 0;
        }
        window = next_window(args, window);
    }
}
