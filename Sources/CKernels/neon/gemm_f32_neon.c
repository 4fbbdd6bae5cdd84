// Matrix products and convolution with NEON: register tiles of 6 x 16.
//
// 24 accumulators, 6 vectors of the left operand and 2 of weights fill the 32 registers. A vector
// of the left operand holds four steps of depth of one row, which multiply-adds take lane by lane:
// four steps need 22 vectors for 96 multiply-adds, so that one load unit is enough for two of those.
// Full tiles have loops of their own for cores that execute in order and for those that do not.
#if defined(__aarch64__)
#include "../internal.h"
#include "isa_begin.h"
#include "simd.h"

enum {
    TILE_ROWS = 6,
    TILE_COLUMNS = 16,
    DEPTH_BLOCK = 384,
    DEPTH_LONGEST = 640,
    PANEL_GROUP = 8,
    STREAMED_GROUP = 0,
    BLOCK = 4,
};

#include "../shared/gemm_f32_tile.h"

typedef float32x4_t sums_of_four;
#define MULTIPLY(row, column, weight, x, lane) \
    "fmla %[s" #row #column "].4s, %[" #weight "].4s, %[" #x "].s[" #lane "]\n"
#include "tile_loops.h"

/// sums += x[., lane] * panel[lane] over `rows` x `vectors`, all constants where this is inlined.
ALWAYS_INLINE void accumulate_lane(float32x4_t sums[TILE_ROWS][4], const float32x4_t x[TILE_ROWS],
                                   const float *panel, const int lane, const size_t rows,
                                   const size_t vectors) {
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        float32x4_t weight = vld1q_f32(panel + lane * TILE_COLUMNS + v * 4);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            switch (lane) {
                case 0: sums[r][v] = vfmaq_laneq_f32(sums[r][v], weight, x[r], 0); break;
                case 1: sums[r][v] = vfmaq_laneq_f32(sums[r][v], weight, x[r], 1); break;
                case 2: sums[r][v] = vfmaq_laneq_f32(sums[r][v], weight, x[r], 2); break;
                default: sums[r][v] = vfmaq_laneq_f32(sums[r][v], weight, x[r], 3); break;
            }
        }
    }
}

/// The epilogues that registers are enough for, each decided once for all sums.
ALWAYS_INLINE void finish(const struct tile_f32 *tile, float32x4_t sums[TILE_ROWS][4],
                          const size_t rows, const size_t vectors) {
    if (tile->bias) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            float32x4_t bias = vld1q_f32(tile->bias + v * 4);
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                sums[r][v] = vaddq_f32(sums[r][v], bias);
            }
        }
    }
    if (tile->residual) {
        UNROLL
        for (size_t i = 0; i < rows * vectors; i++) {
            const float *residual = tile->residual + i / vectors * tile->residual_stride;
            float32x4_t *sum = &sums[i / vectors][i % vectors];
            *sum = vaddq_f32(*sum, vld1q_f32(residual + i % vectors * 4));
        }
    }
    if (tile->activation == ACTIVATION_RELU || tile->activation == ACTIVATION_RELU6) {
        UNROLL
        for (size_t i = 0; i < rows * vectors; i++) {
            float32x4_t *sum = &sums[i / vectors][i % vectors];
            *sum = v_activate(*sum, ACTIVATION_RELU);
        }
    }
    if (tile->activation == ACTIVATION_RELU6) {
        UNROLL
        for (size_t i = 0; i < rows * vectors; i++) {
            float32x4_t *sum = &sums[i / vectors][i % vectors];
            *sum = vminq_f32(*sum, vdupq_n_f32(6));
        }
    }
}

/// A tile that loops in assembly are there for. Returns how much of depth is done: all but at most three steps.
ALWAYS_INLINE size_t accumulate_whole(float32x4_t sums[TILE_ROWS][4], const struct tile_f32 *tile,
                                      const size_t row_stride, bool in_order, const size_t rows) {
    size_t gap = tile_gap(row_stride), depth = tile->depth, row_bytes = row_stride * sizeof(float);
    if (in_order) {
        if (depth >= 2) {
            accumulate_pairs(sums, tile->a, tile->panel, depth / 2, row_bytes, gap * sizeof(float));
        }
        return depth / 2 * 2;
    }
    if (depth >= 4 && row_stride == BLOCK) {
        accumulate_fours_of_blocks(sums, tile->a, tile->panel, depth / 4, rows);
    } else if (depth >= 4) {
        accumulate_fours(sums, tile->a, tile->panel, depth / 4, row_bytes, rows);
    }
    return depth / 4 * 4;
}

/// `rows` x `vectors` accumulators; both are constants where this is inlined, the loops over them
/// vanish and the sums live in registers.
ALWAYS_INLINE void accumulate(const struct tile_f32 *tile, const size_t rows,
                              const size_t vectors, const size_t row_stride) {
    // Asked before the sums exist: a call leaves half of the registers to nobody.
    bool has_loop = rows == TILE_ROWS || rows == 4 || ((rows == 5 || rows == 2) && row_stride == BLOCK);
    bool is_looped = has_loop && vectors == 4;
    bool in_order = is_looped && core_runs_in_order();
    is_looped &= rows == TILE_ROWS || !in_order;
    float32x4_t sums[TILE_ROWS][4];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            sums[r][v] = tile->from ? vld1q_f32(tile->from + r * tile->from_stride + v * 4)
                                    : vdupq_n_f32(0);
        }
    }

    // The lines of the result arrive while the sums grow; those of scratch memory follow each other.
    if (tile->to_stride != TILE_COLUMNS) {
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            __builtin_prefetch(tile->to + r * tile->to_stride, 1);
        }
    }

    size_t done = 0;
    if (is_looped) {
        done = accumulate_whole(sums, tile, row_stride, in_order, rows);
        ASSUME(tile->depth - done < 4);
    }
    const float *panel = tile->panel + done * TILE_COLUMNS;
    const float *a = tile->a + done + done / BLOCK * tile_gap(row_stride);
    float32x4_t x[TILE_ROWS];
    for (size_t left = tile->depth - done, run; left > 0; left -= run, a += tile_gap(row_stride)) {
        run = tile_run(left, row_stride);
        size_t depth = run;
        for (; depth >= 4; depth -= 4, a += 4, panel += 4 * TILE_COLUMNS) {
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                x[r] = vld1q_f32(a + r * row_stride);
            }
            accumulate_lane(sums, x, panel, 0, rows, vectors);
            accumulate_lane(sums, x, panel, 1, rows, vectors);
            accumulate_lane(sums, x, panel, 2, rows, vectors);
            accumulate_lane(sums, x, panel, 3, rows, vectors);
        }
        for (; depth > 0; depth--, a++, panel += TILE_COLUMNS) {
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                x[r] = vdupq_n_f32(a[r * row_stride]);
            }
            accumulate_lane(sums, x, panel, 0, rows, vectors);
        }
    }

    finish(tile, sums, rows, vectors);
    float *to = tile->to;  // of its own, as a store might change the tile
    const size_t stride = tile->to_stride;
    UNROLL
    for (size_t r = 0; r < rows; r++, to += stride) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vst1q_f32(to + v * 4, sums[r][v]);
        }
    }
}

ALWAYS_INLINE void accumulate_rows(const struct tile_f32 *tile, size_t rows,
                                   const size_t vectors, const size_t row_stride) {
    switch (rows) {
        case 1: accumulate(tile, 1, vectors, row_stride); return;
        case 2: accumulate(tile, 2, vectors, row_stride); return;
        case 3: accumulate(tile, 3, vectors, row_stride); return;
        case 4: accumulate(tile, 4, vectors, row_stride); return;
        case 5: accumulate(tile, 5, vectors, row_stride); return;
        default: accumulate(tile, 6, vectors, row_stride); return;
    }
}

/// Vectors of columns of which none is wanted are left as they are.
ALWAYS_INLINE void product_of_stride(const struct tile_f32 *tile, size_t rows, size_t columns,
                                     const size_t row_stride) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    if (columns <= 4) {
        accumulate_rows(tile, rows, 1, row_stride);
    } else if (columns <= 8) {
        accumulate_rows(tile, rows, 2, row_stride);
    } else {
        accumulate_rows(tile, rows, 4, row_stride);
    }
}

static void tile_product(const struct tile_f32 *tile, size_t rows, size_t columns) {
    product_of_stride(tile, rows, columns, GATHERED_STRIDE);
}

static void tile_product_blocked(const struct tile_f32 *tile, size_t rows, size_t columns) {
    product_of_stride(tile, rows, columns, BLOCK);
}

#include "../shared/gemm_f32_body.h"
#include "../shared/conv2d_f32_body.h"
#include "../shared/winograd_f32_body.h"
#include "../shared/attention_f32_body.h"

const struct gemm_f32_kernels gemm_f32_neon = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .pack_panel = pack_panel,
    .product_scratch_count = product_scratch_count,
    .gemm = gemm_f32,
    .conv2d = conv2d_f32,
    .halves_tile_rows = 8,
    .gemm_halves = gemm_halves_asimdhp,
    .conv2d_halves = conv2d_halves_asimdhp,
    .winograd_scratch_count = winograd_scratch_count,
    .winograd = winograd_f32,
};

void attention_f32_neon(const struct attention_f32_args *args, float *scratch,
                        size_t query_begin, size_t query_end) {
    attention_f32(args, scratch, query_begin, query_end);
}

#include "../isa_end.h"
#endif
