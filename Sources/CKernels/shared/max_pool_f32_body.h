// Max pooling over the vocabulary of simd.h: lanes are channels.

/// The range of window positions 0 ..< window that lie inside an image of `extent`, for a window at `start`
/// (which wraps around below 0).
ALWAYS_INLINE void window_range(size_t start, size_t window, size_t extent, size_t *begin,
                                size_t *end) {
    *begin = 0;
    while (*begin < window && start + *begin >= extent) {
        (*begin)++;
    }
    *end = *begin;
    while (*end < window && start + *end < extent) {
        (*end)++;
    }
}

static void max_pool_f32(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end) {
    ASSUME(row_end <= args->batch * args->output_height);
    ASSUME(args->input_channels == args->output_channels);
    for (size_t row = row_begin; row < row_end; row++) {
        size_t image = row / args->output_height;
        size_t top = row % args->output_height * args->stride_height - args->pad_top;
        size_t y0, y1, x0, x1;
        window_range(top, args->kernel_height, args->input_height, &y0, &y1);
        for (size_t column = 0; column < args->output_width; column++) {
            size_t left = column * args->stride_width - args->pad_left;
            window_range(left, args->kernel_width, args->input_width, &x0, &x1);
            float *target = args->y + (row * args->output_width + column) * args->y_pixel_stride;
            for (size_t c = 0; c < args->input_channels; c += LANES) {
                size_t n = args->input_channels - c;
                vec highest = v_set1(-INFINITY);
                for (size_t y = y0; y < y1; y++) {
                    for (size_t x = x0; x < x1; x++) {
                        size_t pixel = (image * args->input_height + top + y) * args->input_width +
                                       left + x;
                        const float *p = args->x + pixel * args->x_pixel_stride + c;
                        highest = v_max(highest, n >= LANES ? v_load(p) : v_load_n(p, n));
                    }
                }
                if (n >= LANES) {
                    v_store(target + c, highest);
                } else {
                    v_store_n(target + c, highest, n);
                }
            }
        }
    }
}
