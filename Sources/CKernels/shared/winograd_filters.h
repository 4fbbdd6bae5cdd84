// Winograd's transform of a panel's filters (see winograd_f32_body.h).

/// A panel's filters: `count` numbers of each tap, [channels, TILE_COLUMNS].
struct winograd_taps {
    const float *first;
    size_t stride;  // from tap to tap
    size_t count;
};

/// Of an enlarged image the taps that fall on the same stored pixel add up: the last two of a line where the phase
/// is 0, the first two where it is 1. Writes [2, 2, count].
static void winograd_add_taps(float *to, struct winograd_taps taps, size_t row_phase, size_t column_phase) {
    size_t count = taps.count;
    // The tap that stays alone is the line's first or last, and so it is of the two.
    const float *from[3][3];
    for (size_t row = 0; row < 3; row++) {
        for (size_t column = 0; column < 3; column++) {
            from[row][column] = taps.first + ((row_phase ? 2 - row : row) * 3 +
                                              (column_phase ? 2 - column : column)) * taps.stride;
        }
    }
    float *alone = to + (row_phase * 2 + column_phase) * count;
    float *beside = to + (row_phase * 2 + 1 - column_phase) * count;
    float *below = to + ((1 - row_phase) * 2 + column_phase) * count;
    float *across = to + ((1 - row_phase) * 2 + 1 - column_phase) * count;
    for (size_t i = 0; i < count; i += LANES) {
        vec w[3][2];
        UNROLL
        for (size_t row = 0; row < 3; row++) {
            w[row][0] = v_load(from[row][0] + i);
            w[row][1] = v_add(v_load(from[row][1] + i), v_load(from[row][2] + i));
        }
        v_store(alone + i, w[0][0]);
        v_store(beside + i, w[0][1]);
        v_store(below + i, v_add(w[1][0], w[2][0]));
        v_store(across + i, v_add(w[1][1], w[2][1]));
    }
}

/// A kernel of 7 x 7 (3 x 3) as 4 x 4 (2 x 2) taps over squares of 2 x 2 pixels. Where the kernel does not begin
/// with a square, the first row of squares has only its second row of pixels, and so with columns.
static void winograd_gather_taps(float *to, const float *weights, const struct conv2d_f32_args *args) {
    size_t channels = args->input_channels, kernel = args->kernel_height, width = (kernel + 1) / 2;
    for (size_t tap = 0; tap < width * width; tap++) {
        for (size_t place = 0; place < 4; place++, to += channels * TILE_COLUMNS) {
            // One before the kernel becomes huge.
            size_t row = tap / width * 2 + place / 2 - args->pad_top % 2;
            size_t column = tap % width * 2 + place % 2 - args->pad_left % 2;
            bool is_inside = row < kernel && column < kernel;
            const float *from = weights + (is_inside ? row * kernel + column : 0) * channels * TILE_COLUMNS;
            for (size_t i = 0; i < channels * TILE_COLUMNS; i += LANES) {
                v_store(to + i, is_inside ? v_load(from + i) : v_zero());
            }
        }
    }
}

/// Some channels of a panel's weights as floats, 3 x 3.
static struct winograd_taps winograd_weights(const struct conv2d_f32_args *args, const struct winograd_scratch *s,
                                             size_t panel, struct range depth) {
    size_t channels = args->input_channels, all = 9 * channels, length = depth.end - depth.begin;
    if (args->weight.format == WEIGHT_F32) {
        const float *weights = (const float *)args->weight.values + panel * all * TILE_COLUMNS;
        return (struct winograd_taps){weights + depth.begin * TILE_COLUMNS, channels * TILE_COLUMNS,
                                      length * TILE_COLUMNS};
    }
    for (size_t tap = 0; tap < 9; tap++) {
        struct range own = {tap * channels + depth.begin, tap * channels + depth.end};
        expand_panel(s->expanded + tap * length * TILE_COLUMNS, &args->weight, all, panel, own);
    }
    return (struct winograd_taps){s->expanded, length * TILE_COLUMNS, length * TILE_COLUMNS};
}

/// With a stride of two: a panel's taps are gathered when its first channels are wanted.
static struct winograd_taps winograd_taps_of_squares(const struct winograd_pass *pass,
                                                     const struct winograd_scratch *s, size_t panel,
                                                     struct range depth) {
    const struct conv2d_f32_args *args = pass->args;
    if (depth.begin == 0) {
        size_t all = args->kernel_height * args->kernel_width * args->input_channels;
        const float *weights = (const float *)args->weight.values + panel * all * TILE_COLUMNS;
        if (args->weight.format != WEIGHT_F32) {
            expand_panel(s->expanded, &args->weight, all, panel, (struct range){0, all});
            weights = s->expanded;
        }
        winograd_gather_taps(s->taps, weights, args);
    }
    return (struct winograd_taps){s->taps + depth.begin * TILE_COLUMNS, pass->channels * TILE_COLUMNS,
                                  (depth.end - depth.begin) * TILE_COLUMNS};
}

/// The taps of some channels of a panel's filters as floats, 3 x 3, of an enlarged image 2 x 2, of squares 4 x 4 or
/// 2 x 2.
static struct winograd_taps winograd_taps(const struct winograd_pass *pass, const struct winograd_scratch *s,
                                          size_t panel, struct range depth) {
    if (pass->args->stride_height == 2) {
        return winograd_taps_of_squares(pass, s, panel, depth);
    }
    struct winograd_taps taps = winograd_weights(pass->args, s, panel, depth);
    if (pass->args->upsample == 1) {
        return taps;
    }
    winograd_add_taps(s->taps, taps, pass->row_phase, pass->column_phase);
    return (struct winograd_taps){s->taps, taps.count, taps.count};
}

/// The filters of two rows of points, or of the last one. Two at a time, as those of a pair have terms in common,
/// and no more, as they would not stay in the second-level cache until the products have read them.
ALWAYS_INLINE void winograd_filter_rows(const struct winograd_taps *taps, float *filters, size_t filter_point,
                                        const size_t pair, const size_t points) {
    const size_t width = points == 5 ? 2 : points == 7 ? 4 : 3, rows = 2 * pair + 2 > points ? 1 : 2;
    // Two vectors side by side, whose loads and stores NEON has one instruction for.
    enum { WIDTH = TILE_COLUMNS % (2 * LANES) ? 1 : 2 };
    const float *from[16];
    float *to[2 * WINOGRAD_POINTS];
    UNROLL
    for (size_t i = 0; i < width * width; i++) {
        from[i] = taps->first + i * taps->stride;
    }
    UNROLL
    for (size_t i = 0; i < rows * points; i++) {
        to[i] = filters + i * filter_point;
    }
    for (size_t left = taps->count; left > 0; left -= WIDTH * LANES) {
        vec line[2][WIDTH][4], g[WINOGRAD_POINTS][WIDTH];
        UNROLL
        for (size_t column = 0; column < width; column++) {
            UNROLL
            for (size_t v = 0; v < WIDTH; v++) {
                vec w[4];
                UNROLL
                for (size_t row = 0; row < width; row++) {
                    w[row] = v_load(from[row * width + column] + v * LANES);
                }
                winograd_filter(g[0], WIDTH, w, points);
                line[0][v][column] = g[2 * pair][0];
                line[1][v][column] = rows > 1 ? g[2 * pair + 1][0] : w[0];
            }
        }
        UNROLL
        for (size_t i = 0; i < width * width; i++) {
            from[i] += WIDTH * LANES;
            OWN_REGISTER(from[i]);
        }
        UNROLL
        for (size_t row = 0; row < rows; row++) {
            UNROLL
            for (size_t v = 0; v < WIDTH; v++) {
                winograd_filter(g[0] + v, WIDTH, line[row][v], points);
            }
            UNROLL
            for (size_t column = 0; column < points; column++) {
                UNROLL
                for (size_t v = 0; v < WIDTH; v++) {
                    v_store(to[row * points + column] + v * LANES, g[column][v]);
                }
                to[row * points + column] += WIDTH * LANES;
                OWN_REGISTER(to[row * points + column]);
            }
        }
    }
}

/// The pair is a constant where its rows are made, so that no other row's are.
static void winograd_filters(const struct winograd_pass *pass, const struct winograd_scratch *s,
                             const struct winograd_taps *taps, size_t pair) {
    switch (10 * pass->points + pair) {
#define CASE(points, pair)                                                               \
    case 10 * points + pair:                                                             \
        winograd_filter_rows(taps, s->filters, s->filter_point, pair, points);      \
        return;
        CASE(5, 0) CASE(5, 1) CASE(5, 2)
        CASE(6, 0) CASE(6, 1) CASE(6, 2)
        CASE(7, 0) CASE(7, 1) CASE(7, 2) CASE(7, 3)
        CASE(8, 0) CASE(8, 1) CASE(8, 2) CASE(8, 3)
#undef CASE
        default: return;
    }
}
