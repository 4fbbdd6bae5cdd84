// Convolution over patches: where the pixels of a tile are neighbours in a row of the output, their windows
// overlap in the image. The piece of the image that they cover is copied once, and each window is found in it
// as one run for each row of the kernel. Needs conv2d_gather.h.

/// Whether tiles read patches: the copy of a whole tile fits where its gathered rows would.
static bool reads_patches(const CONVOLUTION *args) {
    size_t run = args->kernel_width * args->input_channels;
    return args->dilation_height == 1 && args->dilation_width == 1 && args->upsample == 1 &&
           args->stride_width <= args->kernel_width && args->output_width >= TILE_ROWS / 2 &&
           args->kernel_height > 1 && run % DEPTH_GROUP == 0 &&
           run * args->kernel_height <= DEPTH_LONGEST;
}

/// Elements from one row of a patch to the next.
static size_t patch_pitch(const CONVOLUTION *args) {
    return ((TILE_ROWS - 1) * args->stride_width + args->kernel_width) * args->input_channels;
}

/// `columns` pixels of a row of the image, from column `left` on.
ALWAYS_INLINE void copy_patch_row(ELEMENT *a, const ELEMENT *line, ptrdiff_t left, size_t columns,
                                  const CONVOLUTION *args) {
    size_t channels = args->input_channels, width = args->input_width;
    size_t before = left < 0 ? smaller((size_t)-left, columns) : 0;
    size_t first = (size_t)(left + (ptrdiff_t)before);
    size_t inside = first < width ? smaller(width - first, columns - before) : 0;
    gather_padding(a, before * channels, args);
    a += before * channels;
    const ELEMENT *from = line + first * args->x_pixel_stride;
    if (args->x_pixel_stride == channels) {
        gather_run(a, from, inside * channels);
    } else {
        for (size_t column = 0; column < inside; column++) {
            gather_run(a + column * channels, from + column * args->x_pixel_stride, channels);
        }
    }
    gather_padding(a + inside * channels, (columns - before - inside) * channels, args);
}

/// The pixels of the image's row that the next tile will be the first to read.
ALWAYS_INLINE void prefetch_pixels(const ELEMENT *line, ptrdiff_t left, const CONVOLUTION *args) {
    size_t bytes = TILE_ROWS * args->stride_width * args->x_pixel_stride * sizeof *line;
    const char *from = (const char *)(line + left * (ptrdiff_t)args->x_pixel_stride);
    for (size_t i = 0; i < bytes; i += LINE) {
        __builtin_prefetch(from + i);
    }
}

/// The patch of some pixels of one output row: [kernel_height, patch_pitch]. The depth is all of it.
static void gather_patch(ELEMENT *a, const void *convolution, size_t row_begin, size_t row_count,
                         size_t depth_begin, size_t depth_count) {
    const CONVOLUTION *args = convolution;
    (void)depth_begin, (void)depth_count;
    size_t pitch = patch_pitch(args);
    size_t columns = (row_count - 1) * args->stride_width + args->kernel_width;
    struct window window = window_of(args, row_begin);
    for (size_t kernel_row = 0; kernel_row < args->kernel_height; kernel_row++, a += pitch) {
        // Negative coordinates become huge.
        size_t row = (size_t)window.top + kernel_row;
        if (row < args->input_height) {
            const ELEMENT *line = window.image + row * args->input_width * args->x_pixel_stride;
            copy_patch_row(a, line, window.left, columns, args);
            if (kernel_row + 1 == args->kernel_height) {
                prefetch_pixels(line, window.left + (ptrdiff_t)columns, args);
            }
        } else {
            gather_padding(a, columns * args->input_channels, args);
        }
    }
}
