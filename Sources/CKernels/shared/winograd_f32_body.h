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
    float *filters;  // [points, depth, TILE_COLUMNS]: of one row of points
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
    s.input_point = s.groups * s.input_group;
    s.filter_point = args->input_channels * TILE_COLUMNS;
    s.sum_point = tile_count * TILE_COLUMNS;
    s.inputs = scratch;
    s.filters = s.inputs + squares * s.input_point;
    s.sums = s.filters + points * s.filter_point;
    return s;
}

static size_t winograd_points(const struct conv2d_f32_args *args) {
    return args->upsample == 2 ? 5 : 6;
}

static size_t winograd_scratch_count(const struct conv2d_f32_args *args, size_t tile_count) {
    size_t points = winograd_points(args);
    struct winograd_scratch s = winograd_split(args, NULL, points, tile_count);
    return points * (points * (s.input_point + s.sum_point) + s.filter_point);
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

/// A line of the sums: `points` numbers to 4.
ALWAYS_INLINE void winograd_output(vec *m, const size_t stride, const size_t points) {
    vec m0 = m[0], m1 = m[stride], m2 = m[2 * stride], m3 = m[3 * stride], m4 = m[4 * stride];
    vec even = v_add(m1, m2), odd = v_sub(m1, m2);
    if (points == 5) {
        m[0] = v_add(v_add(m0, even), m3);
        m[stride] = v_plus(odd, 2, m3);
        m[2 * stride] = v_plus(even, 4, m3);
        m[3 * stride] = v_add(v_plus(odd, 8, m3), m4);
        return;
    }
    vec m5 = m[5 * stride];
    vec even2 = v_add(m3, m4), odd2 = v_sub(m3, m4);
    m[0] = v_add(v_add(m0, even), even2);
    m[stride] = v_plus(odd, 2, odd2);
    m[2 * stride] = v_plus(even, 4, even2);
    m[3 * stride] = v_add(v_plus(odd, 8, odd2), m5);
}

/// A line of a filter, three taps, to `points` numbers; of an enlarged image the taps that fall on
/// the same stored pixel add up, which two depends on the phase.
ALWAYS_INLINE void winograd_filter(vec *g, const size_t stride, vec w0, vec w1, vec w2,
                                   const size_t points, size_t phase) {
    if (points == 5) {
        vec u0 = phase == 0 ? w0 : v_add(w0, w1);
        vec u1 = phase == 0 ? v_add(w1, w2) : w2;
        g[0] = v_times(u0, 0.5f);
        g[stride] = v_times(v_add(u0, u1), -0.5f);
        g[2 * stride] = v_times(v_sub(u1, u0), 1.0f / 6);
        g[3 * stride] = v_times(v_plus(u0, 2, u1), 1.0f / 6);
        g[4 * stride] = u1;
        return;
    }
    vec ends = v_times(v_add(w0, w2), -1.0f / 6), middle = v_times(w1, 1.0f / 6);
    vec far = v_plus(v_times(w0, 1.0f / 24), 1.0f / 6, w2), half = v_times(w1, 1.0f / 12);
    g[0] = v_times(w0, 0.25f);
    g[stride] = v_sub(ends, middle);
    g[2 * stride] = v_add(ends, middle);
    g[3 * stride] = v_add(far, half);
    g[4 * stride] = v_sub(far, half);
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

/// The filters of one row of points for one panel. A row at a time, as all of them would not stay in
/// the second-level cache until the products have read them. Columns have one factor at most, as the
/// numbers of a filter do not follow each other.
ALWAYS_INLINE void winograd_filter_row(const struct winograd_pass *pass,
                                       const struct winograd_scratch *s, size_t panel,
                                       const size_t row, const size_t points,
                                       const enum weight_format format, const bool has_factors) {
    size_t tap = s->filter_point;  // a panel's taps lie as far apart as the points of its transform
    const struct packed_weight *weight = &pass->args->weight;
    const char *values = (const char *)weight->values + packed_bytes(9 * panel * tap, format);
    const float *factors = has_factors ? weight->factors + panel * TILE_COLUMNS : NULL;
    float *filters = s->filters;
    size_t row_phase = pass->row_phase, column_phase = pass->column_phase;
    for (size_t i = 0; i < tap; i += LANES) {
        vec factor = has_factors ? v_load(factors + i % TILE_COLUMNS) : v_zero();
        vec line[3], g[6];
        UNROLL
        for (size_t column = 0; column < 3; column++) {
            const char *first = values + packed_bytes(column * tap + i, format);
            vec w[3];
            UNROLL
            for (size_t j = 0; j < 3; j++) {
                w[j] = v_packed(first + packed_bytes(j * 3 * tap, format), 0, format);
                w[j] = has_factors ? v_mul(w[j], factor) : w[j];
            }
            winograd_filter(g, 1, w[0], w[1], w[2], points, row_phase);
            line[column] = g[row];
        }
        winograd_filter(g, 1, line[0], line[1], line[2], points, column_phase);
        UNROLL
        for (size_t column = 0; column < points; column++) {
            v_store(filters + column * tap + i, g[column]);
        }
    }
}

/// The row of points is a constant where its sums are made, so that no other row's are.
ALWAYS_INLINE void winograd_filters_of(const struct winograd_pass *pass,
                                       const struct winograd_scratch *s, size_t panel, size_t row,
                                       const enum weight_format format, const bool has_factors) {
    if (pass->points == 5) {
        switch (row) {
            case 0: winograd_filter_row(pass, s, panel, 0, 5, format, has_factors); return;
            case 1: winograd_filter_row(pass, s, panel, 1, 5, format, has_factors); return;
            case 2: winograd_filter_row(pass, s, panel, 2, 5, format, has_factors); return;
            case 3: winograd_filter_row(pass, s, panel, 3, 5, format, has_factors); return;
            default: winograd_filter_row(pass, s, panel, 4, 5, format, has_factors); return;
        }
    }
    switch (row) {
        case 0: winograd_filter_row(pass, s, panel, 0, 6, format, has_factors); return;
        case 1: winograd_filter_row(pass, s, panel, 1, 6, format, has_factors); return;
        case 2: winograd_filter_row(pass, s, panel, 2, 6, format, has_factors); return;
        case 3: winograd_filter_row(pass, s, panel, 3, 6, format, has_factors); return;
        case 4: winograd_filter_row(pass, s, panel, 4, 6, format, has_factors); return;
        default: winograd_filter_row(pass, s, panel, 5, 6, format, has_factors); return;
    }
}

static void winograd_filters(const struct winograd_pass *pass, const struct winograd_scratch *s,
                             size_t panel, size_t row) {
    enum weight_format format = pass->args->weight.format;
    if (format == WEIGHT_F32) {
        winograd_filters_of(pass, s, panel, row, WEIGHT_F32, false);
    } else if (format == WEIGHT_I8) {
        winograd_filters_of(pass, s, panel, row, WEIGHT_I8, true);
    } else if (pass->args->weight.factors) {
        if (format == WEIGHT_F16) {
            winograd_filters_of(pass, s, panel, row, WEIGHT_F16, true);
        } else {
            winograd_filters_of(pass, s, panel, row, WEIGHT_BF16, true);
        }
    } else if (format == WEIGHT_F16) {
        winograd_filters_of(pass, s, panel, row, WEIGHT_F16, false);
    } else {
        winograd_filters_of(pass, s, panel, row, WEIGHT_BF16, false);
    }
}

/// The products of one row of points for one panel.
static void winograd_products(const struct winograd_pass *pass, const struct winograd_scratch *s,
                              size_t tile_count, size_t row, size_t columns) {
    for (size_t column = 0; column < pass->points; column++) {
        size_t point = row * pass->points + column;
        for (size_t group = 0; group < s->groups; group++) {
            struct range own = part((struct range){0, tile_count}, group, s->groups);
            struct tile_f32 tile = {
                .a = s->inputs + point * s->input_point + group * s->input_group,
                .panel = s->filters + column * s->filter_point,
                .to = s->sums + point * s->sum_point + own.begin * TILE_COLUMNS,
                .to_stride = TILE_COLUMNS,
                .depth = pass->args->input_channels,
            };
            tile_product_blocked(&tile, own.end - own.begin, columns);
        }
    }
}

/// The 4 x 4 pixels of one tile from a vector of columns on.
ALWAYS_INLINE void winograd_output_tile(const struct winograd_pass *pass, const float *sums,
                                        size_t point_stride, struct winograd_tile tile,
                                        size_t column, size_t count, const size_t points) {
    const struct conv2d_f32_args *args = pass->args;
    vec m[6 * 6];
    UNROLL
    for (size_t i = 0; i < points * points; i++) {
        m[i] = v_load(sums + i * point_stride);
    }
    UNROLL
    for (size_t j = 0; j < points; j++) {
        winograd_output(m + j, points, points);
    }
    for (size_t i = 0; i < 4; i++) {
        size_t row = (tile.row + i) * pass->scale + pass->row_phase;
        if (row >= args->output_height) {
            return;
        }
        winograd_output(m + i * points, 1, points);
        for (size_t j = 0; j < 4; j++) {
            size_t x = (tile.column + j) * pass->scale + pass->column_phase;
            if (x >= args->output_width) {
                break;
            }
            size_t pixel = (tile.image * args->output_height + row) * args->output_width + x;
            vec t = v_epilogue(m[i * points + j], &args->epilogue, pixel, column, count);
            v_store_first(args->y + pixel * args->y_pixel_stride + column, t, count);
        }
    }
}

static void winograd_outputs(const struct winograd_pass *pass, const struct winograd_scratch *s,
                             struct range tiles, struct range columns) {
    for (size_t index = tiles.begin; index < tiles.end; index++) {
        struct winograd_tile tile = winograd_tile_at(pass->args, index);
        const float *sums = s->sums + (index - tiles.begin) * TILE_COLUMNS;
        for (size_t column = columns.begin; column < columns.end; column += LANES) {
            size_t count = columns.end - column;
            const float *from = sums + (column - columns.begin);
            if (pass->points == 5) {
                winograd_output_tile(pass, from, s->sum_point, tile, column, count, 5);
            } else {
                winograd_output_tile(pass, from, s->sum_point, tile, column, count, 6);
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
        for (size_t row = 0; row < pass->points; row++) {
            winograd_filters(pass, &s, panel, row);
            winograd_products(pass, &s, tile_count, row, columns.end - columns.begin);
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
