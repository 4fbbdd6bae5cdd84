// Integer products with NEON alone (Cortex-A53, A72): register tiles of 4 x 8, by squares of 4 x 4.
//
// A sum is a vector: 16 bytes of depth of a row times those of a column are two widening instructions, the
// second of which adds to the first's 16-bit products, and a third adds neighbours to the sum. Two
// products, of which each is at most 128 * 127, fit 16 bits. At the end a sum's lanes are added.
#if defined(__aarch64__)
#include "../internal.h"
#include "isa_begin.h"
#include "simd.h"

enum {
    TILE_ROWS = 4,
    TILE_COLUMNS = 8,
    DEPTH_GROUP = 16,
    DEPTH_BLOCK = 1536,
    DEPTH_LONGEST = 2560,
    PANEL_GROUP = 16,
    SIGN_OFFSET = 0,
    STRIDES = 0,
    PATCHES = 0,
    PREFETCHES_RESULT = 0,
};

#include "../shared/gemm_i8_tile.h"

enum { SQUARE = 4 };

/// `rows` x 4 sums from `column` on.
ALWAYS_INLINE void accumulate(const struct tile_i8 *tile, size_t column, const size_t rows) {
    int32x4_t sums[SQUARE][SQUARE];
    UNROLL
    for (size_t i = 0; i < rows * SQUARE; i++) {
        sums[i / SQUARE][i % SQUARE] = vdupq_n_s32(0);
    }

    const int8_t *a = tile->a, *panel = tile->panel + column * DEPTH_GROUP;
    for (const int8_t *end = a + tile->depth_groups * DEPTH_GROUP; a < end;
         a += DEPTH_GROUP, panel += TILE_COLUMNS * DEPTH_GROUP) {
        int8x16_t weight[SQUARE];
        UNROLL
        for (size_t c = 0; c < SQUARE; c++) {
            weight[c] = vld1q_s8(panel + c * DEPTH_GROUP);
        }
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            int8x16_t x = vld1q_s8(a + r * GATHERED_STRIDE);
            int16x8_t products[SQUARE];
            UNROLL
            for (size_t c = 0; c < SQUARE; c++) {
                products[c] = vmull_s8(vget_low_s8(x), vget_low_s8(weight[c]));
            }
            UNROLL
            for (size_t c = 0; c < SQUARE; c++) {
                products[c] = vmlal_high_s8(products[c], x, weight[c]);
            }
            UNROLL
            for (size_t c = 0; c < SQUARE; c++) {
                sums[r][c] = vpadalq_s16(sums[r][c], products[c]);
            }
        }
    }

    UNROLL
    for (size_t r = 0; r < rows; r++) {
        int32x4_t total = vpaddq_s32(vpaddq_s32(sums[r][0], sums[r][1]),
                                     vpaddq_s32(sums[r][2], sums[r][3]));
        total = vaddq_s32(total, vld1q_s32(tile->from + r * tile->from_stride + column));
        vst1q_s32(tile->sums + r * TILE_COLUMNS + column, total);
    }
}

/// Squares of which no column is wanted are left as they are.
static void tile_sums(const struct tile_i8 *tile, size_t rows, size_t columns) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    for (size_t column = 0; column < columns; column += SQUARE) {
        switch (rows) {
            case 1: accumulate(tile, column, 1); break;
            case 2: accumulate(tile, column, 2); break;
            case 3: accumulate(tile, column, 3); break;
            default: accumulate(tile, column, 4); break;
        }
    }
}

#include "../shared/gemm_i8_body.h"

const struct gemm_i8_kernels gemm_i8_neon = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .depth_group = DEPTH_GROUP,
    .pack_panel = pack_panel,
    .gemm = gemm_i8,
    .conv2d = conv2d_i8,
};

/// The tile's three instructions on register operands alone.
size_t peak_i8_neon(size_t rounds, int32_t *result) {
    ASSUME(rounds > 0);
    ASSUME(result);
    enum { CHAINS = 8, STEPS = 256 };
    int32x4_t sums[CHAINS];
    int8x16_t a = vdupq_n_s8((int8_t)*result), b = vdupq_n_s8(3);
    for (size_t i = 0; i < CHAINS; i++) {
        sums[i] = vdupq_n_s32((int32_t)i);
    }
    for (size_t round = 0; round < rounds * STEPS; round++) {
        UNROLL
        for (size_t i = 0; i < CHAINS; i++) {
            // Hides from the compiler that the factors are always the same.
            __asm__("" : "+w"(a));
            int16x8_t products = vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b);
            sums[i] = vpadalq_s16(sums[i], products);
        }
    }
    for (size_t i = 0; i < CHAINS; i++) {
        *result += vgetq_lane_s32(sums[i], 0);
    }
    return rounds * STEPS * CHAINS * 16 * 2;
}

#include "../isa_end.h"
#endif
