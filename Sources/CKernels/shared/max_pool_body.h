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

/// What lies in a window: `rows` times `columns` pixels from x on, elements apart.
struct pooled {
    size_t rows, columns, row_pitch, pixel_stride;
};

enum { FLOAT_STEP = 4 * LANES };

/// As `highest_f32`, of the window that most pixels of most models have and of four vectors of channels.
ALWAYS_INLINE void highest_of_nine(float *y, const float *x, struct pooled window) {
    vec highest[4];
    UNROLL
    for (size_t v = 0; v < 4; v++) {
        highest[v] = v_load(x + v * LANES);
    }
    UNROLL
    for (size_t i = 1; i < 9; i++) {
        const float *p = x + i / 3 * window.row_pitch + i % 3 * window.pixel_stride;
        UNROLL
        for (size_t v = 0; v < 4; v++) {
            highest[v] = v_max(highest[v], v_load(p + v * LANES));
        }
    }
    UNROLL
    for (size_t v = 0; v < 4; v++) {
        v_store(y + v * LANES, highest[v]);
    }
}

/// y[c] = the highest of the window's x[c], for `n` channels, of which at most FLOAT_STEP are made.
ALWAYS_INLINE void highest_f32(float *y, const float *x, struct pooled window, size_t n) {
    if (n >= FLOAT_STEP && window.rows == 3 && window.columns == 3) {
        highest_of_nine(y, x, window);
        return;
    }
    for (size_t c = 0; c < n && c < FLOAT_STEP; c += LANES) {
        bool is_whole = n - c >= LANES;
        vec highest = v_set1(-INFINITY);
        for (size_t row = 0; row < window.rows; row++) {
            const float *p = x + row * window.row_pitch + c;
            for (size_t column = 0; column < window.columns; column++, p += window.pixel_stride) {
                highest = v_max(highest, is_whole ? v_load(p) : v_load_n(p, n - c));
            }
        }
        if (is_whole) {
            v_store(y + c, highest);
        } else {
            v_store_n(y + c, highest, n - c);
        }
    }
}

enum { BYTE_LANES = 4 * LANES };
typedef int8_t pooled_bytes __attribute__((vector_size(BYTE_LANES), aligned(1)));

ALWAYS_INLINE void highest_i8(int8_t *y, const int8_t *x, struct pooled window, size_t n) {
    pooled_bytes highest;
    memset(&highest, -128, sizeof highest);
    for (size_t row = 0; row < window.rows; row++) {
        const int8_t *p = x + row * window.row_pitch;
        for (size_t column = 0; column < window.columns; column++, p += window.pixel_stride) {
            pooled_bytes lanes = {0};
            if (n >= BYTE_LANES) {
                lanes = *(const pooled_bytes *)p;
            } else {
                memcpy(&lanes, p, n);
            }
            highest = __builtin_elementwise_max(highest, lanes);
        }
    }
    memcpy(y, &highest, n >= BYTE_LANES ? BYTE_LANES : n);
}

#define MAX_POOL(name, ELEMENT, ARGUMENTS, RESULT, STEP, HIGHEST)                                   \
    static void name(const ARGUMENTS *args, size_t row_begin, size_t row_end) {                     \
        ASSUME(row_end <= args->batch * args->output_height);                                       \
        ASSUME(args->input_channels == args->output_channels);                                      \
        struct pooled window = {.row_pitch = args->input_width * args->x_pixel_stride,              \
                                .pixel_stride = args->x_pixel_stride};                              \
        for (size_t row = row_begin; row < row_end; row++) {                                        \
            size_t image = row / args->output_height * args->input_height;                          \
            size_t top = row % args->output_height * args->stride_height - args->pad_top;           \
            size_t y0, y1, x0, x1;                                                                  \
            window_range(top, args->kernel_height, args->input_height, &y0, &y1);                   \
            window.rows = y1 - y0;                                                                  \
            for (size_t column = 0; column < args->output_width; column++) {                        \
                size_t left = column * args->stride_width - args->pad_left;                         \
                window_range(left, args->kernel_width, args->input_width, &x0, &x1);                \
                window.columns = x1 - x0;                                                           \
                size_t pixel = (image + top + y0) * args->input_width + left + x0;                  \
                const ELEMENT *x = args->x + pixel * args->x_pixel_stride;                          \
                ELEMENT *y = RESULT + (row * args->output_width + column) * args->y_pixel_stride;   \
                for (size_t c = 0; c < args->input_channels; c += STEP) {                           \
                    HIGHEST(y + c, x + c, window, args->input_channels - c);                        \
                }                                                                                   \
            }                                                                                       \
        }                                                                                           \
    }
MAX_POOL(max_pool_f32, float, struct conv2d_f32_args, args->y, FLOAT_STEP, highest_f32)
MAX_POOL(max_pool_i8, int8_t, struct conv2d_i8_args, args->epilogue.integers, BYTE_LANES, highest_i8)
#undef MAX_POOL
