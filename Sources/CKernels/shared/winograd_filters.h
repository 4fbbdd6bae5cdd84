// Winograd's transform of a panel's filters (see winograd_f32_body.h).

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
        vec line[2][3][WIDTH], g[2][WINOGRAD_POINTS][WIDTH];
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

/// The rows of points that are made together: zero and infinity, then those that are sums and differences of
/// the same terms.
ALWAYS_INLINE struct winograd_rows winograd_pair(size_t pair, size_t points) {
    if (pair == 0) {
        return (struct winograd_rows){0, 2, points - 1};
    }
    size_t first = 2 * pair - 1;
    return first + 2 < points ? (struct winograd_rows){first, 2, 1}
                              : (struct winograd_rows){first, 1, 0};
}

/// The rows of points are constants where their sums are made, so that no other row's are.
ALWAYS_INLINE void winograd_filters_of(const struct winograd_pass *pass,
                                       const struct winograd_scratch *s, size_t panel, size_t pair,
                                       const enum weight_format format, const bool has_factors) {
    switch (10 * pass->points + pair) {
#define CASE(points, pair)                                                                 \
    case 10 * points + pair:                                                               \
        winograd_filter_rows(pass, s, panel, winograd_pair(pair, points), points, format,  \
                             has_factors);                                                 \
        return;
        CASE(5, 0) CASE(5, 1) CASE(5, 2)
        CASE(6, 0) CASE(6, 1) CASE(6, 2)
        CASE(8, 0) CASE(8, 1) CASE(8, 2) CASE(8, 3)
#undef CASE
        default: return;
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
