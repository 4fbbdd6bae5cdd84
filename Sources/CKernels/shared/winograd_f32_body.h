// Convolution by minimal filtering, F(4x4, 3x3) and F(4x4, 2x2), over a level's register tile.
//
// A tile of the image is brought to `points` x `points` numbers a channel, the filter too; there
// convolution is one product of matrices for each point, [tiles, channels] x [channels, columns];
// the result is brought back to 4 x 4 pixels. Points of evaluation: 0, 1, -1, 2, (-2,) infinity.
//
// A panel's filters are transformed when its turn comes and forgotten: stored they would take four
// times the weights' memory, and for tiles enough the transformation is a few percent of the work.

/// What one pass over the tiles computes: all of the output, or one phase of an enlarged one.
struct winograd_pass {
    const struct conv2d_f32_args *args;
    size_t points;             // 6 or 5
    ptrdiff_t top, left;       // of a tile's window from the tile's own place
    size_t scale;              // output pixels from one computed pixel to the next: 1 or 2
    size_t row_phase, column_phase;
};

/// The parts of the scratch memory.
struct winograd_scratch {
    float *inputs;   // [points^2, groups, blocks of depth, TILE_ROWS, BLOCK]
    float *filters;  // [2, points, depth, TILE_COLUMNS]: of two rows of points
    float *sums;     // [points^2, tiles, TILE_COLUMNS]
    size_t input_point, input_group, filter_point, sum_point;
    size_t groups;
};

struct winograd_tile {
    size_t image, row, column;  // row and column in computed pixels
};

static struct winograd_scratch winograd_split(const struct conv2d_f32_args *args, float *scratch,
                                              size_t points, size_t tile_count) {
    struct winograd_scratch s;
    size_t squares = points * points;
    s.groups = parts((struct range){0, tile_count}, TILE_ROWS);
    s.input_group = (args->input_channels + BLOCK - 1) / BLOCK * BLOCK * TILE_ROWS;
    // A line of slack, so that the same number of all points does not fall into the same set of the cache.
    enum { SLACK = 64 / sizeof(float) };
    s.input_point = s.groups * s.input_group + SLACK;
    s.filter_point = args->input_channels * TILE_COLUMNS + SLACK;
    s.sum_point = tile_count * TILE_COLUMNS + SLACK;
    s.inputs = scratch;
    s.filters = s.inputs + squares * s.input_point;
    s.sums = s.filters + 2 * points * s.filter_point;
    return s;
}

static size_t winograd_points(const struct conv2d_f32_args *args) {
    return args->upsample == 2 ? 5 : 6;
}

static size_t winograd_scratch_count(const struct conv2d_f32_args *args, size_t tile_count) {
    size_t points = winograd_points(args);
    struct winograd_scratch s = winograd_split(args, NULL, points, tile_count);
    return points * (points * (s.input_point + s.sum_point) + 2 * s.filter_point);
}

// ---------------------------------------------------------------- transforms of one line

ALWAYS_INLINE vec v_times(vec a, float b) { return v_mul(a, v_set1(b)); }
/// a + b * c
ALWAYS_INLINE vec v_plus(vec a, float b, vec c) { return v_fma(v_set1(b), c, a); }

/// A line of the image: `stride` vectors from number to number.
ALWAYS_INLINE void winograd_input(vec *d, const size_t stride, const size_t points) {
    vec d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride], d4 = d[4 * stride];
    if (points == 5) {
        vec odd = v_plus(v_sub(d3, d2), -2, d1);
        d[0] = v_add(v_sub(v_add(d0, d0), d1), v_plus(d3, -2, d2));
        d[stride] = odd;
        d[2 * stride] = v_plus(v_plus(d3, -3, d2), 2, d1);
        d[3 * stride] = v_sub(d3, d1);
        d[4 * stride] = v_add(v_sub(v_add(d1, d1), d2), v_plus(d4, -2, d3));
        return;
    }
    vec d5 = d[5 * stride];
    vec even4 = v_plus(d4, -4, d2), odd4 = v_plus(d3, -4, d1);
    vec even1 = v_sub(d4, d2), odd1 = v_sub(d3, d1);
    d[0] = v_plus(v_plus(d4, -5, d2), 4, d0);
    d[stride] = v_add(even4, odd4);
    d[2 * stride] = v_sub(even4, odd4);
    d[3 * stride] = v_plus(even1, 2, odd1);
    d[4 * stride] = v_plus(even1, -2, odd1);
    d[5 * stride] = v_plus(v_plus(d5, -5, d3), 4, d1);
}

/// A line of the sums: `points` numbers to 4. The factors of the filters' transform are here, for there are
/// fewer sums than filters.
ALWAYS_INLINE void winograd_output(vec *m, const size_t stride, const size_t points) {
    vec m0 = m[0], m1 = m[stride], m2 = m[2 * stride], m3 = m[3 * stride], m4 = m[4 * stride];
    if (points == 5) {
        vec first = v_times(m1, -0.5f);
        vec even = v_plus(first, 1.0f / 6, m2), odd = v_plus(first, -1.0f / 6, m2);
        m[0] = v_plus(v_plus(even, 0.5f, m0), 1.0f / 6, m3);
        m[stride] = v_plus(odd, 2.0f / 6, m3);
        m[2 * stride] = v_plus(even, 4.0f / 6, m3);
        m[3 * stride] = v_add(v_plus(odd, 8.0f / 6, m3), m4);
        return;
    }
    vec m5 = m[5 * stride];
    vec even = v_times(v_add(m1, m2), -1.0f / 6), odd = v_times(v_sub(m1, m2), -1.0f / 6);
    vec even2 = v_add(m3, m4), odd2 = v_sub(m3, m4);
    m[0] = v_plus(v_plus(even, 0.25f, m0), 1.0f / 24, even2);
    m[stride] = v_plus(odd, 2.0f / 24, odd2);
    m[2 * stride] = v_plus(even, 4.0f / 24, even2);
    m[3 * stride] = v_add(v_plus(odd, 8.0f / 24, odd2), m5);
}

/// A line of a filter, three taps, to `points` numbers, but for their factors (1/4, -1/6, -1/6, 1/24, 1/24, 1
/// or 1/2, -1/2, 1/6, 1/6, 1), which the sums get. Of an enlarged image the taps that fall on the same
/// stored pixel add up, which two depends on the phase.
ALWAYS_INLINE void winograd_filter(vec *g, const size_t stride, vec w0, vec w1, vec w2,
                                   const size_t points, size_t phase) {
    if (points == 5) {
        vec u0 = phase == 0 ? w0 : v_add(w0, w1);
        vec u1 = phase == 0 ? v_add(w1, w2) : w2;
        g[0] = u0;
        g[stride] = v_add(u0, u1);
        g[2 * stride] = v_sub(u1, u0);
        g[3 * stride] = v_plus(u0, 2, u1);
        g[4 * stride] = u1;
        return;
    }
    vec ends = v_add(w0, w2), far = v_plus(w0, 4, w2), twice = v_add(w1, w1);
    g[0] = w0;
    g[stride] = v_add(ends, w1);
    g[2 * stride] = v_sub(ends, w1);
    g[3 * stride] = v_add(far, twice);
    g[4 * stride] = v_sub(far, twice);
    g[5 * stride] = w2;
}

// ---------------------------------------------------------------- transforms of all tiles

static struct winograd_tile winograd_tile_at(const struct conv2d_f32_args *args, size_t index) {
    size_t columns = winograd_tile_columns(args), rows = winograd_tile_rows(args);
    return (struct winograd_tile){
        .image = index / columns / rows,
        .row = index / columns % rows * 4,
        .column = index % columns * 4,
    };
}

/// Where the pixels of a tile's window lie; those outside the image are the zeros.
static void winograd_window(const struct winograd_pass *pass, struct winograd_tile tile,
                            const float **window) {
    const struct conv2d_f32_args *args = pass->args;
    const float *image =
        args->x + tile.image * args->input_height * args->input_width * args->x_pixel_stride;
    for (size_t i = 0; i < pass->points; i++) {
        size_t row = (size_t)((ptrdiff_t)(tile.row + i) + pass->top);
        for (size_t j = 0; j < pass->points; j++) {
            size_t column = (size_t)((ptrdiff_t)(tile.column + j) + pass->left);
            bool is_inside = row < args->input_height && column < args->input_width;
            window[i * pass->points + j] =
                is_inside ? image + (row * args->input_width + column) * args->x_pixel_stride
                          : args->zeros;
        }
    }
}

ALWAYS_INLINE void winograd_input_tile(const float *const *window, size_t channels, float *to,
                                       size_t point_stride, const size_t points) {
    for (size_t channel = 0; channel < channels; channel += LANES) {
        vec d[6 * 6];
        UNROLL
        for (size_t i = 0; i < points * points; i++) {
            d[i] = v_load_first(window[i] + channel, channels - channel);
        }
        UNROLL
        for (size_t j = 0; j < points; j++) {
            winograd_input(d + j, points, points);
        }
        float *block = to + channel / BLOCK * BLOCK * TILE_ROWS + channel % BLOCK;
        UNROLL
        for (size_t i = 0; i < points; i++) {
            winograd_input(d + i * points, 1, points);
            UNROLL
            for (size_t j = 0; j < points; j++) {
                v_store(block + (i * points + j) * point_stride, d[i * points + j]);
            }
        }
    }
}

static void winograd_inputs(const struct winograd_pass *pass, const struct winograd_scratch *s,
                            struct range tiles) {
    struct range all = {0, tiles.end - tiles.begin};
    size_t channels = pass->args->input_channels;
    for (size_t group = 0; group < s->groups; group++) {
        struct range own = part(all, group, s->groups);
        for (size_t tile = own.begin; tile < own.end; tile++) {
            const float *window[6 * 6];
            winograd_window(pass, winograd_tile_at(pass->args, tiles.begin + tile), window);
            float *to = s->inputs + group * s->input_group + (tile - own.begin) * BLOCK;
            if (pass->points == 5) {
                winograd_input_tile(window, channels, to, s->input_point, 5);
            } else {
                winograd_input_tile(window, channels, to, s->input_point, 6);
            }
        }
    }
}

/// Two rows of points, or one.
struct winograd_rows {
    size_t first, count, step;
};

/// The filters of two rows of points for one panel. Two at a time, as those of a pair have terms in common,
/// and no more, as they would not stay in the second-level cache until the products have read them.
/// Columns have one factor at most, as the numbers of a filter do not follow each other.
ALWAYS_INLINE void winograd_filter_rows(const struct winograd_pass *pass,
                                        const struct winograd_scratch *s, size_t panel,
                                        const struct winograd_rows rows, const size_t points,
                                        const enum weight_format format, const bool has_factors) {
    const size_t tap = pass->args->input_channels * TILE_COLUMNS, point = s->filter_point;
    const struct packed_weight *weight = &pass->args->weight;
    const char *values = (const char *)weight->values + packed_bytes(9 * panel * tap, format);
    const float *factors = has_factors ? weight->factors + panel * TILE_COLUMNS : NULL;
    float *filters = s->filters;
    size_t row_phase = pass->row_phase, column_phase = pass->column_phase;
    // Two vectors side by side, whose loads and stores NEON has one instruction for.
    enum { WIDTH = TILE_COLUMNS % (2 * LANES) ? 1 : 2 };
    for (size_t i = 0; i < tap; i += WIDTH * LANES) {
        vec line[2][3][WIDTH], g[2][6][WIDTH];
        UNROLL
        for (size_t column = 0; column < 3; column++) {
            UNROLL
            for (size_t v = 0; v < WIDTH; v++) {
                size_t own = i + v * LANES;
                vec factor = has_factors ? v_load(factors + own % TILE_COLUMNS) : v_zero();
                const char *first = values + packed_bytes(column * tap + own, format);
                vec w[3];
                UNROLL
                for (size_t j = 0; j < 3; j++) {
                    w[j] = v_packed(first + packed_bytes(j * 3 * tap, format), 0, format);
                    w[j] = has_factors ? v_mul(w[j], factor) : w[j];
                }
                winograd_filter(g[0][0] + v, WIDTH, w[0], w[1], w[2], points, row_phase);
                line[0][column][v] = g[0][rows.first][v];
                line[1][column][v] = g[0][rows.first + rows.step][v];
            }
        }
        float *to = filters + i;
        UNROLL
        for (size_t row = 0; row < rows.count; row++) {
            UNROLL
            for (size_t v = 0; v < WIDTH; v++) {
                winograd_filter(g[row][0] + v, WIDTH, line[row][0][v], line[row][1][v],
                                line[row][2][v], points, column_phase);
            }
            UNROLL
            for (size_t column = 0; column < points; column++, to += point) {
                UNROLL
                for (size_t v = 0; v < WIDTH; v++) {
                    v_store(to + v * LANES, g[row][column][v]);
                }
            }
        }
    }
}

enum { WINOGRAD_PAIRS = 3 };

/// The rows of points that are made together: those that are sums and differences of the same terms.
static struct winograd_rows winograd_pair(size_t pair, size_t points) {
    switch (pair) {
        case 0: return (struct winograd_rows){0, 2, points - 1};
        case 1: return (struct winograd_rows){1, 2, 1};
        default: return (struct winograd_rows){3, points - 4, points - 5};
    }
}

/// The rows of points are constants where their sums are made, so that no other row's are.
ALWAYS_INLINE void winograd_filters_of(const struct winograd_pass *pass,
                                       const struct winograd_scratch *s, size_t panel, size_t pair,
                                       const enum weight_format format, const bool has_factors) {
    if (pass->points == 5) {
        switch (pair) {
#define CASE(pair, points) \
    winograd_filter_rows(pass, s, panel, winograd_pair(pair, points), points, format, has_factors)
            case 0: CASE(0, 5); return;
            case 1: CASE(1, 5); return;
            default: CASE(2, 5); return;
        }
    }
    switch (pair) {
        case 0: CASE(0, 6); return;
        case 1: CASE(1, 6); return;
        default: CASE(2, 6); return;
#undef CASE
    }
}

static void winograd_filters(const struct winograd_pass *pass, const struct winograd_scratch *s,
                             size_t panel, size_t pair) {
    enum weight_format format = pass->args->weight.format;
    if (format == WEIGHT_F32) {
        winograd_filters_of(pass, s, panel, pair, WEIGHT_F32, false);
    } else if (format == WEIGHT_I8) {
        winograd_filters_of(pass, s, panel, pair, WEIGHT_I8, true);
    } else if (pass->args->weight.factors) {
        if (format == WEIGHT_F16) {
            winograd_filters_of(pass, s, panel, pair, WEIGHT_F16, true);
        } else {
            winograd_filters_of(pass, s, panel, pair, WEIGHT_BF16, true);
        }
    } else if (format == WEIGHT_F16) {
        winograd_filters_of(pass, s, panel, pair, WEIGHT_F16, false);
    } else {
        winograd_filters_of(pass, s, panel, pair, WEIGHT_BF16, false);
    }
}

/// The products of a row of points, the filters' first or second, for one panel.
static void winograd_products(const struct winograd_pass *pass, const struct winograd_scratch *s,
                              size_t tile_count, size_t row, size_t filter_row, size_t columns) {
    for (size_t column = 0; column < pass->points; column++) {
        size_t point = row * pass->points + column;
        size_t filter = filter_row * pass->points + column;
        for (size_t group = 0; group < s->groups; group++) {
            struct range own = part((struct range){0, tile_count}, group, s->groups);
            struct tile_f32 tile = {
                .a = s->inputs + point * s->input_point + group * s->input_group,
                .panel = s->filters + filter * s->filter_point,
                .to = s->sums + point * s->sum_point + own.begin * TILE_COLUMNS,
                .to_stride = TILE_COLUMNS,
                .depth = pass->args->input_channels,
            };
            tile_product_blocked(&tile, own.end - own.begin, columns);
        }
    }
}

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
        .rows = smaller(4, (args->output_height - row + pass->scale - 1) / pass->scale),
        .columns = smaller(4, (args->output_width - column + pass->scale - 1) / pass->scale),
    };
}

/// A tile's sums from a vector of columns on, through the epilogue.
ALWAYS_INLINE void winograd_finish(const struct conv2d_f32_args *args, const vec *m,
                                   struct winograd_pixels pixels, size_t column, size_t count,
                                   const size_t points) {
    for (size_t i = 0; i < pixels.rows; i++) {
        for (size_t j = 0; j < pixels.columns; j++) {
            size_t pixel = pixels.first + i * pixels.row_pitch + j * pixels.column_pitch;
            vec t = v_epilogue(m[i * points + j], &args->epilogue, pixel, column, count);
            v_store_first(args->y + pixel * args->y_pixel_stride + column, t, count);
        }
    }
}

/// As `winograd_finish` for a whole vector and an epilogue of bias, residual and relu at most, in this order.
/// `is_whole`: all of the tile is inside the image.
ALWAYS_INLINE void winograd_finish_plain(const struct conv2d_f32_args *args, const vec *m,
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
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        if (!is_whole && i >= pixels.rows) {
            return;
        }
        UNROLL
        for (size_t j = 0; j < 4; j++) {
            if (is_whole || j < pixels.columns) {
                vec t = v_add(m[i * points + j], bias);
                t = has_residual ? v_add(t, v_load(residual + j * residual_step)) : t;
                v_store(y + j * step, v_max(least, t));
            }
        }
        y += pitch;
        residual = has_residual ? residual + residual_pitch : NULL;
    }
}

/// The 4 x 4 pixels of one tile from a vector of columns on.
ALWAYS_INLINE void winograd_output_tile(const struct conv2d_f32_args *args, const float *sums,
                                        size_t point_stride, struct winograd_pixels pixels,
                                        size_t column, size_t count, const size_t points) {
    vec m[6 * 6];
    UNROLL
    for (size_t i = 0; i < points * points; i++) {
        m[i] = v_load(sums + i * point_stride);
    }
    UNROLL
    for (size_t j = 0; j < points; j++) {
        winograd_output(m + j, points, points);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++) {
        winograd_output(m + i * points, 1, points);
    }
    const struct epilogue_f32 *epilogue = &args->epilogue;
    bool is_whole = pixels.rows == 4 && pixels.columns == 4;
    bool is_plain = epilogue->activation == ACTIVATION_NONE ||
                    (epilogue->activation == ACTIVATION_RELU &&
                     (!epilogue->residual || epilogue->residual_first));
    if (!is_plain || count < LANES) {
        winograd_finish(args, m, pixels, column, count, points);
    } else if (epilogue->residual) {
        winograd_finish_plain(args, m, pixels, column, false, true, points);
    } else if (is_whole) {
        winograd_finish_plain(args, m, pixels, column, true, false, points);
    } else {
        winograd_finish_plain(args, m, pixels, column, false, false, points);
    }
}

static void winograd_outputs(const struct winograd_pass *pass, const struct winograd_scratch *s,
                             struct range tiles, struct range columns) {
    for (size_t index = tiles.begin; index < tiles.end; index++) {
        struct winograd_pixels pixels =
            winograd_pixels_of(pass, winograd_tile_at(pass->args, index));
        const float *sums = s->sums + (index - tiles.begin) * TILE_COLUMNS;
        for (size_t column = columns.begin; column < columns.end; column += LANES) {
            size_t count = columns.end - column;
            const float *from = sums + (column - columns.begin);
            if (pass->points == 5) {
                winograd_output_tile(pass->args, from, s->sum_point, pixels, column, count, 5);
            } else {
                winograd_output_tile(pass->args, from, s->sum_point, pixels, column, count, 6);
            }
        }
    }
}

static void winograd_run(const struct winograd_pass *pass, float *scratch, struct range tiles,
                         struct range panels) {
    const struct conv2d_f32_args *args = pass->args;
    size_t tile_count = tiles.end - tiles.begin;
    struct winograd_scratch s = winograd_split(args, scratch, pass->points, tile_count);
    winograd_inputs(pass, &s, tiles);
    for (size_t panel = panels.begin; panel < panels.end; panel++) {
        struct range columns = {panel * TILE_COLUMNS,
                                smaller((panel + 1) * TILE_COLUMNS, args->output_channels)};
        for (size_t pair = 0; pair < WINOGRAD_PAIRS; pair++) {
            struct winograd_rows rows = winograd_pair(pair, pass->points);
            winograd_filters(pass, &s, panel, pair);
            for (size_t row = 0; row < rows.count; row++) {
                winograd_products(pass, &s, tile_count, rows.first + row * rows.step, row,
                                  columns.end - columns.begin);
            }
        }
        winograd_outputs(pass, &s, tiles, columns);
    }
}

static void winograd_f32(const struct conv2d_f32_args *args, float *scratch, size_t tile_begin,
                         size_t tile_end, size_t panel_begin, size_t panel_end) {
    ASSUME(args->kernel_height == 3 && args->kernel_width == 3);
    ASSUME(args->stride_height == 1 && args->stride_width == 1);
    ASSUME(tile_begin < tile_end && panel_begin < panel_end);
    ASSUME(args->upsample == 1 || args->upsample == 2);
    ASSUME(args->weight.format != WEIGHT_I4);
    ASSUME(args->weight.format != WEIGHT_I8 || args->weight.factors);
    struct range tiles = {tile_begin, tile_end}, panels = {panel_begin, panel_end};
    struct winograd_pass pass = {.args = args, .points = winograd_points(args), .scale = 1};
    if (args->upsample == 1) {
        pass.top = -(ptrdiff_t)args->pad_top;
        pass.left = -(ptrdiff_t)args->pad_left;
        winograd_run(&pass, scratch, tiles, panels);
        return;
    }
    pass.scale = 2;
    for (size_t phase = 0; phase < 4; phase++) {
        pass.row_phase = phase / 2;
        pass.column_phase = phase % 2;
        pass.top = (ptrdiff_t)pass.row_phase - 1;
        pass.left = (ptrdiff_t)pass.column_phase - 1;
        winograd_run(&pass, scratch, tiles, panels);
    }
}
