// Blocking of matrix products, once for all levels, over a level's register tile (gemm_f32_tile.h).
//
// For a group of rows, for a group of panels, for a block of depth: gather a tile's rows of the
// left operand next to each other, then multiply them with each panel of the group. So
//
//   - the gathered tile (TILE_ROWS * DEPTH_BLOCK floats) stays in the first-level cache,
//   - the panels' block (PANEL_GROUP * DEPTH_BLOCK * TILE_COLUMNS floats) in the second,
//   - convolution needs another gathering and nothing else: no im2col image exists.
//
// Sums of finished depth blocks wait in y. They cannot when y is also the residual, which is read
// at the end: then they wait in scratch memory.
//
// Weights that are not f32 are expanded once for a group of rows, a block of a group of panels at a time.
#include "packed_weight_body.h"
#include "tiling.h"
#include "gemm_f32_few_rows.h"

enum {
    TILE_GROUP = 16,  // tiles of rows that a group of panels' block is used for
    WAITING_STRIDE = PANEL_GROUP * TILE_COLUMNS,
    STREAMED_ROWS = 224,  // at most, for which panels are asked for ahead
    // For weights that are expanded, which should serve many rows.
    EXPANDED_TILE_GROUP = 256 / TILE_ROWS,
};

/// Writes rows [row_begin, row_begin + row_count) x depth [depth_begin, depth_begin + depth_count)
/// of the left operand to a: [row_count, GATHERED_STRIDE].
typedef void (*gather_f32_fn)(float *a, const void *args, size_t row_begin, size_t row_count,
                              size_t depth_begin, size_t depth_count);

struct product_f32 {
    gather_f32_fn gather;
    const void *args;  // of gather
    const struct packed_weight *weight;
    float *scratch;  // where weights that are not f32 are expanded and sums wait that cannot in y
    float *y;
    size_t y_stride;
    size_t columns, depth;
    const struct epilogue_f32 *epilogue;
    bool finishes_in_registers;
    bool waits_in_y;
};

/// Copies a run to a gathered row; may overwrite up to LANES - 1 floats after it (see the slack).
ALWAYS_INLINE void gather_run(float *a, const float *x, size_t count) {
    size_t i = count / (4 * LANES) * (4 * LANES);
    float *to = a;
    for (const float *from = x, *end = x + i; from < end; from += 4 * LANES, to += 4 * LANES) {
        vec first = v_load(from), second = v_load(from + LANES);
        vec third = v_load(from + 2 * LANES), fourth = v_load(from + 3 * LANES);
        v_store(to, first);
        v_store(to + LANES, second);
        v_store(to + 2 * LANES, third);
        v_store(to + 3 * LANES, fourth);
    }
    for (; i + LANES <= count; i += LANES) {
        v_store(a + i, v_load(x + i));
    }
    if (i < count) {
        v_store(a + i, v_load_n(x + i, count - i));
    }
}

/// As `gather_run`, of what lies outside an image: zeros.
ALWAYS_INLINE void gather_padding(float *a, size_t count, const struct conv2d_f32_args *args) {
    (void)args;
    for (size_t i = 0; i < count; i += LANES) {
        v_store(a + i, v_zero());
    }
}

/// Stores a finished tile that lies in `sums`, through the epilogue, to y. Changes `sums`.
static void finish_tile(const struct product_f32 *product, float *sums, struct range rows,
                        struct range columns) {
    struct epilogue_f32 before, after;
    if (is_long(product->epilogue->activation)) {
        split_epilogue(product->epilogue, &before, &after);
        for (size_t row = rows.begin; row < rows.end; row++) {
            float *own = sums + (row - rows.begin) * TILE_COLUMNS;
            for (size_t c = 0; c < columns.end - columns.begin; c += LANES) {
                size_t count = columns.end - columns.begin - c;
                v_store(own + c, v_epilogue(v_load(own + c), &before, row, columns.begin + c, count));
            }
        }
        activate_block(sums, (rows.end - rows.begin) * TILE_COLUMNS,
                       product->epilogue->activation);
    }
    const struct epilogue_f32 *epilogue =
        is_long(product->epilogue->activation) ? &after : product->epilogue;
    for (size_t row = rows.begin; row < rows.end; row++) {
        const float *from = sums + (row - rows.begin) * TILE_COLUMNS;
        float *y = product->y + row * product->y_stride;
        for (size_t column = columns.begin; column < columns.end; column += LANES) {
            size_t count = columns.end - column;
            vec sum = v_load(from + (column - columns.begin));
            vec t = v_epilogue(sum, epilogue, row, column, count);
            v_store_first(y + column, t, count);
        }
    }
}

/// Stores a finished tile of all columns, whose sums have what comes before a long activation.
static void finish_long(const struct product_f32 *product, float *sums, struct range rows,
                        size_t column) {
    const struct epilogue_f32 *epilogue = product->epilogue;
    const float *end = sums + (rows.end - rows.begin) * TILE_COLUMNS, *residual = NULL;
    activate_block(sums, (rows.end - rows.begin) * TILE_COLUMNS, epilogue->activation);
    if (epilogue->residual && !epilogue->residual_first) {
        residual = epilogue->residual + rows.begin * epilogue->residual_stride + column;
    }
    float *y = product->y + rows.begin * product->y_stride + column;
    for (const float *from = sums; from < end; from += TILE_COLUMNS, y += product->y_stride) {
        UNROLL
        for (size_t c = 0; c < TILE_COLUMNS; c += LANES) {
            vec t = v_load(from + c);
            v_store(y + c, residual ? v_add(t, v_load(residual + c)) : t);
        }
        residual = residual ? residual + epilogue->residual_stride : NULL;
    }
}

/// Copies the sums of a panel that is narrower than its tile, between y and a whole tile.
static void copy_narrow(float *to, size_t to_stride, const float *from, size_t from_stride,
                        size_t rows, size_t columns) {
    for (size_t row = 0; row < rows; row++) {
        for (size_t column = 0; column < columns; column++) {
            to[row * to_stride + column] = from[row * from_stride + column];
        }
    }
}

/// As tile_product, of a panel that no other tile of rows needs: it is expanded in registers, or piece by piece,
/// each of which stays in the first-level cache until it is multiplied.
static void tile_product_expanding(const struct product_f32 *product, const struct tile_f32 *tile,
                                   size_t panel, struct range depth, size_t row_count,
                                   size_t column_count) {
    _Alignas(64) float sums[TILE_ROWS * TILE_COLUMNS];
    struct tile_f32 piece = {
        .a = tile->a,
        .panel = product->scratch,
        .from = tile->from,
        .from_stride = tile->from_stride,
        .to = sums,
        .to_stride = TILE_COLUMNS,
    };
    if (row_count <= FEW_ROWS && depth.end - depth.begin > LAST_DEPTH) {
        struct range own = {depth.begin, depth.end - LAST_DEPTH};
        for (size_t row = 0; row < row_count; row++) {
            for (size_t c = 0; c < TILE_COLUMNS; c += LANES) {
                vec sum = tile->from ? v_load(tile->from + row * tile->from_stride + c) : v_zero();
                v_store(sums + row * TILE_COLUMNS + c, sum);
            }
        }
        multiply_few_rows(sums, piece.a, product->weight, product->depth, panel, own, row_count);
        piece.a += own.end - own.begin;
        piece.from = sums;
        piece.from_stride = TILE_COLUMNS;
        depth.begin = own.end;
    }
    for (struct range own = depth; own.begin < depth.end; own.begin = own.end) {
        own.end = smaller(own.begin + EXPANDED_DEPTH, depth.end);
        expand_panel(product->scratch, product->weight, product->depth, panel, own);
        if (own.end == depth.end) {
            const float *a = piece.a, *from = piece.from;
            size_t from_stride = piece.from_stride;
            piece = *tile;
            piece.a = a;
            piece.panel = product->scratch;
            piece.from = from;
            piece.from_stride = from_stride;
        }
        piece.depth = own.end - own.begin;
        tile_product(&piece, row_count, column_count);
        piece.a += piece.depth;
        piece.from = sums;
        piece.from_stride = TILE_COLUMNS;
    }
}

/// What of the panels is asked of memory while a tile is multiplied with one: see `tile_f32`.
struct panel_ahead {
    const float *first;
    size_t step;
};

/// One tile x one panel x one block of depth. `waiting` holds the sums of earlier blocks; `weights` is the
/// panel's block, NULL where it is not expanded yet.
static void multiply_tile(const struct product_f32 *product, const float *a, const float *weights,
                          struct range rows, size_t panel, struct range depth, struct panel_ahead ahead,
                          float *waiting, size_t waiting_stride) {
    _Alignas(64) float whole[TILE_ROWS * TILE_COLUMNS];
    bool is_first = depth.begin == 0, is_last = depth.end == product->depth;
    size_t row_count = rows.end - rows.begin;
    struct range columns = {panel * TILE_COLUMNS,
                            smaller((panel + 1) * TILE_COLUMNS, product->columns)};
    size_t column_count = columns.end - columns.begin;
    bool is_narrow = column_count < TILE_COLUMNS;

    struct tile_f32 tile = {
        .a = a,
        .panel = weights,
        .depth = depth.end - depth.begin,
        .from = is_first ? NULL : waiting,
        .from_stride = waiting_stride,
        .to = waiting,
        .to_stride = waiting_stride,
        .ahead = ahead.first,
        .ahead_step = ahead.step,
    };
    bool is_detoured = is_last ? is_narrow || !product->finishes_in_registers
                               : is_narrow && product->waits_in_y;
    const struct epilogue_f32 *epilogue = product->epilogue;
    bool is_long_whole = is_last && !is_narrow && is_long(epilogue->activation);
    if (is_detoured) {
        tile.to = whole;
        tile.to_stride = TILE_COLUMNS;
        if (!is_first && is_narrow && product->waits_in_y) {
            copy_narrow(whole, TILE_COLUMNS, waiting, waiting_stride, row_count, column_count);
            tile.from = whole;
            tile.from_stride = TILE_COLUMNS;
        }
    } else if (is_last) {
        tile.to = product->y + rows.begin * product->y_stride + columns.begin;
        tile.to_stride = product->y_stride;
        tile.activation = epilogue->activation;
    }
    if (is_last && (is_long_whole || !is_detoured)) {
        tile.bias = epilogue->bias ? epilogue->bias + columns.begin : NULL;
        if (epilogue->residual && (!is_long_whole || epilogue->residual_first)) {
            tile.residual_stride = epilogue->residual_stride;
            tile.residual =
                epilogue->residual + columns.begin + rows.begin * epilogue->residual_stride;
        }
    }
    if (weights) {
        tile_product(&tile, row_count, column_count);
    } else {
        tile_product_expanding(product, &tile, panel, depth, row_count, column_count);
    }
    if (is_long_whole) {
        finish_long(product, whole, rows, columns.begin);
    } else if (is_detoured && is_last) {
        finish_tile(product, whole, rows, columns);
    } else if (is_detoured) {
        copy_narrow(waiting, waiting_stride, whole, TILE_COLUMNS, row_count, column_count);
    }
}

/// The block of depth of one panel as floats, which have been expanded if `is_expanded`; NULL if they are not.
static const float *panel_block(const struct product_f32 *product, struct range panels, size_t panel,
                                size_t begin, size_t block, bool is_expanded) {
    if (product->weight->format == WEIGHT_F32) {
        const float *values = product->weight->values;
        return values + (panel * product->depth + begin) * TILE_COLUMNS;
    }
    return is_expanded ? product->scratch + (panel - panels.begin) * block * TILE_COLUMNS : NULL;
}

/// Few rows read panels from memory once, and the first tile would wait for all of them: so each tile asks for its
/// share of what is needed next, the panel's next block or the first of its place in the next group. (Measured with
/// AVX-512 and weights that no cache holds: 16 rows take 0.6 of the time, 32 0.9, 64 and 77 0.95 to 0.98, 128 rows
/// in an encoder 0.98. To the second level: asked of the first, 16 rows take 1.3 to 1.4 times as long.)
static struct panel_ahead panel_ahead(const struct product_f32 *product, const float *weights, struct range panels,
                                      struct range depth, size_t tile, size_t step) {
    size_t length = depth.end - depth.begin;
    size_t next = depth.end < product->depth
                      ? length
                      : (panels.end - panels.begin) * product->depth - depth.begin;
    return (struct panel_ahead){weights + next * TILE_COLUMNS + tile * step * length, step};
}

/// A group of rows x a group of panels, over all depth.
static void multiply_group(const struct product_f32 *product, struct range rows,
                           struct range panels, bool is_streamed) {
    _Alignas(64) float a[TILE_ROWS * GATHERED_STRIDE];
    _Alignas(64) float waiting[TILE_ROWS * WAITING_STRIDE];
    size_t block = depth_block(product->depth);
    size_t tiles = parts(rows, TILE_ROWS);
    bool is_f32 = product->weight->format == WEIGHT_F32, is_expanded = !is_f32 && tiles > 1;
    // All tiles together ask for a panel's block. A single one has nothing to do meanwhile.
    size_t ahead_step = is_streamed && tiles > 1 ? (TILE_COLUMNS + tiles - 1) / tiles : 0;
    size_t waiting_stride = product->waits_in_y ? product->y_stride : WAITING_STRIDE;
    float *first = product->waits_in_y
                       ? product->y + rows.begin * product->y_stride + panels.begin * TILE_COLUMNS
                   : is_expanded ? product->scratch + PANEL_GROUP * block * TILE_COLUMNS
                   : tiles > 1   ? product->scratch
                                 : waiting;

    for (size_t begin = 0; begin < product->depth; begin += block) {
        struct range depth = {begin, smaller(begin + block, product->depth)};
        for (size_t panel = panels.begin; is_expanded && panel < panels.end; panel++) {
            float *to = product->scratch + (panel - panels.begin) * block * TILE_COLUMNS;
            expand_panel(to, product->weight, product->depth, panel, depth);
        }
        for (size_t tile = 0; tile < tiles; tile++) {
            struct range own = tile_rows(rows, tile, tiles);
            product->gather(a, product->args, own.begin, own.end - own.begin, depth.begin,
                            depth.end - depth.begin);
            float *row = first + (own.begin - rows.begin) * waiting_stride;
            for (size_t panel = panels.begin; panel < panels.end; panel++) {
                const float *weights =
                    panel_block(product, panels, panel, begin, block, is_expanded);
                struct panel_ahead ahead = {weights, 0};
                if (ahead_step > 0) {
                    ahead = panel_ahead(product, weights, panels, depth, tile, ahead_step);
                }
                multiply_tile(product, a, weights, own, panel, depth, ahead,
                              row + (panel - panels.begin) * TILE_COLUMNS, waiting_stride);
            }
        }
    }
}

/// Rows [rows.begin, rows.end) x panels [panels.begin, panels.end) of a product whose y, weight,
/// scratch, depth, columns, epilogue and gathering are set.
static void multiply(struct product_f32 *product, struct range rows, struct range panels) {
    const struct epilogue_f32 *epilogue = product->epilogue;
    ASSUME(rows.begin <= rows.end && panels.begin <= panels.end);
    ASSUME((panels.end - 1) * TILE_COLUMNS < product->columns || panels.begin == panels.end);
    ASSUME(product->depth > 0 && product->y_stride >= product->columns);
    ASSUME(!epilogue->residual || epilogue->residual_stride >= product->columns);

    enum activation activation = epilogue->activation;
    bool clamps = activation == ACTIVATION_RELU || activation == ACTIVATION_RELU6;
    bool is_activated_last = epilogue->residual_first || !epilogue->residual;
    product->finishes_in_registers =
        activation == ACTIVATION_NONE || (clamps && is_activated_last);
    // Sums of a single block wait nowhere.
    product->waits_in_y = epilogue->residual != product->y || product->depth <= DEPTH_LONGEST;

    struct range tiles = {0, parts(rows, TILE_ROWS)};
    size_t groups = parts(tiles, product->weight->format != WEIGHT_F32 ? EXPANDED_TILE_GROUP : TILE_GROUP);
    bool is_streamed =
        STREAMED_GROUP > 0 && product->weight->format == WEIGHT_F32 && rows.end - rows.begin <= STREAMED_ROWS;
    size_t panel_groups = parts(panels, is_streamed && product->waits_in_y ? STREAMED_GROUP : PANEL_GROUP);
    for (size_t group = 0; group < groups; group++) {
        struct range own = part(tiles, group, groups);
        own.begin = rows.begin + own.begin * TILE_ROWS;
        own.end = smaller(rows.begin + own.end * TILE_ROWS, rows.end);
        for (size_t panel_group = 0; panel_group < panel_groups; panel_group++) {
            multiply_group(product, own, part(panels, panel_group, panel_groups), is_streamed);
        }
    }
}

static void gather_matrix_rows(float *a, const void *args, size_t row_begin, size_t row_count,
                               size_t depth_begin, size_t depth_count) {
    const struct gemm_f32_args *gemm = args;
    for (size_t row = 0; row < row_count; row++) {
        gather_run(a + row * GATHERED_STRIDE,
                   gemm->a + (row_begin + row) * gemm->a_stride + depth_begin, depth_count);
    }
}

static size_t product_scratch_count(enum weight_format format, size_t columns, size_t depth, bool has_residual) {
    if (format == WEIGHT_F32) {
        return has_residual && depth > DEPTH_LONGEST ? TILE_GROUP * TILE_ROWS * WAITING_STRIDE : 0;
    }
    if (depth > DEPTH_LONGEST) {
        return PANEL_GROUP * depth_block(depth) * TILE_COLUMNS +
               EXPANDED_TILE_GROUP * TILE_ROWS * WAITING_STRIDE;
    }
    size_t panels = smaller(parts((struct range){0, columns}, TILE_COLUMNS), PANEL_GROUP);
    return panels * depth * TILE_COLUMNS;
}

static void gemm_f32(const struct gemm_f32_args *args, float *scratch, size_t row_begin,
                     size_t row_end, size_t panel_begin, size_t panel_end) {
    ASSUME(row_end <= args->rows);
    ASSUME(args->a_stride >= args->depth);
    struct product_f32 product = {
        .gather = gather_matrix_rows,
        .args = args,
        .weight = &args->weight,
        .scratch = scratch,
        .y = args->y,
        .y_stride = args->y_stride,
        .columns = args->columns,
        .depth = args->depth,
        .epilogue = &args->epilogue,
    };
    multiply(&product, (struct range){row_begin, row_end}, (struct range){panel_begin, panel_end});
}
