// Winograd's sums to pixels (see winograd_f32_body.h).

/// The pixels of a tile that are inside the image.
struct winograd_pixels {
    size_t first, row_pitch, column_pitch;  // in output pixels
    size_t rows, columns;
    size_t height, width;  // of the tile
};

static struct winograd_pixels winograd_pixels_of(const struct winograd_pass *pass,
                                                 struct winograd_tile tile) {
    const struct conv2d_f32_args *args = pass->args;
    size_t row = tile.row * pass->scale + pass->row_phase;
    size_t column = tile.column * pass->scale + pass->column_phase;
    return (struct winograd_pixels){
        .first = (tile.image * args->output_height + row) * args->output_width + column,
        .row_pitch = pass->scale * args->output_width,
        .column_pitch = pass->scale,
        .height = tile.height,
        .width = tile.width,
        .rows = smaller(tile.height, (args->output_height - row + pass->scale - 1) / pass->scale),
        .columns = smaller(tile.width, (args->output_width - column + pass->scale - 1) / pass->scale),
    };
}

/// A tile's pixels from a vector of columns on, through the epilogue. Apart, as what it indexes by variables lies
/// in memory.
static __attribute__((noinline)) void winograd_finish(const struct conv2d_f32_args *args, const vec *m,
                                                      struct winograd_pixels pixels, size_t column,
                                                      size_t count) {
    for (size_t i = 0; i < pixels.rows; i++) {
        for (size_t j = 0; j < pixels.columns; j++) {
            size_t pixel = pixels.first + i * pixels.row_pitch + j * pixels.column_pitch;
            vec t = v_epilogue(m[i * pixels.width + j], &args->epilogue, pixel, column, count);
            v_store_first(args->y + pixel * args->y_pixel_stride + column, t, count);
        }
    }
}

/// As `winograd_finish`, from [height, columns of points], for a whole vector and an epilogue of bias, residual and
/// relu at most, in this order. `is_whole`: all of the tile is inside the image.
ALWAYS_INLINE void winograd_finish_plain(const struct conv2d_f32_args *args, vec *m,
                                         struct winograd_pixels pixels, size_t column,
                                         const bool is_whole, const bool has_residual,
                                         const size_t height, const size_t width, const size_t taps) {
    const struct epilogue_f32 *epilogue = &args->epilogue;
    size_t stride = args->y_pixel_stride, residual_stride = epilogue->residual_stride;
    size_t pitch = pixels.row_pitch * stride, residual_pitch = pixels.row_pitch * residual_stride;
    size_t step = pixels.column_pitch * stride, residual_step = pixels.column_pitch * residual_stride;
    float *y = args->y + pixels.first * stride + column;
    const float *residual =
        has_residual ? epilogue->residual + pixels.first * residual_stride + column : NULL;
    // To add -0 changes nothing, not even -0.
    vec bias = epilogue->bias ? v_load(epilogue->bias + column) : v_set1(-0.0f);
    vec least = v_set1(epilogue->activation == ACTIVATION_RELU ? 0 : -INFINITY);
    const size_t points = width + taps - 1;
    UNROLL
    for (size_t i = 0; i < height; i++) {
        winograd_output(m + i * points, 1, points, taps);
        size_t columns = is_whole ? width : i < pixels.rows ? pixels.columns : 0;
        UNROLL
        for (size_t j = 0; j < width; j++) {
            if (j < columns) {
                vec t = v_add(m[i * points + j], bias);
                t = has_residual ? v_add(t, v_load(residual + j * residual_step)) : t;
                v_store(y + j * step, v_max(least, t));
            }
        }
        y += pitch;
        residual = has_residual ? residual + residual_pitch : NULL;
    }
}

/// The pixels of one tile from a vector of columns on; `pitch` points are in a row of the sums.
ALWAYS_INLINE void winograd_output_tile(const struct conv2d_f32_args *args, const float *sums,
                                        size_t point_stride, struct winograd_pixels pixels,
                                        size_t column, size_t count, const size_t pitch,
                                        const size_t rows, const size_t columns, const size_t taps) {
    vec m[WINOGRAD_POINTS * WINOGRAD_POINTS];
    const size_t height = rows - taps + 1, width = columns - taps + 1;
    const char *from = (const char *)sums;
    size_t point_bytes = point_stride * sizeof(float), offset[WINOGRAD_POINTS];
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        offset[i] = i * pitch * point_bytes;
        OWN_REGISTER(offset[i]);
    }
    UNROLL
    for (size_t j = 0; j < columns; j++, from += point_bytes) {
        if (rows < 8) {  // of 8 rows too few registers are left
            OWN_REGISTER(from);
        }
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            m[i * columns + j] = v_load((const float *)(from + offset[i]));
        }
        winograd_output(m + j, columns, rows, taps);
    }
    const struct epilogue_f32 *epilogue = &args->epilogue;
    bool is_whole = pixels.rows == height && pixels.columns == width;
    bool is_plain = epilogue->activation == ACTIVATION_NONE ||
                    (epilogue->activation == ACTIVATION_RELU &&
                     (!epilogue->residual || epilogue->residual_first));
    if (!is_plain || count < LANES) {
        vec finished[WINOGRAD_POINTS * WINOGRAD_POINTS];
        UNROLL
        for (size_t i = 0; i < height; i++) {
            winograd_output(m + i * columns, 1, columns, taps);
            UNROLL
            for (size_t j = 0; j < width; j++) {
                finished[i * width + j] = m[i * columns + j];
            }
        }
        winograd_finish(args, finished, pixels, column, count);
    } else if (epilogue->residual) {
        winograd_finish_plain(args, m, pixels, column, false, true, height, width, taps);
    } else if (is_whole) {
        winograd_finish_plain(args, m, pixels, column, true, false, height, width, taps);
    } else {
        winograd_finish_plain(args, m, pixels, column, false, false, height, width, taps);
    }
}

#define SIZE(points, small, rows, columns)                                                              \
    static __attribute__((noinline)) void winograd_output_##points##_##rows##_##columns(                \
        const struct conv2d_f32_args *args, const float *sums, size_t point_stride,                     \
        struct winograd_pixels pixels, struct range own) {                                              \
        const size_t taps = points == 5 ? 2 : points == 7 ? 4 : 3;                                      \
        for (size_t column = own.begin; column < own.end; column += LANES, sums += LANES) {             \
            winograd_output_tile(args, sums, point_stride, pixels, column, own.end - column, points,    \
                                 rows, columns, taps);                                                  \
        }                                                                                               \
    }
WINOGRAD_SIZES(SIZE)
#undef SIZE

/// Asks memory for the lines that a panel of a tile's pixels is stored to.
static __attribute__((noinline)) void winograd_ask_for(const struct conv2d_f32_args *args,
                                                       struct winograd_pixels pixels,
                                                       struct range columns) {
    size_t stride = args->y_pixel_stride, length = columns.end - columns.begin;
    const float *row = args->y + pixels.first * stride + columns.begin;
    for (size_t i = 0; i < pixels.rows; i++, row += pixels.row_pitch * stride) {
        const float *pixel = row;
        for (size_t j = 0; j < pixels.columns; j++, pixel += pixels.column_pitch * stride) {
            __builtin_prefetch(pixel, 1);
            for (size_t column = LINE; column < length; column += LINE) {
                __builtin_prefetch(pixel + column, 1);
            }
        }
    }
}

static void winograd_outputs(const struct winograd_pass *pass, const struct winograd_scratch *s,
                             struct range tiles, struct range own) {
    const struct conv2d_f32_args *args = pass->args;
    bool is_far = winograd_is_far(args->output_height * args->output_width, args->y_pixel_stride);
    for (size_t index = tiles.begin; index < tiles.end; index++) {
        struct winograd_pixels pixels = winograd_pixels_of(pass, winograd_tile_at(&pass->tiles, index));
        enum { AHEAD = 2 };  // as memory is slower than a tile is
        if (is_far && index + AHEAD < tiles.end) {
            struct winograd_tile ahead = winograd_tile_at(&pass->tiles, index + AHEAD);
            winograd_ask_for(args, winograd_pixels_of(pass, ahead), own);
        }
        const float *sums = s->sums + (index - tiles.begin) * TILE_COLUMNS;
        size_t edge = pass->points - pass->tiles.large;
        switch (WINOGRAD_SIZE(pass->points, pixels.height + edge, pixels.width + edge)) {
#define SIZE(points, small, rows, columns)                                                              \
    case WINOGRAD_SIZE(points, rows, columns):                                                          \
        winograd_output_##points##_##rows##_##columns(args, sums, s->sum_point, pixels, own);           \
        break;
            WINOGRAD_SIZES(SIZE)
#undef SIZE
            default: break;
        }
    }
}
