// Integer convolution by minimal filtering, F(4x4, 3x3), over the register tile of gemm_i8_x86_body.h: a quarter of
// the multiplications, of 16-bit numbers. Its sums are those of the definition, to the last bit.
//
// A tile of the image is brought to 36 points of evaluation a channel, the filter too; there convolution is one
// product of matrices for each point; the result is brought back to the tile's pixels (Lavin & Gray 2015). Filters'
// fractions are replaced by whole numbers, so that what comes back is 9 * 2^k times the sum, modulo 2^32, for
// numbers wrap around on the way. Times the inverse of 9 it is 2^6 times the sum, which fits as long as the sum has
// 26 bits. At the points images have at most 255 * 10 * 10, filters 127 * 7 * 7: 16 bits.
//
// Pairs of channels that are multiplied together are (0, 2) and (1, 3) of each four: the even and the odd bytes of
// what is loaded become vectors of words by shifts alone.

enum {
    POINTS = 6,                // of a row of a tile
    SIDE = 4,                  // of a tile, in pixels
    WINOGRAD_TILES = 64,       // that share their inputs' and filters' transforms, at most
    TILES_AHEAD = 4,           // whose pixels are asked of memory
    WINOGRAD_RUN = 8,          // that are finished together
    KEPT_FILTERS = 1280 * 1024,  // bytes: up to there all panels' filters are transformed once a call
    PAIRS = VECTOR_BYTES / 4,
};

typedef int16_t words __attribute__((vector_size(VECTOR_BYTES)));
typedef int16_t words_anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(1)));
typedef uint32_t uvec __attribute__((vector_size(VECTOR_BYTES)));

struct winograd_i8 {
    const struct conv2d_i8_args *args;
    struct product_i8 product;
    size_t channels, rows, columns;  // rows and columns of tiles in an image
    int8_t *padding;                 // a pixel of zero points
    int8_t *filters;                 // [panels, points^2, channels / 2, TILE_COLUMNS] pairs of words
    int8_t *inputs;                  // [points^2, tiles, channels] words
    int32_t *sums;                   // [points^2, tiles, TILE_COLUMNS]
    size_t filter_point, filter_panel, input_point;  // bytes
    size_t sum_point;
    bool keeps_filters;
    size_t byte_count;
};

/// Whole lines, an odd number of them: so that the same number of all points does not fall into one set of the cache.
static size_t odd_lines(size_t bytes) { return (((bytes + LINE - 1) / LINE) | 1) * LINE; }

/// As for f32: without any memory only its size is told.
static struct winograd_i8 winograd_split(const struct conv2d_i8_args *args, int8_t *scratch,
                                         size_t panel_count) {
    enum { SQUARES = POINTS * POINTS };
    struct winograd_i8 w = {.args = args, .channels = args->input_channels};
    w.rows = (args->output_height + SIDE - 1) / SIDE;
    w.columns = (args->output_width + SIDE - 1) / SIDE;
    w.filter_point = odd_lines(w.channels / 2 * TILE_COLUMNS * sizeof(int32_t));
    w.filter_panel = SQUARES * w.filter_point;
    w.input_point = odd_lines(WINOGRAD_TILES * w.channels * sizeof(int16_t));
    size_t sum_point = odd_lines(WINOGRAD_TILES * TILE_COLUMNS * sizeof(int32_t));
    w.sum_point = sum_point / sizeof(int32_t);
    w.keeps_filters = panel_count * w.filter_panel <= KEPT_FILTERS;
    size_t padding = (w.channels + LINE - 1) / LINE * LINE, inputs = SQUARES * w.input_point;
    size_t filters = (w.keeps_filters ? panel_count : 1) * w.filter_panel;
    w.byte_count = padding + filters + inputs + SQUARES * sum_point;
    if (scratch) {
        w.padding = scratch;
        w.filters = w.padding + padding;
        w.inputs = w.filters + filters;
        w.sums = (int32_t *)(w.inputs + inputs);
    }
    return w;
}

/// Six numbers at the points 0, 1, -1, 2, -2 and infinity.
ALWAYS_INLINE void input_points(words p[POINTS], words d0, words d1, words d2, words d3, words d4,
                                words d5) {
    words a = d4 - (d2 << 2), b = d3 - (d1 << 2), c = d4 - d2, e = d3 - d1;
    e += e;
    p[0] = ((d0 - d2) << 2) + c;
    p[1] = a + b;
    p[2] = a - b;
    p[3] = c + e;
    p[4] = c - e;
    p[5] = d5 - d3 - (e + e);
}

/// Three taps at the same points, times 6, 1, 1, 1, 1 and 6.
ALWAYS_INLINE void filter_points(words p[POINTS], words g0, words g1, words g2) {
    words ends = g0 + g2, twice = g1 + g1, outer = g0 + (g2 << 2);
    p[0] = (g0 << 2) + (g0 << 1);
    p[1] = ends + g1;
    p[2] = ends - g1;
    p[3] = outer + twice;
    p[4] = outer - twice;
    p[5] = (g2 << 2) + (g2 << 1);
}

/// What is at six points as four numbers, of which the first is 24 times what it should be, the others 12, 6 and 6.
ALWAYS_INLINE void output_numbers(uvec y[SIDE], const uvec m[POINTS]) {
    uvec p = m[1] + m[2], q = m[1] - m[2], r = m[3] + m[4], t = m[3] - m[4];
    y[0] = m[0] + r - (p << 2);
    y[1] = t - (q << 1);
    y[2] = r - p;
    y[3] = (t << 1) - q + m[5];
}

ALWAYS_INLINE words even_bytes(words x) { return (x << 8) >> 8; }
ALWAYS_INLINE words odd_bytes(words x) { return x >> 8; }

/// One panel's filters at all points.
static void winograd_filters(const struct winograd_i8 *w, size_t panel, int8_t *filters) {
    const int8_t *from = w->product.packed + panel * w->product.panel_bytes + TILE_COLUMNS * sizeof(int32_t);
    size_t groups = w->channels / DEPTH_GROUP, tap = groups * TILE_COLUMNS * DEPTH_GROUP;
    for (size_t group = 0; group < groups; group++) {
        size_t pair = group / PAIRS * 2 * PAIRS + group % PAIRS;
        UNROLL
        for (size_t v = 0; v < 4; v++) {
            // Two vectors of columns, of each the even and the odd channels.
            size_t column = v / 2 * VECTOR_BYTES;
            words t[3][POINTS];
            UNROLL
            for (size_t row = 0; row < 3; row++) {
                words g[3];
                UNROLL
                for (size_t i = 0; i < 3; i++) {
                    size_t place = (3 * row + i) * tap + group * TILE_COLUMNS * DEPTH_GROUP + column;
                    words x = *(const words_anywhere *)(from + place);
                    g[i] = v % 2 == 0 ? even_bytes(x) : odd_bytes(x);
                }
                filter_points(t[row], g[0], g[1], g[2]);
            }
            int8_t *to = filters + (pair + v % 2 * PAIRS) * TILE_COLUMNS * sizeof(int32_t) + column;
            UNROLL
            for (size_t i = 0; i < POINTS; i++) {
                words p[POINTS];
                filter_points(p, t[0][i], t[1][i], t[2][i]);
                UNROLL
                for (size_t row = 0; row < POINTS; row++) {
                    *(words *)(to + (row * POINTS + i) * w->filter_point) = p[row];
                }
            }
        }
    }
}

/// A tile of an image and where it lies.
struct winograd_place {
    size_t image, row, column;
};

ALWAYS_INLINE struct winograd_place winograd_place_of(const struct winograd_i8 *w, size_t tile) {
    return (struct winograd_place){tile / w->columns / w->rows, tile / w->columns % w->rows, tile % w->columns};
}

/// The pixels of a tile's window.
ALWAYS_INLINE void winograd_window(const struct winograd_i8 *w, struct winograd_place place,
                                   const int8_t *pixels[POINTS * POINTS]) {
    const struct conv2d_i8_args *args = w->args;
    // Negative coordinates become huge.
    size_t top = place.row * SIDE - args->pad_top, left = place.column * SIDE - args->pad_left;
    size_t pitch = args->input_width * args->x_pixel_stride;
    const int8_t *image = args->x + place.image * args->input_height * pitch;
    bool is_inside = left < args->input_width && left + POINTS <= args->input_width;
    for (size_t row = 0; row < POINTS; row++) {
        const int8_t **to = pixels + row * POINTS;
        const int8_t *line = image + (top + row) * pitch;
        bool is_there = top + row < args->input_height;
        for (size_t i = 0; i < POINTS; i++) {
            bool reads = is_there && (is_inside || left + i < args->input_width);
            to[i] = reads ? line + (left + i) * args->x_pixel_stride : w->padding;
        }
    }
}

/// A tile's window at all points, `tile` counted from the first of a block.
static void winograd_input(const struct winograd_i8 *w, struct winograd_place place, size_t tile) {
    const int8_t *pixels[POINTS * POINTS];
    winograd_window(w, place, pixels);
    for (size_t row = 0; row < POINTS; row++) {
        for (size_t i = POINTS - SIDE; i < POINTS; i++) {
            __builtin_prefetch(pixels[row * POINTS + i] + TILES_AHEAD * SIDE * w->args->x_pixel_stride);
        }
    }
    int8_t *to = w->inputs + tile * w->channels * sizeof(int16_t);
    words zero = (words){0} + (int16_t)w->args->epilogue.zero_point;
    for (size_t channel = 0; channel < w->channels; channel += VECTOR_BYTES) {
        UNROLL
        for (size_t odd = 0; odd < 2; odd++, to += VECTOR_BYTES) {
            words t[POINTS][POINTS];
            UNROLL
            for (size_t row = 0; row < POINTS; row++) {
                words d[POINTS];
                UNROLL
                for (size_t i = 0; i < POINTS; i++) {
                    words x = *(const words_anywhere *)(pixels[row * POINTS + i] + channel);
                    d[i] = (odd ? odd_bytes(x) : even_bytes(x)) - zero;
                }
                input_points(t[row], d[0], d[1], d[2], d[3], d[4], d[5]);
            }
            UNROLL
            for (size_t i = 0; i < POINTS; i++) {
                words p[POINTS];
                input_points(p, t[0][i], t[1][i], t[2][i], t[3][i], t[4][i], t[5][i]);
                UNROLL
                for (size_t row = 0; row < POINTS; row++) {
                    *(words *)(to + (row * POINTS + i) * w->input_point) = p[row];
                }
            }
        }
    }
}

/// The products of `count` tiles with one panel's filters at all points.
static void winograd_products(const struct winograd_i8 *w, const int8_t *filters, size_t count) {
    static const int32_t zeros[TILE_COLUMNS];
    size_t stride = w->channels * sizeof(int16_t);
    for (size_t point = 0; point < POINTS * POINTS; point++) {
        struct range rows = {0, count};
        size_t groups = parts(rows, TILE_ROWS);
        for (size_t group = 0; group < groups; group++) {
            struct range own = tile_rows(rows, group, groups);
            struct tile_i8 tile = {
                .a = w->inputs + point * w->input_point + own.begin * stride,
                .panel = filters + point * w->filter_point,
                .sums = w->sums + point * w->sum_point + own.begin * TILE_COLUMNS,
                .from = zeros,
                .row_stride = stride,
                .runs = 1,
                .depth_groups = w->channels / 2,
            };
            tile_sums_of_words(&tile, own.end - own.begin);
        }
    }
}

/// A tile's sums, row by row: [SIDE, row_stride] of TILE_COLUMNS each.
ALWAYS_INLINE void winograd_sums(const struct winograd_i8 *w, size_t tile, int32_t *to, size_t row_stride) {
    for (size_t v = 0; v < 2; v++) {
        const int32_t *from = w->sums + tile * TILE_COLUMNS + v * VECTOR_LANES;
        uvec t[SIDE][POINTS];
        UNROLL
        for (size_t i = 0; i < POINTS; i++) {
            uvec m[POINTS], y[SIDE];
            UNROLL
            for (size_t row = 0; row < POINTS; row++) {
                m[row] = *(const uvec *)(from + (row * POINTS + i) * w->sum_point);
            }
            output_numbers(y, m);
            UNROLL
            for (size_t row = 0; row < SIDE; row++) {
                t[row][i] = y[row];
            }
        }
        UNROLL
        for (size_t row = 0; row < SIDE; row++) {
            uvec y[SIDE];
            output_numbers(y, t[row]);
            UNROLL
            for (size_t i = 0; i < SIDE; i++) {
                // 24, 12, 6 and 6 are 3 times these powers of two.
                static const uint32_t powers[SIDE] = {3, 2, 1, 1};
                const uint32_t inverse_of_9 = 0x38E38E39;
                ivec sum = (ivec)(y[i] * (inverse_of_9 << (6 - powers[row] - powers[i]))) >> 6;
                *(ivec *)(to + (row * row_stride + i) * TILE_COLUMNS + v * VECTOR_LANES) = sum;
            }
        }
    }
}

/// Brings the sums of some tiles, neighbours in a row of them, back to pixels and stores those.
static void winograd_finish(const struct winograd_i8 *w, struct winograd_place place, size_t tile, size_t count,
                            const struct panel_i8 *panel, struct range columns) {
    enum { STRIDE = WINOGRAD_RUN * SIDE };
    _Alignas(64) int32_t sums[SIDE * STRIDE * TILE_COLUMNS];
    const struct conv2d_i8_args *args = w->args;
    for (size_t i = 0; i < count; i++) {
        winograd_sums(w, tile + i, sums + i * SIDE * TILE_COLUMNS, STRIDE);
    }
    size_t left = place.column * SIDE, right = smaller(left + count * SIDE, args->output_width);
    bool is_whole = columns.end - columns.begin == TILE_COLUMNS && is_plain(&args->epilogue);
    size_t longest = is_whole ? STRIDE : TILE_ROWS;
    for (size_t row = 0; row < SIDE; row++) {
        size_t y = place.row * SIDE + row;
        if (y >= args->output_height) {
            break;
        }
        size_t first = (place.image * args->output_height + y) * args->output_width;
        for (size_t x = left; x < right; x += longest) {
            const int32_t *own = sums + (row * STRIDE + x - left) * TILE_COLUMNS;
            finish_tile(&w->product, own, panel, (struct range){first + x, first + smaller(x + longest, right)},
                        columns);
        }
    }
}

/// One panel's columns of a block of tiles, whose inputs are there.
static void winograd_panel(const struct winograd_i8 *w, size_t panel, const int8_t *filters, struct range tiles) {
    struct range columns = {panel * TILE_COLUMNS, smaller((panel + 1) * TILE_COLUMNS, w->args->output_channels)};
    struct panel_i8 prepared;
    prepare_panel(&prepared, &w->product, columns, w->product.packed + panel * w->product.panel_bytes);
    winograd_products(w, filters, tiles.end - tiles.begin);
    for (size_t tile = tiles.begin; tile < tiles.end;) {
        struct winograd_place place = winograd_place_of(w, tile);
        size_t count = smaller(smaller(tiles.end - tile, WINOGRAD_RUN), w->columns - place.column);
        winograd_finish(w, place, tile - tiles.begin, count, &prepared, columns);
        tile += count;
    }
}

static size_t winograd_scratch_bytes_i8(const struct conv2d_i8_args *args, size_t panel_count) {
    return winograd_split(args, NULL, panel_count).byte_count;
}

static void winograd_i8(const struct conv2d_i8_args *args, int8_t *scratch, size_t tile_begin, size_t tile_end,
                        size_t panel_begin, size_t panel_end) {
    ASSUME(args->kernel_height == 3 && args->kernel_width == 3 && args->upsample == 1);
    ASSUME(args->stride_height == 1 && args->stride_width == 1);
    ASSUME(args->dilation_height == 1 && args->dilation_width == 1);
    ASSUME(args->input_channels > 0 && args->input_channels % 64 == 0);
    ASSUME(args->y_row_gap == 0 && !args->epilogue.row);
    struct winograd_i8 w = winograd_split(args, scratch, panel_end - panel_begin);
    w.product = product_of_convolution(args);
    memset(w.padding, args->epilogue.zero_point, w.channels);
    for (size_t panel = panel_begin; w.keeps_filters && panel < panel_end; panel++) {
        winograd_filters(&w, panel, w.filters + (panel - panel_begin) * w.filter_panel);
    }
    struct range tiles = {tile_begin, tile_end};
    size_t blocks = parts(tiles, WINOGRAD_TILES);
    for (size_t block = 0; block < blocks; block++) {
        struct range own = part(tiles, block, blocks);
        for (size_t tile = own.begin; tile < own.end; tile++) {
            winograd_input(&w, winograd_place_of(&w, tile), tile - own.begin);
        }
        for (size_t panel = panel_begin; panel < panel_end; panel++) {
            int8_t *filters = w.filters + (w.keeps_filters ? panel - panel_begin : 0) * w.filter_panel;
            if (!w.keeps_filters) {
                winograd_filters(&w, panel, filters);
            }
            winograd_panel(&w, panel, filters, own);
        }
    }
}
