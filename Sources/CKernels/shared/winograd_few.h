// F(4x4, 3x3) of few tiles, whose filters are transformed in registers (see winograd_f32_body.h).
//
// Transformed filters are four times the weights; where a handful of tiles is multiplied with them, writing and reading
// them takes longer than either the transform or the products. Here a row of points at a time has its sums in
// registers, and each channel's taps become that row's filters beside them: weights are read anew for each of six
// rows, from the nearest caches. Numbers are the same: each has the same terms in the same order.
// (Measured with AVX-512, one thread, of the time with stored filters: 1280 channels of 8 x 8 pixels .80, 512 of 7 x 7
// .75 to .80, 128 of 8 x 8 in caches .72. Copying a block's taps together first takes longer again.)

enum {
    WINOGRAD_FEWEST = 4,  // tiles at most, for a row's sums are six vectors of each
    WINOGRAD_FEW_TILES = LANES == 16 ? WINOGRAD_FEWEST : 0,
};

/// A row of points over some channels, of a vector of columns.
struct winograd_few {
    const float *inputs;  // of the row's first point and the first tile that has it: see `winograd_scratch`
    const float *taps;    // [3, 3, channels, TILE_COLUMNS], tap_stride from tap to tap
    float *sums;          // of the same point and tile
    size_t input_point, tap_stride, sum_point;
    size_t depth;
    bool is_first;        // whether sums begin here
    bool is_far;          // whether the inputs should be asked for ahead
    const float *ahead;   // what is asked of memory meanwhile, TILE_COLUMNS numbers for each channel
    size_t ahead_step;    // or the same ones again
};

ALWAYS_INLINE void winograd_few_row(const struct winograd_few *few, const size_t row, const size_t tiles) {
    enum { POINTS = 6, WIDTH = 3 };
    vec sums[POINTS][WINOGRAD_FEWEST];
    UNROLL
    for (size_t point = 0; point < POINTS; point++) {
        UNROLL
        for (size_t tile = 0; tile < tiles; tile++) {
            const float *from = few->sums + point * few->sum_point + tile * TILE_COLUMNS;
            sums[point][tile] = few->is_first ? v_zero() : v_load(from);
        }
    }
    const float *x = few->inputs, *taps = few->taps, *ahead = few->ahead;
    for (size_t left = few->depth, run; left > 0; left -= run, x += (TILE_ROWS - 1) * BLOCK) {
        run = smaller(left, BLOCK);
        UNROLL
        for (size_t point = 0; few->is_far && point < POINTS; point++) {
            tile_ask_ahead(x + point * few->input_point, tiles);
        }
        for (const float *end = x + run; x < end; x++, taps += TILE_COLUMNS) {
            UNROLL
            for (size_t i = 0; i < TILE_COLUMNS; i += LINE) {
                __builtin_prefetch(ahead + i, 0, 2);  // to the second level: the first has no room
            }
            ahead += few->ahead_step;
            vec line[WIDTH], g[POINTS];
            UNROLL
            for (size_t column = 0; column < WIDTH; column++) {
                vec w[WIDTH];
                UNROLL
                for (size_t i = 0; i < WIDTH; i++) {
                    w[i] = v_load(taps + (i * WIDTH + column) * few->tap_stride);
                }
                winograd_filter(g, 1, w, POINTS);
                line[column] = g[row];
            }
            winograd_filter(g, 1, line, POINTS);
            UNROLL
            for (size_t point = 0; point < POINTS; point++) {
                UNROLL
                for (size_t tile = 0; tile < tiles; tile++) {
                    vec number = v_set1(x[point * few->input_point + tile * BLOCK]);
                    sums[point][tile] = v_fma(number, g[point], sums[point][tile]);
                }
            }
        }
    }
    UNROLL
    for (size_t point = 0; point < POINTS; point++) {
        UNROLL
        for (size_t tile = 0; tile < tiles; tile++) {
            v_store(few->sums + point * few->sum_point + tile * TILE_COLUMNS, sums[point][tile]);
        }
    }
}

static __attribute__((noinline)) void winograd_few_tiles(const struct winograd_few *few, size_t row, size_t tiles) {
    switch (8 * tiles + row) {
#define CASE(row, tiles)                        \
    case 8 * tiles + row:                       \
        winograd_few_row(few, row, tiles);      \
        return;
#define CASES(tiles) CASE(0, tiles) CASE(1, tiles) CASE(2, tiles) CASE(3, tiles) CASE(4, tiles) CASE(5, tiles)
        CASES(1) CASES(2) CASES(3) CASES(4)
#undef CASES
#undef CASE
        default: return;
    }
}

/// Whether a block's tiles are so few. The sixth point of a row is computed for all tiles that have the others; what
/// the small ones get there nobody reads.
static bool winograd_are_few(const struct winograd_pass *pass, const struct winograd_scratch *s) {
    size_t tiles = s->kinds[0].tiles.end - s->kinds[0].tiles.begin;
    return WINOGRAD_FEW_TILES > 0 && pass->points == 6 && tiles <= WINOGRAD_FEW_TILES;
}

/// As `winograd_panel`, of few tiles.
static void winograd_few_panel(const struct winograd_pass *pass, const struct winograd_scratch *s,
                               const struct winograd_next *next, size_t panel, struct range depth, size_t columns) {
    struct winograd_taps taps = winograd_taps(pass, s, panel, depth);
    size_t vectors = (columns + LANES - 1) / LANES, count = depth.end - depth.begin;
    for (size_t vector = 0; vector < vectors; vector++) {
        for (size_t row = 0; row < pass->points; row++) {
            struct range tiles = s->kinds[winograd_kind_of(row, 0, pass->small_points)].tiles;
            // A tap of the next channels in each of the first nine passes.
            size_t point = row * pass->points, asked = vector * pass->points + row;
            bool asks = next->taps.first && asked < 9;
            struct winograd_few few = {
                .inputs = s->inputs + point * s->input_point + depth.begin * TILE_ROWS,
                .taps = taps.first + vector * LANES,
                .tap_stride = taps.stride,
                .sums = s->sums + point * s->sum_point + tiles.begin * TILE_COLUMNS + vector * LANES,
                .input_point = s->input_point,
                .sum_point = s->sum_point,
                .depth = count,
                .is_first = depth.begin == 0,
                .is_far = s->is_far,
                .ahead = asks ? next->taps.first + asked * next->taps.stride : taps.first,
                .ahead_step = asks ? TILE_COLUMNS : 0,
            };
            winograd_few_tiles(&few, row, tiles.end - tiles.begin);
        }
    }
}
