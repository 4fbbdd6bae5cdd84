// Packed weights of every format (see ckernels.h): how a panel is written, and how blocks of it are expanded.
#include "pack_nibbles.h"
#include "tiling.h"

enum {
    /// Depth of a panel that is expanded at a time where a single tile of rows needs it: 16 KiB of floats.
    EXPANDED_DEPTH = 16 * 1024 / (4 * TILE_COLUMNS),
};

/// LANES numbers of a format, which is a constant where this is inlined, from the index on.
ALWAYS_INLINE vec v_packed(const void *values, size_t index, const enum weight_format format) {
    switch (format) {
        case WEIGHT_F16: return v_from_f16((const uint16_t *)values + index);
        case WEIGHT_BF16: return v_from_bf16((const uint16_t *)values + index);
        case WEIGHT_I8: return v_from_i8((const int8_t *)values + index);
        case WEIGHT_I4: return v_from_nibbles((const uint8_t *)values + index / 2);
        default: return v_load((const float *)values + index);
    }
}

ALWAYS_INLINE size_t packed_bytes(size_t count, const enum weight_format format) {
    switch (format) {
        case WEIGHT_F32: return 4 * count;
        case WEIGHT_I8: return count;
        case WEIGHT_I4: return count / 2;
        default: return 2 * count;
    }
}

/// Rows of a panel from `index` on, each number times its column's factor if there are factors.
ALWAYS_INLINE void expand_rows(float *to, const void *values, size_t index, size_t rows,
                               const float *factors, const enum weight_format format) {
    const size_t vectors = TILE_COLUMNS / LANES;
    vec factor[TILE_COLUMNS / LANES];
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        factor[v] = factors ? v_load(factors + v * LANES) : v_set1(1);
    }
    for (const float *end = to + rows * TILE_COLUMNS; to < end; to += TILE_COLUMNS) {
        __builtin_prefetch((const char *)values + packed_bytes(index, format) + 4 * PREFETCH_AHEAD);
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vec x = v_packed(values, index + v * LANES, format);
            v_store(to + v * LANES, factors ? v_mul(x, factor[v]) : x);
        }
        index += TILE_COLUMNS;
    }
}

ALWAYS_INLINE void expand_format(float *to, const struct packed_weight *weight, size_t depth,
                                 size_t panel, struct range wanted, const enum weight_format format) {
    size_t index = (panel * depth + wanted.begin) * TILE_COLUMNS;
    if (!weight->factors) {
        expand_rows(to, weight->values, index, wanted.end - wanted.begin, NULL, format);
        return;
    }
    size_t groups = depth / weight->factor_depth;
    for (size_t begin = wanted.begin, end; begin < wanted.end; begin = end) {
        size_t group = begin / weight->factor_depth;
        end = smaller((group + 1) * weight->factor_depth, wanted.end);
        expand_rows(to, weight->values, index, end - begin,
                    weight->factors + (panel * groups + group) * TILE_COLUMNS, format);
        to += (end - begin) * TILE_COLUMNS;
        index += (end - begin) * TILE_COLUMNS;
    }
}

/// Writes depth [wanted.begin, wanted.end) of one panel of a weight that is not f32.
static void expand_panel(float *to, const struct packed_weight *weight, size_t depth, size_t panel,
                         struct range wanted) {
    switch (weight->format) {
        case WEIGHT_F16: expand_format(to, weight, depth, panel, wanted, WEIGHT_F16); return;
        case WEIGHT_BF16: expand_format(to, weight, depth, panel, wanted, WEIGHT_BF16); return;
        case WEIGHT_I8: expand_format(to, weight, depth, panel, wanted, WEIGHT_I8); return;
        default: expand_format(to, weight, depth, panel, wanted, WEIGHT_I4); return;
    }
}

// ---------------------------------------------------------------- packing

typedef float four __attribute__((vector_size(16), aligned(4)));

/// Four floats of each of four rows of a matrix, turned into a panel.
ALWAYS_INLINE void turn_four(float *to, const float *x, size_t stride) {
    four a = *(const four *)x, b = *(const four *)(x + stride);
    four c = *(const four *)(x + 2 * stride), d = *(const four *)(x + 3 * stride);
    four ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    four ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    four cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    four cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(four *)to = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
    *(four *)(to + TILE_COLUMNS) = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
    *(four *)(to + 2 * TILE_COLUMNS) = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
    *(four *)(to + 3 * TILE_COLUMNS) = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

static void pack_panel_32(float *panel, const float *weight, size_t weight_stride, size_t count,
                          size_t depth) {
    size_t d = 0;
    for (; d + 4 <= depth; d += 4) {
        size_t column = 0;
        for (; column + 4 <= count; column += 4) {
            turn_four(panel + d * TILE_COLUMNS + column, weight + column * weight_stride + d,
                      weight_stride);
        }
        for (; column < TILE_COLUMNS; column++) {
            for (size_t i = 0; i < 4; i++) {
                panel[(d + i) * TILE_COLUMNS + column] =
                    column < count ? weight[column * weight_stride + d + i] : 0;
            }
        }
    }
    for (; d < depth; d++) {
        for (size_t column = 0; column < TILE_COLUMNS; column++) {
            panel[d * TILE_COLUMNS + column] =
                column < count ? weight[column * weight_stride + d] : 0;
        }
    }
}

typedef uint16_t eight __attribute__((vector_size(16), aligned(2)));

#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)

/// Eight 16-bit numbers of each of eight rows of a matrix, turned into a panel: three times rows that are
/// four apart go between each other.
ALWAYS_INLINE void turn_eight(uint16_t *to, const uint16_t *x, size_t stride) {
    eight rows[8], turned[8];
    UNROLL
    for (size_t i = 0; i < 8; i++) {
        rows[i] = *(const eight *)(x + i * stride);
    }
    UNROLL
    for (size_t round = 0; round < 3; round++) {
        UNROLL
        for (size_t i = 0; i < 4; i++) {
            turned[2 * i] = LOW(rows[i], rows[i + 4]);
            turned[2 * i + 1] = HIGH(rows[i], rows[i + 4]);
        }
        UNROLL
        for (size_t i = 0; i < 8; i++) {
            rows[i] = turned[i];
        }
    }
    UNROLL
    for (size_t i = 0; i < 8; i++) {
        *(eight *)(to + i * TILE_COLUMNS) = rows[i];
    }
}
#undef LOW
#undef HIGH

static void pack_panel_16(uint16_t *panel, const uint16_t *weight, size_t weight_stride,
                          size_t count, size_t depth) {
    size_t d = 0;
    for (; d + 8 <= depth; d += 8) {
        size_t column = 0;
        for (; column + 8 <= count; column += 8) {
            turn_eight(panel + d * TILE_COLUMNS + column, weight + column * weight_stride + d,
                       weight_stride);
        }
        for (; column < TILE_COLUMNS; column++) {
            for (size_t i = 0; i < 8; i++) {
                panel[(d + i) * TILE_COLUMNS + column] =
                    column < count ? weight[column * weight_stride + d + i] : 0;
            }
        }
    }
    for (; d < depth; d++) {
        for (size_t column = 0; column < TILE_COLUMNS; column++) {
            panel[d * TILE_COLUMNS + column] =
                column < count ? weight[column * weight_stride + d] : 0;
        }
    }
}

static void pack_panel_8(int8_t *panel, const int8_t *weight, size_t weight_stride, size_t count,
                         size_t depth) {
    for (size_t column = 0; column < TILE_COLUMNS; column++) {
        for (size_t d = 0; d < depth; d++) {
            panel[d * TILE_COLUMNS + column] =
                column < count ? weight[column * weight_stride + d] : 0;
        }
    }
}

static void pack_panel(void *panel, const void *weight, size_t weight_stride, size_t count,
                       size_t depth, enum weight_format format) {
    ASSUME(count > 0 && count <= TILE_COLUMNS);
    ASSUME(weight_stride >= depth);
    switch (format) {
        case WEIGHT_F16:
        case WEIGHT_BF16: pack_panel_16(panel, weight, weight_stride, count, depth); return;
        case WEIGHT_I8: pack_panel_8(panel, weight, weight_stride, count, depth); return;
        case WEIGHT_I4:
            pack_nibbles(panel, weight, weight_stride, count, depth, TILE_COLUMNS);
            return;
        default: pack_panel_32(panel, weight, weight_stride, count, depth); return;
    }
}
