// Integer products with the dot product extension (Cortex-A76, A55): register tiles of 6 x 16.
//
// `sdot` adds to each of four sums four products of neighbouring bytes. A step of four bytes of depth is
// to it what a float is to the f32 tile, whose loops it shares.
#if defined(__aarch64__)
#include "../internal.h"
#include "isa_begin.h"
#include "../neon/simd.h"

enum {
    TILE_ROWS = 6,
    TILE_COLUMNS = 16,
    DEPTH_GROUP = 4,
    DEPTH_BLOCK = 1536,
    DEPTH_LONGEST = 2560,
    PANEL_GROUP = 12,
    SIGN_OFFSET = 0,
    STRIDES = 1,
    PATCHES = 0,
    PREFETCHES_RESULT = 0,
};

#include "../shared/gemm_i8_tile.h"

typedef int32x4_t sums_of_four;
#define MULTIPLY(row, column, weight, x, lane) \
    "sdot %[s" #row #column "].4s, %[" #weight "].16b, %[" #x "].4b[" #lane "]\n"
#include "../neon/tile_loops.h"

/// sums += x[., lane] * panel[lane] over `rows` x `vectors`, all constants where this is inlined.
ALWAYS_INLINE void accumulate_lane(int32x4_t sums[TILE_ROWS][4], const int8x16_t x[TILE_ROWS],
                                   const int8_t *panel, const int lane, const size_t rows,
                                   const size_t vectors) {
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        int8x16_t weight = vld1q_s8(panel + lane * TILE_COLUMNS * DEPTH_GROUP + v * 16);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            switch (lane) {
                case 0: sums[r][v] = vdotq_laneq_s32(sums[r][v], weight, x[r], 0); break;
                case 1: sums[r][v] = vdotq_laneq_s32(sums[r][v], weight, x[r], 1); break;
                case 2: sums[r][v] = vdotq_laneq_s32(sums[r][v], weight, x[r], 2); break;
                default: sums[r][v] = vdotq_laneq_s32(sums[r][v], weight, x[r], 3); break;
            }
        }
    }
}

/// A tile that loops in assembly are there for. Returns how many groups are done: all but at most three.
ALWAYS_INLINE size_t accumulate_whole(int32x4_t sums[TILE_ROWS][4], const struct tile_i8 *tile,
                                      bool in_order, const size_t rows) {
    size_t groups = tile->depth_groups, stride = tile->row_stride;
    if (in_order) {
        if (groups >= 2) {
            accumulate_pairs(sums, tile->a, tile->panel, groups / 2, stride, 0);
        }
        return groups / 2 * 2;
    }
    if (groups >= 4) {
        accumulate_fours(sums, tile->a, tile->panel, groups / 4, stride, rows);
    }
    return groups / 4 * 4;
}

ALWAYS_INLINE void accumulate(const struct tile_i8 *tile, const size_t rows, const size_t vectors) {
    // Asked before the sums exist: a call leaves half of the registers to nobody.
    bool is_looped = (rows == TILE_ROWS || rows == 4) && vectors == 4;
    bool in_order = is_looped && core_runs_in_order();
    is_looped &= rows == TILE_ROWS || !in_order;
    int32x4_t sums[TILE_ROWS][4];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            sums[r][v] = vld1q_s32(tile->from + r * tile->from_stride + v * 4);
        }
    }

    size_t done = 0;
    if (is_looped) {
        done = accumulate_whole(sums, tile, in_order, rows);
        ASSUME(tile->depth_groups - done < 4);
    }
    const int8_t *a = tile->a + done * DEPTH_GROUP;
    const int8_t *panel = tile->panel + done * TILE_COLUMNS * DEPTH_GROUP;
    size_t groups = tile->depth_groups - done, stride = tile->row_stride;
    int8x16_t x[TILE_ROWS];
    for (; groups >= 4; groups -= 4, a += 4 * DEPTH_GROUP, panel += 4 * TILE_COLUMNS * DEPTH_GROUP) {
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            x[r] = vld1q_s8(a + r * stride);
        }
        accumulate_lane(sums, x, panel, 0, rows, vectors);
        accumulate_lane(sums, x, panel, 1, rows, vectors);
        accumulate_lane(sums, x, panel, 2, rows, vectors);
        accumulate_lane(sums, x, panel, 3, rows, vectors);
    }
    for (; groups > 0; groups--, a += DEPTH_GROUP, panel += TILE_COLUMNS * DEPTH_GROUP) {
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            x[r] = vreinterpretq_s8_s32(vdupq_n_s32(four_bytes(a + r * stride)));
        }
        accumulate_lane(sums, x, panel, 0, rows, vectors);
    }

    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vst1q_s32(tile->sums + r * TILE_COLUMNS + v * 4, sums[r][v]);
        }
    }
}

ALWAYS_INLINE void accumulate_rows(const struct tile_i8 *tile, size_t rows, const size_t vectors) {
    switch (rows) {
        case 1: accumulate(tile, 1, vectors); return;
        case 2: accumulate(tile, 2, vectors); return;
        case 3: accumulate(tile, 3, vectors); return;
        case 4: accumulate(tile, 4, vectors); return;
        case 5: accumulate(tile, 5, vectors); return;
        default: accumulate(tile, 6, vectors); return;
    }
}

/// Vectors of columns of which none is wanted are left as they are.
static void tile_sums(const struct tile_i8 *tile, size_t rows, size_t columns) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    if (columns <= 8) {
        accumulate_rows(tile, rows, 2);
    } else {
        accumulate_rows(tile, rows, 4);
    }
}

#include "../shared/gemm_i8_body.h"

const struct gemm_i8_kernels gemm_i8_dotprod = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .depth_group = DEPTH_GROUP,
    .has_dot_products = true,
    .pack_panel = pack_panel,
    .gemm = gemm_i8,
    .conv2d = conv2d_i8,
};

/// As many chains as hide the latency, of register operands alone.
size_t peak_i8_dotprod(size_t rounds, int32_t *result) {
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
            sums[i] = vdotq_s32(sums[i], a, b);
        }
    }
    for (size_t i = 0; i < CHAINS; i++) {
        *result += vgetq_lane_s32(sums[i], 0);
    }
    return rounds * STEPS * CHAINS * 16 * 2;
}

#include "../isa_end.h"
#endif
