// Winograd's sums to pixels (see winograd_f32_body.h).

/// The pixels of a tile that are inside the image.
struct winograd_pixels {
    size_t first, row_pitch, column_pitch;  // in output pixels
    size_t rows, columns;
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
        .rows = smaller(args->winograd_side, (args->output_height - row + pass->scale - 1) / pass->scale),
        .columns = smaller(args->winograd_side, (args->output_width - column + pass->scale - 1) / pass->scale),
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
            vec t = v_epilogue(m[i * args->winograd_side + j], &args->epilogue, pixel, column, count);
            v_store_first(args->y + pixel * args->y_pixel_stride + column, t, count);
        }
    }
}

/// As `winograd_finish`, from [side, points], for a whole vector and an epilogue of bias, residual and relu at
/// most, in this order. `is_whole`: all of the tile is inside the image.
ALWAYS_INLINE void winograd_finish_plain(const struct conv2d_f32_args *args, vec *m,
                                         struct winograd_pixels pixels, size_t column,
                                         const bool is_whole, const bool has_residual,
                                         const size_t points) {
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
    const size_t side = winograd_side(points);
    UNROLL
    for (size_t i = 0; i < side; i++) {
        winograd_output(m + i * points, 1, points);
        size_t columns = is_whole ? side : i < pixels.rows ? pixels.columns : 0;
        UNROLL
        for (size_t j = 0; j < side; j++) {
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

/// The pixels of one tile from a vector of columns on.
ALWAYS_INLINE void winograd_output_tile(const struct conv2d_f32_args *args, const float *sums,
                                        size_t point_stride, struct winograd_pixels pixels,
                                        size_t column, size_t count, const size_t points) {
    vec m[WINOGRAD_POINTS * WINOGRAD_POINTS];
    const size_t side = winograd_side(points);
    const char *from = (const char *)sums;
    size_t point_bytes = point_stride * sizeof(float);
    UNROLL
    for (size_t j = 0; j < points; j++, from += point_bytes) {
        UNROLL
        for (size_t i = 0; i < points; i++) {
            m[i * points + j] = v_load((const float *)(from + i * (points * point_bytes)));
        }
        winograd_output(m + j, points, points);
    }
    const struct epilogue_f32 *epilogue = &args->epilogue;
    bool is_whole = pixels.rows == side && pixels.columns == side;
    bool is_plain = epilogue->activation == ACTIVATION_NONE ||
                    (epilogue->activation == ACTIVATION_RELU &&
                     (!epilogue->residual || epilogue->residual_first));
    if (!is_plain || count < LANES) {
        vec finished[WINOGRAD_POINTS * WINOGRAD_POINTS];
        UNROLL
        for (size_t i = 0; i < side; i++) {
            winograd_output(m + i * points, 1, points);
            UNROLL
            for (size_t j = 0; j < side; j++) {
                finished[i * side + j] = m[i * points + j];
            }
        }
        winograd_finish(args, finished, pixels, column, count);
    } else if (epilogue->residual) {
        winograd_finish_plain(args, m, pixels, column, false, true, points);
    } else if (is_whole) {
        winograd_finish_plain(args, m, pixels, column, true, false, points);
    } else {
        winograd_finish_plain(args, m, pixels, column, false, false, points);
    }
}

/// Asks memory for the lines that a panel of a tile's pixels is stored to.
static __attribute__((noinline)) void winograd_ask_for(const struct conv2d_f32_args *args,
                                                       struct winograd_pixels pixels,
                                                       struct range columns) {
    for (size_t i = 0; i < pixels.rows; i++) {
        for (size_t j = 0; j < pixels.columns; j++) {
            size_t pixel = pixels.first + i * pixels.row_pitch + j * pixels.column_pitch;
            for (size_t column = columns.begin; column < columns.end; column += LINE) {
                __builtin_prefetch(args->y + pixel * args->y_pixel_stride + column, 1);
            }
        }
    }
}

static void winograd_outputs(const struct winograd_pass *pass, const struct winograd_scratch *s,
                             struct range tiles, struct range columns) {
    const struct conv2d_f32_args *args = pass->args;
    bool is_far = winograd_is_far(args->output_height * args->output_width, args->y_pixel_stride);
    for (size_t index = tiles.begin; index < tiles.end; index++) {
        struct winograd_pixels pixels = winograd_pixels_of(pass, winograd_tile_at(args, index));
        enum { AHEAD = 2 };  // as memory is slower than a tile is
        if (is_far && index + AHEAD < tiles.end) {
            struct winograd_tile ahead = winograd_tile_at(args, index + AHEAD);
            winograd_ask_for(args, winograd_pixels_of(pass, ahead), columns);
        }
        const float *sums = s->sums + (index - tiles.begin) * TILE_COLUMNS;
        for (size_t column = columns.begin; column < columns.end; column += LANES) {
            size_t count = columns.end - column;
            const float *from = sums + (column - columns.begin);
            switch (pass->points) {
#define CASE(points) \
    winograd_output_tile(args, from, s->sum_point, pixels, column, count, points)
                case 5: CASE(5); break;
                case 6: CASE(6); break;
                default: CASE(8); break;
#undef CASE
            }
        }
    }
}
