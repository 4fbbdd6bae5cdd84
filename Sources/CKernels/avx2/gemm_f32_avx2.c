// Matrix products and convolution with AVX2 and FMA: register tiles of 6 x 16.
//
// 12 accumulators, 2 vectors of weights and one broadcast element fill the 16 registers. Per step
// of depth 12 multiply-adds need 8 loads: with two of each per cycle multiply-adds set the pace.
#if defined(__x86_64__)
#include "../internal.h"
#include "isa_begin.h"
#include "simd.h"

enum {
    TILE_ROWS = 6,
    TILE_COLUMNS = 16,
    DEPTH_BLOCK = 384,
    DEPTH_LONGEST = 640,
    PANEL_GROUP = 8,
    STREAMED_GROUP = 8,
    BLOCK = 16,
};

#include "../shared/gemm_f32_tile.h"

/// `rows` x `vectors` accumulators; both are constants where this is inlined, the loops over them
/// vanish and the sums live in registers.
ALWAYS_INLINE void accumulate(const struct tile_f32 *tile, const size_t rows,
                              const size_t vectors, const size_t row_stride) {
    __m256 sums[TILE_ROWS][2];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            sums[r][v] = tile->from ? _mm256_loadu_ps(tile->from + r * tile->from_stride + v * 8)
                                    : _mm256_setzero_ps();
        }
    }

    // The lines of the result arrive while the sums grow.
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        __builtin_prefetch(tile->to + r * tile->to_stride, 1);
    }

    // Asking for what is nowhere would take long, each time.
    const float *a = tile->a, *panel = tile->panel, *ahead = tile->ahead ? tile->ahead : panel;
    const size_t step = tile->ahead_step;
    for (size_t left = tile->depth, run; left > 0; left -= run, a += tile_gap(row_stride)) {
        run = tile_run(left, row_stride);
        if (tile->is_far) {
            tile_ask_ahead(a, rows);
        }
        // Unrolled, as the loop's own instructions would cost as many slots as a row's.
        _Pragma("clang loop unroll_count(4)")
        for (const float *end = a + run; a < end; a++, panel += TILE_COLUMNS) {
            __builtin_prefetch(panel + PREFETCH_AHEAD);
            __builtin_prefetch(ahead, 0, 2);  // to the second level: the first has no room
            ahead += step;
            __m256 weight[2];
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                weight[v] = _mm256_loadu_ps(panel + v * 8);
            }
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                __m256 x = _mm256_set1_ps(a[r * row_stride]);
                UNROLL
                for (size_t v = 0; v < vectors; v++) {
                    sums[r][v] = _mm256_fmadd_ps(x, weight[v], sums[r][v]);
                }
            }
        }
    }

    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            __m256 t = sums[r][v];
            if (tile->bias) {
                t = _mm256_add_ps(t, _mm256_loadu_ps(tile->bias + v * 8));
            }
            if (tile->residual) {
                t = _mm256_add_ps(
                    t, _mm256_loadu_ps(tile->residual + r * tile->residual_stride + v * 8));
            }
            if (tile->activation == ACTIVATION_RELU) {
                t = v_activate(t, ACTIVATION_RELU);
            } else if (tile->activation == ACTIVATION_RELU6) {
                t = v_activate(t, ACTIVATION_RELU6);
            }
            _mm256_storeu_ps(tile->to + r * tile->to_stride + v * 8, t);
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

/// Where one vector has all wanted columns the others are left as they are.
ALWAYS_INLINE void product_of_stride(const struct tile_f32 *tile, size_t rows, size_t columns,
                                     const size_t row_stride) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    if (columns <= 8) {
        accumulate_rows(tile, rows, 1, row_stride);
    } else {
        accumulate_rows(tile, rows, 2, row_stride);
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

const struct gemm_f32_kernels gemm_f32_avx2 = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .pack_panel = pack_panel,
    .product_scratch_count = product_scratch_count,
    .gemm = gemm_f32,
    .conv2d = conv2d_f32,
    .winograd_scratch_count = winograd_scratch_count,
    .winograd = winograd_f32,
};

void attention_f32_avx2(const struct attention_f32_args *args, float *scratch,
                        size_t query_begin, size_t query_end) {
    attention_f32(args, scratch, query_begin, query_end);
}

#include "../isa_end.h"
#endif
