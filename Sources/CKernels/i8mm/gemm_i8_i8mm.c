// Integer products with 8-bit matrix multiplication (Neoverse V1, Cortex-A510 and later): register tiles
// of 8 x 8.
//
// `smmla` multiplies two rows by two columns over eight bytes of depth: 32 products. A tile is 4 x 4 of such
// squares. Rows lie apart: two vectors of 16 bytes of depth are zipped into two operands.
#if defined(__aarch64__)
#include "../internal.h"
#include "isa_begin.h"
#include "../neon/simd.h"

enum {
    TILE_ROWS = 8,
    TILE_COLUMNS = 8,
    DEPTH_GROUP = 8,
    DEPTH_BLOCK = 1536,
    DEPTH_LONGEST = 2560,
    PANEL_GROUP = 16,
    SIGN_OFFSET = 0,
    STRIDES = 1,
    PATCHES = 0,
    PREFETCHES_RESULT = 0,
};

#include "../shared/gemm_i8_tile.h"

enum { ROW_PAIRS = TILE_ROWS / 2, COLUMN_PAIRS = TILE_COLUMNS / 2 };

/// sums += the products of eight bytes of depth.
ALWAYS_INLINE void accumulate_group(int32x4_t sums[ROW_PAIRS][COLUMN_PAIRS],
                                    const int8x16_t x[ROW_PAIRS], const int8_t *panel,
                                    const size_t pairs) {
    UNROLL
    for (size_t c = 0; c < COLUMN_PAIRS; c++) {
        int8x16_t weight = vld1q_s8(panel + c * 16);
        UNROLL
        for (size_t r = 0; r < pairs; r++) {
            sums[r][c] = vmmlaq_s32(sums[r][c], x[r], weight);
        }
    }
}

/// Rows come from `row`, so that a pair whose second row is none can have the first twice.
ALWAYS_INLINE void accumulate(const struct tile_i8 *tile, const int8_t *const row[TILE_ROWS],
                              const size_t pairs) {
    int32x4_t sums[ROW_PAIRS][COLUMN_PAIRS];
    UNROLL
    for (size_t i = 0; i < pairs * COLUMN_PAIRS; i++) {
        size_t r = i / COLUMN_PAIRS, c = i % COLUMN_PAIRS;
        const int32_t *from = tile->from + 2 * r * tile->from_stride + 2 * c;
        sums[r][c] = vcombine_s32(vld1_s32(from), vld1_s32(from + tile->from_stride));
    }

    const int8_t *panel = tile->panel;
    size_t depth = 0, end = tile->depth_groups * DEPTH_GROUP;
    for (; depth + 16 <= end; depth += 16, panel += 2 * TILE_COLUMNS * DEPTH_GROUP) {
        int8x16_t low[ROW_PAIRS], high[ROW_PAIRS];
        UNROLL
        for (size_t r = 0; r < pairs; r++) {
            int64x2_t even = vreinterpretq_s64_s8(vld1q_s8(row[2 * r] + depth));
            int64x2_t odd = vreinterpretq_s64_s8(vld1q_s8(row[2 * r + 1] + depth));
            low[r] = vreinterpretq_s8_s64(vzip1q_s64(even, odd));
            high[r] = vreinterpretq_s8_s64(vzip2q_s64(even, odd));
        }
        accumulate_group(sums, low, panel, pairs);
        accumulate_group(sums, high, panel + TILE_COLUMNS * DEPTH_GROUP, pairs);
    }
    if (depth < end) {
        int8x16_t x[ROW_PAIRS];
        UNROLL
        for (size_t r = 0; r < pairs; r++) {
            x[r] = vcombine_s8(vld1_s8(row[2 * r] + depth), vld1_s8(row[2 * r + 1] + depth));
        }
        accumulate_group(sums, x, panel, pairs);
    }

    UNROLL
    for (size_t i = 0; i < pairs * COLUMN_PAIRS; i++) {
        size_t r = i / COLUMN_PAIRS, c = i % COLUMN_PAIRS;
        int32_t *to = tile->sums + 2 * r * TILE_COLUMNS + 2 * c;
        vst1_s32(to, vget_low_s32(sums[r][c]));
        vst1_s32(to + TILE_COLUMNS, vget_high_s32(sums[r][c]));
    }
}

/// All columns; of an odd number of rows one too many.
static void tile_sums(const struct tile_i8 *tile, size_t rows, size_t columns) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    const int8_t *row[TILE_ROWS];
    for (size_t r = 0; r < TILE_ROWS; r++) {
        row[r] = tile->a + (r < rows ? r : rows - 1) * tile->row_stride;
    }
    switch ((rows + 1) / 2) {
        case 1: accumulate(tile, row, 1); return;
        case 2: accumulate(tile, row, 2); return;
        case 3: accumulate(tile, row, 3); return;
        default: accumulate(tile, row, 4); return;
    }
}

#include "../shared/gemm_i8_body.h"

const struct gemm_i8_kernels gemm_i8_i8mm = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .depth_group = DEPTH_GROUP,
    .has_dot_products = true,
    .pack_panel = pack_panel,
    .gemm = gemm_i8,
    .conv2d = conv2d_i8,
};

/// As many chains as hide the latency, of register operands alone.
size_t peak_i8_i8mm(size_t rounds, int32_t *result) {
    ASSUME(rounds > 0);
    ASSUME(result);
    enum { CHAINS = 16, STEPS = 256 };
    int32x4_t sums[CHAINS];
    int8x16_t a = vdupq_n_s8((int8_t)*result), b = vdupq_n_s8(3);
    for (size_t i = 0; i < CHAINS; i++) {
        sums[i] = vdupq_n_s32((int32_t)i);
    }
    for (size_t round = 0; round < rounds * STEPS; round++) {
        UNROLL
        for (size_t i = 0; i < CHAINS; i++) {
            sums[i] = vmmlaq_s32(sums[i], a, b);
        }
    }
    for (size_t i = 0; i < CHAINS; i++) {
        *result += vgetq_lane_s32(sums[i], 0);
    }
    return rounds * STEPS * CHAINS * 32 * 2;
}

#include "../isa_end.h"
#endif
