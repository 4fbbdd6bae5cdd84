// Attention of one head by tiles of keys with a running maximum (Milakov & Gimelshein 2018; Dao et al.
// 2022), over a level's register tile: scores and weighted sums are products of small matrices.
//
// For a block of queries and a tile of keys: pack the tile's keys and values into panels; then, a
// register tile of queries at a time, scores -> weights e^(score - maximum) -> sums of values; scores are kept
// times log2(e), so that powers of two are computed. What a
// register tile of queries needs on the way stays in the first-level cache.
#include "row_sums.h"

enum {
    QUERY_TILES = ATTENTION_QUERY_BLOCK / TILE_ROWS,  // register tiles of a block
    QUERIES = QUERY_TILES * TILE_ROWS,
    ROWS_AT_ONCE = LANES == 16 ? 7 : 2,  // queries whose weights are computed together, as many as registers hold
};

/// The parts of the caller's scratch memory.
struct attention_scratch {
    float *queries;  // [QUERY_TILES, blocks of depth, TILE_ROWS, BLOCK], times the scale
    float *keys;     // [key_tile / TILE_COLUMNS, dimension, TILE_COLUMNS]
    float *values;   // [panels, key_tile, TILE_COLUMNS]
    float *scores;   // [TILE_ROWS, key_tile]
    float *weights;  // [key_tile / BLOCK, TILE_ROWS, BLOCK]
    float *outputs;  // [QUERIES, width], not yet divided by the sums
    float *highest;  // [QUERIES]
    float *sums;     // [QUERIES]
    size_t query_tile;  // floats of a register tile of queries
    size_t panels, width;  // of the values: dimension in whole panels
    size_t key_tile;       // keys of a tile: whole panels
};

static struct attention_scratch attention_split(float *scratch, size_t dimension,
                                                size_t key_count) {
    struct attention_scratch s;
    // All keys in one tile, if they are few: their weights need no correction then.
    s.key_tile = smaller(parts((struct range){0, key_count}, TILE_COLUMNS) * TILE_COLUMNS, ATTENTION_KEY_TILE);
    s.query_tile = (dimension + BLOCK - 1) / BLOCK * BLOCK * TILE_ROWS;
    s.panels = (dimension + TILE_COLUMNS - 1) / TILE_COLUMNS;
    s.width = s.panels * TILE_COLUMNS;
    s.queries = scratch;
    s.keys = s.queries + QUERY_TILES * s.query_tile;
    s.values = s.keys + dimension * s.key_tile;
    s.scores = s.values + s.width * s.key_tile;
    s.weights = s.scores + TILE_ROWS * s.key_tile;
    s.outputs = s.weights + TILE_ROWS * s.key_tile;
    s.highest = s.outputs + QUERIES * s.width;
    s.sums = s.highest + QUERIES;
    return s;
}

/// Asks memory for a row of numbers to be read, or to be written.
ALWAYS_INLINE void attention_ask(const float *x, size_t count, const bool is_written) {
    for (size_t i = 0; i < count; i += 16) {
        if (is_written) {
            __builtin_prefetch(x + i, 1);
        } else {
            __builtin_prefetch(x + i);
        }
    }
}

/// A register tile of queries, times the scale.
static void attention_pack_queries(const struct attention_f32_args *args, float *to, size_t first, size_t count) {
    size_t dimension = args->head_dimension;
    vec scale = v_set1(args->scale * LOG2_E);
    for (size_t i = 0; i < count; i++) {
        const float *q = args->q + (first + i) * args->q_stride;
        float *row = to + i * BLOCK;
        for (size_t d = 0; d < dimension; d += LANES) {
            v_store(row + d / BLOCK * BLOCK * TILE_ROWS + d % BLOCK, v_mul(v_load_first(q + d, dimension - d), scale));
        }
    }
}

/// Keys as panels of columns; columns without a key are zeros.
static void attention_pack_keys(const struct attention_f32_args *args,
                                const struct attention_scratch *s, size_t first, size_t count) {
    size_t dimension = args->head_dimension;
    for (size_t j = 0; j < s->key_tile; j += 4) {
        float *to = s->keys + j / TILE_COLUMNS * dimension * TILE_COLUMNS + j % TILE_COLUMNS;
        const float *k = args->k + (first + j) * args->k_stride;
        size_t d = 0;
        if (j + 4 <= count) {
            for (; d + 4 <= dimension; d += 4) {
                turn_four(to + d * TILE_COLUMNS, k + d, args->k_stride);
            }
        }
        for (; j >= count && d < dimension; d++) {
            memset(to + d * TILE_COLUMNS, 0, 4 * sizeof *to);
        }
        // Compilers would scatter vectors over the panel's rows.
#pragma clang loop vectorize(disable)
        for (; d < dimension; d++) {
            for (size_t i = 0; i < 4; i++) {
                to[d * TILE_COLUMNS + i] = j + i < count ? k[i * args->k_stride + d] : 0;
            }
        }
    }
}

/// Values as panels of columns; columns past the dimension are zeros.
static void attention_pack_values(const struct attention_f32_args *args,
                                  const struct attention_scratch *s, size_t first, size_t count) {
    size_t dimension = args->head_dimension;
    for (size_t j = 0; j < count; j++) {
        const float *v = args->v + (first + j) * args->v_stride;
        float *to = s->values + j * TILE_COLUMNS;
        for (size_t d = 0; d < s->width; d += LANES) {
            vec x = d < dimension ? v_load_first(v + d, dimension - d) : v_zero();
            v_store(to + d / TILE_COLUMNS * TILE_COLUMNS * s->key_tile + d % TILE_COLUMNS, x);
        }
    }
}

/// Adds the biases and hides the keys that a query must not see, and what lies behind the last one up to `end`.
static void attention_mask(const struct attention_f32_args *args, float *scores, size_t query, size_t first,
                           size_t count, size_t end) {
    if (args->key_bias) {
        for (size_t j = 0; j < count; j++) {
            scores[j] = fmaf(args->key_bias[first + j], LOG2_E, scores[j]);
        }
    }
    if (args->score_bias) {
        const float *bias = args->score_bias + (ptrdiff_t)query * args->score_bias_stride;
        for (size_t j = 0; j < count; j++) {
            scores[j] = fmaf(bias[first + j], LOG2_E, scores[j]);
        }
    }
    size_t visible = count;
    if (args->causal && first + count > query + 1) {
        visible = query + 1 > first ? query + 1 - first : 0;
    }
    for (size_t j = visible; j < end; j++) {
        scores[j] = -INFINITY;
    }
}

/// Takes the sum of a query's new weights, and brings what was summed before to the new maximum.
static void attention_correct(const struct attention_scratch *s, size_t row, float highest, float sum) {
    float before = s->highest[row];
    s->highest[row] = highest;
    if (highest == before || before == -INFINITY) {
        // Either nothing changes or there is nothing yet but zeros.
        s->sums[row] += sum;
        return;
    }
    vec correction = v_exp2_of_negative(v_set1(before - highest));
    s->sums[row] = fmaf(s->sums[row], v_highest(correction), sum);
    float *output = s->outputs + row * s->width;
    for (size_t d = 0; d < s->width; d += LANES) {
        v_store(output + d, v_mul(v_load(output + d), correction));
    }
}

/// Turns `count` scores of some queries, in whole vectors, into weights 2^(score - maximum). `row` is the
/// first of the queries in its block, `rows` how many: a constant where this is inlined, and several, so that
/// one's arithmetic fills the time that another's waits for its own.
ALWAYS_INLINE void attention_weights(const struct attention_scratch *s, size_t row, const size_t rows,
                                     const float *scores, float *weights, size_t count) {
    vec highest[ROWS_AT_ONCE], center[ROWS_AT_ONCE], lanes[ROWS_AT_ONCE][SUM_VECTORS];
    float now[ROWS_AT_ONCE];
    for (size_t r = 0; r < rows; r++) {
        highest[r] = v_load(scores + r * s->key_tile);
    }
    for (size_t j = LANES; j < count; j += LANES) {
        for (size_t r = 0; r < rows; r++) {
            highest[r] = v_max(highest[r], v_load(scores + r * s->key_tile + j));
        }
    }
    for (size_t r = 0; r < rows; r++) {
        now[r] = v_highest(highest[r]);
        now[r] = now[r] > s->highest[row + r] ? now[r] : s->highest[row + r];
        // While no key has been seen the maximum is -infinity, and so is every score: any finite number
        // in its place gives weights of zero.
        center[r] = v_set1(now[r] == -INFINITY ? 0 : now[r]);
        UNROLL
        for (size_t v = 0; v < SUM_VECTORS; v++) {
            lanes[r][v] = v_zero();
        }
    }
    // Scores are there up to a multiple of SUM_LANES, hidden ones behind the last key.
    for (size_t first = 0; first < count; first += SUM_LANES) {
        UNROLL
        for (size_t v = 0; v < SUM_VECTORS; v++) {
            size_t j = first + v * LANES;
            float *to = weights + j / BLOCK * BLOCK * TILE_ROWS + j % BLOCK;
            for (size_t r = 0; r < rows; r++) {
                vec e = v_exp2_of_negative(v_sub(v_load(scores + r * s->key_tile + j), center[r]));
                v_store(to + r * BLOCK, e);
                lanes[r][v] = v_add(lanes[r][v], e);
            }
        }
    }
    for (size_t r = 0; r < rows; r++) {
        attention_correct(s, row + r, now[r], v_sum_lanes(lanes[r]));
    }
}

/// What of a tile of keys some queries, of which `last` is the last, can see.
static size_t attention_visible(const struct attention_f32_args *args, size_t last, size_t key, size_t key_count) {
    return args->causal ? smaller(key_count, last + 1 - key) : key_count;
}

/// Queries [query, query + rows), a register tile that is `first` in its block, against keys [key, key + key_count).
static void attention_tile(const struct attention_f32_args *args, const struct attention_scratch *s, size_t query,
                           size_t first, size_t rows, size_t key, size_t key_count) {
    size_t dimension = args->head_dimension;
    for (size_t column = 0; column < key_count; column += TILE_COLUMNS) {
        struct tile_f32 tile = {
            .a = s->queries + first / TILE_ROWS * s->query_tile,
            .panel = s->keys + column * dimension,
            .to = s->scores + column,
            .to_stride = s->key_tile,
            .depth = dimension,
        };
        tile_product_blocked(&tile, rows, smaller(key_count - column, TILE_COLUMNS));
    }
    size_t end = (key_count + SUM_LANES - 1) / SUM_LANES * SUM_LANES;
    if (args->key_bias || args->score_bias || args->causal || key_count < end) {
        for (size_t i = 0; i < rows; i++) {
            attention_mask(args, s->scores + i * s->key_tile, query + i, key, key_count, end);
        }
    }
    size_t row = 0;
    for (; row + ROWS_AT_ONCE <= rows; row += ROWS_AT_ONCE) {
        attention_weights(s, first + row, ROWS_AT_ONCE, s->scores + row * s->key_tile,
                          s->weights + row * BLOCK, key_count);
    }
    for (; row < rows; row++) {
        attention_weights(s, first + row, 1, s->scores + row * s->key_tile, s->weights + row * BLOCK,
                          key_count);
    }
    for (size_t panel = 0; panel < s->panels; panel++) {
        float *output = s->outputs + first * s->width + panel * TILE_COLUMNS;
        struct tile_f32 tile = {
            .a = s->weights,
            .panel = s->values + panel * s->key_tile * TILE_COLUMNS,
            .from = key > 0 ? output : NULL,
            .from_stride = s->width,
            .to = output,
            .to_stride = s->width,
            .depth = key_count,
        };
        tile_product_blocked(&tile, rows, smaller(dimension - panel * TILE_COLUMNS, TILE_COLUMNS));
    }
}

/// Stores a register tile of queries' sums of values, divided by the sums of weights.
static void attention_finish(const struct attention_f32_args *args, const struct attention_scratch *s, size_t query,
                             size_t first, size_t rows) {
    size_t dimension = args->head_dimension;
    for (size_t i = 0; i < rows; i++) {
        float sum = s->sums[first + i];
        vec factor = v_set1(sum == 0 ? 0 : 1 / sum);
        float *y = args->y + (query + i) * args->y_stride;
        const float *output = s->outputs + (first + i) * s->width;
        for (size_t d = 0; d < dimension; d += LANES) {
            v_store_first(y + d, v_mul(v_load(output + d), factor), dimension - d);
        }
    }
}

/// Queries [block, block + count) against a tile of keys that is packed. What lies in the model's matrices row by
/// row, far apart, is asked for a register tile ahead.
static void attention_keys(const struct attention_f32_args *args, const struct attention_scratch *s, size_t block,
                           size_t count, size_t key, size_t key_count, bool is_last) {
    for (size_t first = 0; first < count; first += TILE_ROWS) {
        size_t rows = smaller(count - first, TILE_ROWS), query = block + first;
        if (key == 0) {
            for (size_t i = first; i < first + rows; i++) {
                s->highest[i] = -INFINITY;
                s->sums[i] = 0;
            }
            attention_pack_queries(args, s->queries + first / TILE_ROWS * s->query_tile, query, rows);
            for (size_t i = query + rows; i < query + rows + smaller(count - first - rows, TILE_ROWS); i++) {
                attention_ask(args->q + i * args->q_stride, args->head_dimension, false);
            }
        }
        for (size_t i = query; is_last && i < query + rows; i++) {
            attention_ask(args->y + i * args->y_stride, args->head_dimension, true);
        }
        if (!args->causal || key < query + rows) {
            size_t visible = attention_visible(args, query + rows - 1, key, key_count);
            attention_tile(args, s, query, first, rows, key, visible);
        }
        if (is_last) {
            attention_finish(args, s, query, first, rows);
        }
    }
}

static void attention_block(const struct attention_f32_args *args, const struct attention_scratch *s,
                            size_t first_block, size_t block, size_t count) {
    size_t end = attention_visible(args, block + count - 1, 0, args->key_count);
    for (size_t key = 0; key < end; key += s->key_tile) {
        size_t key_count = smaller(args->key_count - key, s->key_tile);
        // The only tile of keys stays packed for all blocks.
        if (args->key_count > s->key_tile || block == first_block) {
            attention_pack_keys(args, s, key, key_count);
            attention_pack_values(args, s, key, key_count);
        }
        attention_keys(args, s, block, count, key, key_count, key + s->key_tile >= end);
    }
}

static bool is_zero(const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (x[i] != 0) {
            return false;
        }
    }
    return true;
}

static void attention_f32(const struct attention_f32_args *args, float *scratch,
                          size_t query_begin, size_t query_end) {
    ASSUME(args->head_dimension > 0 && args->head_dimension <= 512);
    ASSUME(query_end <= args->query_count);
    struct attention_scratch s = attention_split(scratch, args->head_dimension, args->key_count);
    struct attention_f32_args own = *args;
    // Most often no key is left out.
    if (own.key_bias && is_zero(own.key_bias, own.key_count)) {
        own.key_bias = NULL;
    }
    for (size_t block = query_begin; block < query_end; block += QUERIES) {
        attention_block(&own, &s, query_begin, block, smaller(query_end - block, QUERIES));
    }
}
