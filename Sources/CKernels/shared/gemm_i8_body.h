// Blocking of integer matrix products, once for all levels, over a level's register tile
// (gemm_i8_tile.h). The blocking is that of gemm_f32_body.h; depth counts in bytes.
#include "epilogue_f32_body.h"
#include "quantize_i8_body.h"
#include "tiling.h"

enum {
    TILE_GROUP = 16,  // tiles of rows that a group of panels' block is used for
    TILE_SUMS = TILE_ROWS * TILE_COLUMNS,
    WAITING_TILES = 54 * 1024 / (4 * PANEL_GROUP * TILE_SUMS),  // of 54 KiB of stack
};

/// Writes rows [row_begin, row_begin + row_count) x depth [depth_begin, depth_begin + depth_count)
/// of the left operand to a: [row_count, GATHERED_STRIDE], SIGN_OFFSET added.
typedef void (*gather_i8_fn)(int8_t *a, const void *args, size_t row_begin, size_t row_count,
                             size_t depth_begin, size_t depth_count);

struct product_i8 {
    const int8_t *rows;  // the left operand where it can be read where it is, row_stride bytes a row; else NULL
    gather_i8_fn gather;  // of what cannot
    const void *args;     // of gather
    size_t row_stride, run_stride, runs;  // of what is gathered (see tile_i8)
    size_t tiles_within;  // no tile has rows of two multiples of it; 0: any may
    const int8_t *packed;
    size_t panel_bytes;
    float *y;
    size_t y_stride;
    size_t row_length, row_gap;  // after each row_length rows of the result row_gap numbers are skipped
    size_t columns, depth;
    const struct epilogue_i8 *epilogue;
};

typedef int8_t line_i8 __attribute__((vector_size(64), aligned(1)));

/// Copies a run to a gathered row; may overwrite up to LINE - 1 bytes after it (see the slack).
ALWAYS_INLINE void gather_run(int8_t *a, const int8_t *x, size_t count) {
    size_t lines = count / LINE, i = lines * LINE;
    line_i8 *to = (line_i8 *)a;
    for (const line_i8 *from = (const line_i8 *)x, *end = from + lines; from < end; from++, to++) {
        *to = *from ^ (int8_t)SIGN_OFFSET;
    }
    typedef int8_t piece __attribute__((vector_size(16), aligned(1)));
    for (; i + sizeof(piece) <= count; i += sizeof(piece)) {
        *(piece *)(a + i) = *(const piece *)(x + i) ^ (int8_t)SIGN_OFFSET;
    }
    if (i < count && count >= sizeof(piece)) {
        // The last ones together with some before them.
        i = count - sizeof(piece);
        *(piece *)(a + i) = *(const piece *)(x + i) ^ (int8_t)SIGN_OFFSET;
        return;
    }
    for (; i < count; i++) {
        a[i] = x[i] ^ (int8_t)SIGN_OFFSET;
    }
}

/// As `gather_run`, of what lies outside an image: the zero point.
ALWAYS_INLINE void gather_padding(int8_t *a, size_t count, const struct conv2d_i8_args *args) {
    if (count > 0) {
        memset(a, args->epilogue.zero_point ^ SIGN_OFFSET, count);
    }
}

/// What the epilogue needs of one panel's columns, padded to a whole tile.
struct panel_i8 {
    const int32_t *weight_sums;  // [TILE_COLUMNS]
    _Alignas(64) int32_t first[TILE_COLUMNS];  // what sums begin with
    _Alignas(64) float scale[TILE_COLUMNS];
};

static void prepare_panel(struct panel_i8 *prepared, const struct product_i8 *product,
                          struct range columns, const int8_t *panel) {
    prepared->weight_sums = (const int32_t *)panel;
    int32_t zero = product->epilogue->zero_point + SIGN_OFFSET;
    for (size_t c = 0; c < TILE_COLUMNS; c++) {
        bool is_there = columns.begin + c < columns.end;
        prepared->scale[c] = is_there ? product->epilogue->column_scale[columns.begin + c] : 0;
        // Where all rows have one zero point, its products are taken away before anything is added.
        prepared->first[c] = product->epilogue->row ? 0 : -prepared->weight_sums[c] * zero;
    }
}

/// Where the result of a row begins.
ALWAYS_INLINE size_t place_of(const struct product_i8 *product, size_t row) {
    size_t place = row * product->y_stride;
    return product->row_length ? place + row / product->row_length * product->row_gap : place;
}

/// A tile's lines, from its first number on; strides in bytes.
ALWAYS_INLINE void prefetch_lines(const void *first, size_t rows, size_t stride, const size_t size,
                                  const int writes) {
    const char *line = first;
    for (size_t row = 0; row < rows; row++, line += stride) {
        UNROLL
        for (size_t i = 0; i < TILE_COLUMNS * size; i += LINE) {
            if (writes) {
                __builtin_prefetch(line + i, 1);
            } else {
                __builtin_prefetch(line + i);
            }
        }
    }
}

/// The lines of the result, and of what is added to it, arrive while the sums grow. Rows after a gap go
/// without.
static __attribute__((unused)) void prefetch_result(const struct product_i8 *product, struct range rows,
                            struct range columns) {
    const struct epilogue_i8 *epilogue = product->epilogue;
    size_t place = place_of(product, rows.begin) + columns.begin, count = rows.end - rows.begin;
    size_t stride = product->y_stride, residual_stride = epilogue->floats.residual_stride;
    size_t added = rows.begin * residual_stride + columns.begin;
    if (epilogue->integers) {
        prefetch_lines(epilogue->integers + place, count, stride, 1, 1);
    } else {
        prefetch_lines(product->y + place, count, stride * sizeof(float), sizeof(float), 1);
    }
    const float *floats = epilogue->floats.residual;
    if (epilogue->residual && epilogue->residual != epilogue->integers) {
        prefetch_lines(epilogue->residual + added, count, residual_stride, 1, 0);
    } else if (floats && floats != product->y) {
        prefetch_lines(floats + added, count, residual_stride * sizeof(float), sizeof(float), 0);
    }
}

/// How rows are quantized, beyond what their sums began with: that of the first, and bytes from one to the next.
struct row_quantizations {
    const char *first;
    size_t stride;
    struct row_quantization all;  // where rows are alike
};

ALWAYS_INLINE void find_quantizations(struct row_quantizations *rows, const struct epilogue_i8 *epilogue,
                                      size_t row) {
    rows->all = (struct row_quantization){1, -SIGN_OFFSET};
    rows->first = epilogue->row ? (const char *)epilogue->row + row * epilogue->row_stride
                                : (const char *)&rows->all;
    rows->stride = epilogue->row ? epilogue->row_stride : 0;
}

/// The numbers of a residual as they are added.
ALWAYS_INLINE vec v_residual(const int8_t *x, vec zero_point, vec scale) {
    return v_mul(v_sub(v_from_i8(x), zero_point), scale);
}

enum residual_kind { RESIDUAL_NONE, RESIDUAL_FLOATS, RESIDUAL_INTEGERS };

/// Stores a finished tile of all columns through an epilogue of bias, residual and relu in this order: what
/// belongs to columns is loaded once, and nothing is decided on the way. `by_rows`: rows have quantizations of
/// their own. `clips`: there may be a relu. buffer: [rows, TILE_COLUMNS], which gets the numbers instead of the
/// result unless it is NULL.
ALWAYS_INLINE void finish_plain(const struct product_i8 *product, const int32_t *sums,
                                const struct panel_i8 *panel, struct range rows, size_t column,
                                const bool by_rows, const bool to_integers,
                                const enum residual_kind adds, const bool clips, float *buffer) {
    enum { VECTORS = TILE_COLUMNS / LANES };
    const struct epilogue_i8 *epilogue = product->epilogue;
    const float *bias = epilogue->floats.bias;
    int32_t weight_sums[TILE_COLUMNS];
    memcpy(weight_sums, panel->weight_sums, sizeof weight_sums);
    vec scale[VECTORS], shift[VECTORS];
    UNROLL
    for (size_t v = 0; v < VECTORS; v++) {
        scale[v] = v_load(panel->scale + v * LANES);
        // To add -0 changes nothing, not even -0.
        shift[v] = bias ? v_load(bias + column + v * LANES) : v_set1(-0.0f);
    }
    struct v_quantizer quantizer = quantizer_of(epilogue->inverse_scale, epilogue->output_zero_point);
    bool is_clipped = epilogue->floats.activation == ACTIVATION_RELU;
    vec least = v_set1(is_clipped ? 0 : -INFINITY);
    // Nothing of 0 and more is below the clipped range, so that one comparison does.
    quantizer.low = is_clipped ? v_max(quantizer.low, v_zero()) : quantizer.low;
    struct row_quantizations quantizations;
    find_quantizations(&quantizations, epilogue, rows.begin);
    const char *own = quantizations.first;
    size_t own_stride = quantizations.stride;
    // In variables of their own, which a store cannot change.
    size_t y_stride = buffer ? TILE_COLUMNS : product->y_stride;
    size_t place = buffer ? 0 : place_of(product, rows.begin) + column;
    size_t residual_stride = epilogue->floats.residual_stride;
    size_t added = rows.begin * residual_stride + column;
    const float *floats = epilogue->floats.residual;
    const int8_t *stored = epilogue->residual;
    vec zero_point = v_set1((float)epilogue->residual_zero_point);
    vec residual_scale = v_set1(epilogue->residual_scale);
    bool has_gaps = product->row_length != 0 && !buffer;
    float *y = buffer ? buffer : product->y;
    int8_t *integers = epilogue->integers;
    const int32_t *end = sums + (rows.end - rows.begin) * TILE_COLUMNS;
    for (size_t row = rows.begin; sums < end; sums += TILE_COLUMNS) {
        struct row_quantization quantization = *(const struct row_quantization *)own;
        vec t[VECTORS], by_row = v_set1(quantization.scale);
        int32_t factor = quantization.zero_point + SIGN_OFFSET;
        UNROLL
        for (size_t v = 0; v < VECTORS; v++) {
            t[v] = by_rows ? v_from_difference(sums + v * LANES, weight_sums + v * LANES, factor)
                           : v_from_i32(sums + v * LANES);
            t[v] = v_fma(t[v], by_rows ? v_mul(scale[v], by_row) : scale[v], shift[v]);
            if (adds == RESIDUAL_FLOATS) {
                t[v] = v_add(t[v], v_load(floats + added + v * LANES));
            } else if (adds == RESIDUAL_INTEGERS) {
                t[v] = v_add(t[v], v_residual(stored + added + v * LANES, zero_point, residual_scale));
            }
            t[v] = clips && !to_integers ? v_max(least, t[v]) : t[v];
        }
        UNROLL
        for (size_t v = 0; v < VECTORS; v++) {
            if (to_integers) {
                v_quantize(integers + place + v * LANES, t[v], quantizer);
            } else {
                v_store(y + place + v * LANES, t[v]);
            }
        }
        own += own_stride;
        added += residual_stride;
        place = has_gaps ? place_of(product, ++row) + column : place + y_stride;
    }
}

/// Whether `finish_plain` can store a tile of all columns.
ALWAYS_INLINE bool is_plain(const struct epilogue_i8 *epilogue) {
    bool adds = epilogue->floats.residual || epilogue->residual;
    bool is_common = !epilogue->row || !(epilogue->integers || epilogue->residual);
    return is_common && (epilogue->floats.activation == ACTIVATION_NONE ||
                         (epilogue->floats.activation == ACTIVATION_RELU &&
                          (!adds || epilogue->floats.residual_first)));
}

static void finish_whole(const struct product_i8 *product, const int32_t *sums,
                         const struct panel_i8 *panel, struct range rows, size_t column) {
    const struct epilogue_i8 *epilogue = product->epilogue;
    enum residual_kind adds = epilogue->residual           ? RESIDUAL_INTEGERS
                              : epilogue->floats.residual ? RESIDUAL_FLOATS
                                                          : RESIDUAL_NONE;
    bool clips = epilogue->floats.activation != ACTIVATION_NONE;
#define FINISH(by_rows, to_integers, kind, clips) \
    finish_plain(product, sums, panel, rows, column, by_rows, to_integers, kind, clips, NULL)
    if (epilogue->row) {
        if (adds == RESIDUAL_FLOATS) {
            FINISH(true, false, RESIDUAL_FLOATS, true);
        } else if (clips) {
            FINISH(true, false, RESIDUAL_NONE, true);
        } else {
            FINISH(true, false, RESIDUAL_NONE, false);
        }
        return;
    }
    switch (2 * adds + (epilogue->integers != NULL)) {
        case 2 * RESIDUAL_NONE: FINISH(false, false, RESIDUAL_NONE, true); return;
        case 2 * RESIDUAL_NONE + 1: FINISH(false, true, RESIDUAL_NONE, true); return;
        case 2 * RESIDUAL_FLOATS: FINISH(false, false, RESIDUAL_FLOATS, true); return;
        case 2 * RESIDUAL_FLOATS + 1: FINISH(false, true, RESIDUAL_FLOATS, true); return;
        case 2 * RESIDUAL_INTEGERS: FINISH(false, false, RESIDUAL_INTEGERS, true); return;
        case 2 * RESIDUAL_INTEGERS + 1: FINISH(false, true, RESIDUAL_INTEGERS, true); return;
    }
#undef FINISH
}

/// As `finish_whole`, with an activation that is worth a pass of its own and no residual.
static void finish_activated(const struct product_i8 *product, const int32_t *sums,
                             const struct panel_i8 *panel, struct range rows, size_t column) {
    const struct epilogue_i8 *epilogue = product->epilogue;
    _Alignas(64) float activated[TILE_SUMS];
    if (epilogue->row) {
        finish_plain(product, sums, panel, rows, column, true, false, RESIDUAL_NONE, true, activated);
    } else {
        finish_plain(product, sums, panel, rows, column, false, false, RESIDUAL_NONE, true, activated);
    }
    activate_block(activated, (rows.end - rows.begin) * TILE_COLUMNS, epilogue->floats.activation);
    struct v_quantizer quantizer = quantizer_of(epilogue->inverse_scale, epilogue->output_zero_point);
    const float *own = activated;
    for (size_t row = rows.begin; row < rows.end; row++, own += TILE_COLUMNS) {
        size_t place = place_of(product, row) + column;
        UNROLL
        for (size_t c = 0; c < TILE_COLUMNS; c += LANES) {
            if (epilogue->integers) {
                v_quantize(epilogue->integers + place + c, v_load(own + c), quantizer);
            } else {
                v_store(product->y + place + c, v_load(own + c));
            }
        }
    }
}

/// The residual of `count` columns of a row, whichever kind it is.
ALWAYS_INLINE vec residual_at(const struct epilogue_i8 *epilogue, size_t row, size_t column, size_t count) {
    size_t place = row * epilogue->floats.residual_stride + column;
    if (epilogue->floats.residual) {
        return v_load_first(epilogue->floats.residual + place, count);
    }
    if (!epilogue->residual) {
        return v_zero();
    }
    int8_t lanes[LANES] = {0};
    memcpy(lanes, epilogue->residual + place, smaller(count, LANES));
    return v_residual(lanes, v_set1((float)epilogue->residual_zero_point),
                      v_set1(epilogue->residual_scale));
}

/// `count` sums of a row from column c of a panel on, scaled, and the bias added.
ALWAYS_INLINE vec v_scaled(const int32_t *sums, const struct panel_i8 *panel, size_t c,
                           struct row_quantization row, const float *bias, size_t count) {
    vec t = v_from_difference(sums + c, panel->weight_sums + c, row.zero_point + SIGN_OFFSET);
    vec scale = v_mul(v_load(panel->scale + c), v_set1(row.scale));
    return v_fma(t, scale, bias ? v_load_first(bias + c, count) : v_set1(-0.0f));
}

/// Stores a finished tile through the epilogue.
static void finish_tile(const struct product_i8 *product, const int32_t *sums,
                        const struct panel_i8 *panel, struct range rows, struct range columns) {
    const struct epilogue_i8 *epilogue = product->epilogue;
    enum activation activation = epilogue->floats.activation;
    bool is_whole = columns.end - columns.begin == TILE_COLUMNS;
    if (is_whole && is_plain(epilogue)) {
        finish_whole(product, sums, panel, rows, columns.begin);
        return;
    }
    bool adds = epilogue->floats.residual || epilogue->residual;
    if (is_whole && is_long(activation) && !adds) {
        finish_activated(product, sums, panel, rows, columns.begin);
        return;
    }
    bool adds_before = adds && epilogue->floats.residual_first && is_long(activation);
    // The bias is added by what scales.
    const float *bias = epilogue->floats.bias ? epilogue->floats.bias + columns.begin : NULL;
    struct epilogue_f32 floats = epilogue->floats, before;
    floats.bias = NULL;
    struct row_quantizations quantizations;
    find_quantizations(&quantizations, epilogue, rows.begin);
    const char *quantization = quantizations.first;
    _Alignas(64) float activated[TILE_SUMS];
    if (is_long(activation)) {
        split_epilogue(&epilogue->floats, &before, &floats);
        before.bias = NULL;
        for (size_t row = rows.begin; row < rows.end; row++, quantization += quantizations.stride) {
            struct row_quantization by_row = *(const struct row_quantization *)quantization;
            size_t first = (row - rows.begin) * TILE_COLUMNS;
            for (size_t c = 0; c < columns.end - columns.begin; c += LANES) {
                size_t column = columns.begin + c, count = columns.end - column;
                vec t = v_scaled(sums + first, panel, c, by_row, bias, count);
                vec residual = adds_before ? residual_at(epilogue, row, column, count) : v_zero();
                t = v_epilogue_adding(t, &before, column, count, adds_before, residual);
                v_store(activated + first + c, t);
            }
        }
        activate_block(activated, (rows.end - rows.begin) * TILE_COLUMNS, activation);
    }
    struct v_quantizer quantizer = quantizer_of(epilogue->inverse_scale, epilogue->output_zero_point);
    bool adds_now = adds && !adds_before;
    quantization = quantizations.first;
    for (size_t row = rows.begin; row < rows.end;
         row++, sums += TILE_COLUMNS, quantization += quantizations.stride) {
        struct row_quantization by_row = *(const struct row_quantization *)quantization;
        size_t place = place_of(product, row) + columns.begin;
        const float *own = activated + (row - rows.begin) * TILE_COLUMNS;
        for (size_t c = 0; c < columns.end - columns.begin; c += LANES) {
            size_t column = columns.begin + c, count = columns.end - column;
            vec t = is_long(activation) ? v_load(own + c)
                                        : v_scaled(sums, panel, c, by_row, bias, count);
            vec residual = adds_now ? residual_at(epilogue, row, column, count) : v_zero();
            t = v_epilogue_adding(t, &floats, column, count, adds_now, residual);
            if (epilogue->integers) {
                v_quantize_first(epilogue->integers + place + c, t, quantizer, count);
            } else {
                v_store_first(product->y + place + c, t, count);
            }
        }
    }
}

/// The tile of rows that begins at `begin`: whole, but the last two share what is left, for a tile of few
/// rows takes as long as one of several.
ALWAYS_INLINE struct range tile_at(const struct product_i8 *product, size_t begin, size_t end) {
    if (product->tiles_within) {
        end = smaller(end, (begin / product->tiles_within + 1) * product->tiles_within);
    }
    size_t left = end - begin;
    size_t count = left > 2 * TILE_ROWS ? TILE_ROWS : left > TILE_ROWS ? (left + 1) / 2 : left;
    return (struct range){begin, begin + count};
}

/// A group of rows x a group of panels, over all depth.
static void multiply_group(const struct product_i8 *product, struct range rows,
                           struct range panels) {
    _Alignas(64) int8_t a[TILE_ROWS * GATHERED_STRIDE];
    _Alignas(64) int32_t waiting[WAITING_TILES * PANEL_GROUP * TILE_SUMS];
    struct panel_i8 prepared[PANEL_GROUP];
    for (size_t i = 0; i < panels.end - panels.begin; i++) {
        size_t panel = panels.begin + i;
        struct range columns = {panel * TILE_COLUMNS,
                                smaller((panel + 1) * TILE_COLUMNS, product->columns)};
        prepare_panel(&prepared[i], product, columns,
                      product->packed + panel * product->panel_bytes);
    }

    size_t block = depth_block(product->depth);
    bool waits = block < product->depth;
    for (size_t begin = 0; begin < product->depth; begin += block) {
        size_t end = smaller(begin + block, product->depth);
        struct range own = {rows.begin, rows.begin};
        for (size_t index = 0; own.end < rows.end; index++) {
            own = tile_at(product, own.end, rows.end);
            if (product->gather) {
                product->gather(a, product->args, own.begin, own.end - own.begin, begin, end - begin);
            }
            for (size_t i = 0; i < panels.end - panels.begin; i++) {
                size_t panel = panels.begin + i;
                struct range columns = {panel * TILE_COLUMNS,
                                        smaller((panel + 1) * TILE_COLUMNS, product->columns)};
                struct tile_i8 tile = {
                    .a = product->rows ? product->rows + own.begin * product->row_stride + begin : a,
                    .panel = product->packed + panel * product->panel_bytes +
                             TILE_COLUMNS * (sizeof(int32_t) + begin),
                    .sums = waiting + (waits ? index * PANEL_GROUP + i : 0) * TILE_SUMS,
                    .row_stride = product->row_stride,
                    .run_stride = product->run_stride,
                    .runs = product->runs,
                    .depth_groups = ((end - begin) / product->runs + DEPTH_GROUP - 1) / DEPTH_GROUP,
                    .from = begin > 0 ? waiting + (index * PANEL_GROUP + i) * TILE_SUMS : prepared[i].first,
                    .from_stride = begin > 0 ? TILE_COLUMNS : 0,
                };
                if (PREFETCHES_RESULT && end == product->depth) {
                    prefetch_result(product, own, columns);
                }
                tile_sums(&tile, own.end - own.begin, columns.end - columns.begin);
                if (end == product->depth) {
                    finish_tile(product, tile.sums, &prepared[i], own, columns);
                }
            }
        }
    }
}

/// Rows [rows.begin, rows.end) x panels [panels.begin, panels.end).
static void multiply(const struct product_i8 *product, struct range rows, struct range panels) {
    ASSUME(rows.begin <= rows.end && panels.begin <= panels.end);
    ASSUME((panels.end - 1) * TILE_COLUMNS < product->columns || panels.begin == panels.end);
    ASSUME(product->depth > 0 && product->depth <= 65536);
    ASSUME(product->y_stride >= product->columns);
    struct range tiles = {0, parts(rows, TILE_ROWS)};
    bool waits = product->depth > DEPTH_LONGEST;
    size_t groups = parts(tiles, waits ? WAITING_TILES : TILE_GROUP);
    size_t panel_groups = parts(panels, PANEL_GROUP);
    for (size_t group = 0; group < groups; group++) {
        struct range own = part(tiles, group, groups);
        own.begin = rows.begin + own.begin * TILE_ROWS;
        own.end = smaller(rows.begin + own.end * TILE_ROWS, rows.end);
        for (size_t panel_group = 0; panel_group < panel_groups; panel_group++) {
            multiply_group(product, own, part(panels, panel_group, panel_groups));
        }
    }
}

static size_t panel_bytes_of(size_t depth) {
    size_t groups = (depth + DEPTH_GROUP - 1) / DEPTH_GROUP;
    return TILE_COLUMNS * (sizeof(int32_t) + groups * DEPTH_GROUP);
}

static void gather_matrix_rows(int8_t *a, const void *args, size_t row_begin, size_t row_count,
                               size_t depth_begin, size_t depth_count) {
    const struct gemm_i8_args *gemm = args;
    for (size_t row = 0; row < row_count; row++) {
        gather_run(a + row * GATHERED_STRIDE,
                   gemm->a + (row_begin + row) * gemm->a_stride + depth_begin, depth_count);
    }
}

static void gemm_i8(const struct gemm_i8_args *args, size_t row_begin, size_t row_end,
                    size_t panel_begin, size_t panel_end) {
    ASSUME(row_end <= args->rows);
    ASSUME(args->a_stride >= args->depth);
    struct product_i8 product = {
        .gather = gather_matrix_rows,
        .args = args,
        .row_stride = GATHERED_STRIDE,
        .runs = 1,
        .packed = args->packed,
        .panel_bytes = panel_bytes_of(args->depth),
        .y = args->y,
        .y_stride = args->y_stride,
        .columns = args->columns,
        .depth = args->depth,
        .epilogue = &args->epilogue,
    };
    if (STRIDES && args->epilogue.row) {
        product.rows = args->a;
        product.row_stride = args->a_stride;
        product.gather = NULL;
    }
    multiply(&product, (struct range){row_begin, row_end}, (struct range){panel_begin, panel_end});
}

#define ELEMENT int8_t
#define CONVOLUTION struct conv2d_i8_args
#include "conv2d_gather.h"
#include "conv2d_patch.h"

/// A convolution as a product of gathered rows.
static struct product_i8 product_of_convolution(const struct conv2d_i8_args *args) {
    size_t depth = args->kernel_height * args->kernel_width * args->input_channels;
    return (struct product_i8){
        .gather = gather_pixels,
        .args = args,
        .row_stride = GATHERED_STRIDE,
        .runs = 1,
        .packed = args->packed,
        .panel_bytes = panel_bytes_of(depth),
        .y = args->y,
        .y_stride = args->y_pixel_stride,
        .row_length = args->y_row_gap ? args->output_width : 0,
        .row_gap = args->y_row_gap,
        .columns = args->output_channels,
        .depth = depth,
        .epilogue = &args->epilogue,
    };
}

static void conv2d_i8(const struct conv2d_i8_args *args, size_t pixel_begin, size_t pixel_end,
                      size_t panel_begin, size_t panel_end) {
    ASSUME(pixel_end <= args->batch * args->output_height * args->output_width);
    ASSUME(args->upsample == 1 || args->upsample == 2);
    ASSUME(args->x_pixel_stride >= args->input_channels && args->input_channels > 0);
    ASSUME(args->y_row_gap == 0 || !args->epilogue.floats.residual);
    struct product_i8 product = product_of_convolution(args);
    if (PATCHES && reads_patches(args)) {
        product.gather = gather_patch;
        product.row_stride = args->stride_width * args->input_channels;
        product.run_stride = patch_pitch(args);
        product.runs = args->kernel_height;
        product.tiles_within = args->output_width;
    }
    multiply(&product, (struct range){pixel_begin, pixel_end},
             (struct range){panel_begin, panel_end});
}

static void pack_panel(int8_t *panel, const int8_t *weight, size_t weight_stride, size_t count,
                       size_t depth) {
    ASSUME(count > 0 && count <= TILE_COLUMNS);
    ASSUME(weight_stride >= depth);
    memset(panel, 0, panel_bytes_of(depth));
    int32_t *sums = (int32_t *)panel;
    int8_t *to = panel + TILE_COLUMNS * sizeof(int32_t);
    for (size_t column = 0; column < count; column++) {
        const int8_t *from = weight + column * weight_stride;
        int32_t sum = 0;
        for (size_t d = 0; d < depth; d++) {
            sum += from[d];
        }
        sums[column] = sum;
        for (size_t d = 0; d < depth; d += DEPTH_GROUP) {
            size_t bytes = smaller(DEPTH_GROUP, depth - d);
            memcpy(to + (d / DEPTH_GROUP * TILE_COLUMNS + column) * DEPTH_GROUP, from + d, bytes);
        }
    }
}
