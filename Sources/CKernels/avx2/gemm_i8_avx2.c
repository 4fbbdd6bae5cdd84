// Integer products with AVX2: register tiles of 4 x 16.
//
// The one instruction that multiplies bytes adds pairs of products in 16 bits, saturating, and takes one
// factor unsigned. So that it never saturates it gets magnitudes, and the weights get the signs:
// 2 * 128 * 127 fits.
#if defined(__x86_64__)
#include "../internal.h"
#include "isa_begin.h"
#include "simd.h"

enum {
    TILE_ROWS = 4,
    TILE_COLUMNS = 16,
    DEPTH_GROUP = 4,
    DEPTH_BLOCK = 1536,
    DEPTH_LONGEST = 2560,
    PANEL_GROUP = 16,
    SIGN_OFFSET = 0,
};

#include "../shared/gemm_i8_tile.h"

/// sum[i] + the four products of lane i; `magnitude` is that of x.
ALWAYS_INLINE __m256i dot(__m256i sum, __m256i x, __m256i magnitude, __m256i weight) {
    __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(weight, x));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

ALWAYS_INLINE void accumulate(const struct tile_i8 *tile, const size_t rows, const size_t vectors) {
    __m256i sums[TILE_ROWS][2];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            const int32_t *from = tile->sums + r * TILE_COLUMNS + v * 8;
            sums[r][v] = tile->adds ? _mm256_loadu_si256((const __m256i *)from) : _mm256_setzero_si256();
        }
    }

    const int8_t *a = tile->a, *panel = tile->panel;
    for (const int8_t *end = a + tile->depth_groups * DEPTH_GROUP; a < end;
         a += DEPTH_GROUP, panel += TILE_COLUMNS * DEPTH_GROUP) {
        __builtin_prefetch(panel + PREFETCH_AHEAD);
        __m256i weight[2];
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            weight[v] = _mm256_loadu_si256((const __m256i *)(panel + v * 32));
        }
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            __m256i x = _mm256_set1_epi32(four_bytes(a + r * GATHERED_STRIDE));
            __m256i magnitude = _mm256_abs_epi8(x);
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                sums[r][v] = dot(sums[r][v], x, magnitude, weight[v]);
            }
        }
    }

    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            _mm256_storeu_si256((__m256i *)(tile->sums + r * TILE_COLUMNS + v * 8), sums[r][v]);
        }
    }
}

ALWAYS_INLINE void accumulate_rows(const struct tile_i8 *tile, size_t rows, const size_t vectors) {
    switch (rows) {
        case 1: accumulate(tile, 1, vectors); return;
        case 2: accumulate(tile, 2, vectors); return;
        case 3: accumulate(tile, 3, vectors); return;
        default: accumulate(tile, 4, vectors); return;
    }
}

/// Where one vector has all wanted columns the others are left as they are.
static void tile_sums(const struct tile_i8 *tile, size_t rows, size_t columns) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    if (columns <= TILE_COLUMNS / 2) {
        accumulate_rows(tile, rows, 1);
    } else {
        accumulate_rows(tile, rows, 2);
    }
}

#include "../shared/gemm_i8_body.h"

const struct gemm_i8_kernels gemm_i8_avx2 = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .depth_group = DEPTH_GROUP,
    .pack_panel = pack_panel,
    .gemm = gemm_i8,
    .conv2d = conv2d_i8,
};

/// As many chains as hide the latency, of register operands alone.
size_t peak_i8_avx2(size_t rounds, int32_t *result) {
    ASSUME(rounds > 0);
    ASSUME(result);
    enum { CHAINS = 12, STEPS = 256 };
    __m256i sums[CHAINS], a = _mm256_set1_epi32(*result), b = _mm256_set1_epi32(0x01020304);
    for (size_t i = 0; i < CHAINS; i++) {
        sums[i] = _mm256_set1_epi32((int)i);
    }
    for (size_t round = 0; round < rounds * STEPS; round++) {
        UNROLL
        for (size_t i = 0; i < CHAINS; i++) {
            // The product must not leave the loop.
            __asm__("" : "+x"(b));
            sums[i] = dot(sums[i], a, a, b);
        }
    }
    int32_t lanes[8] = {0};
    for (size_t i = 0; i < CHAINS; i++) {
        memcpy(lanes, &sums[i], sizeof lanes);
        *result += lanes[0];
    }
    return rounds * STEPS * CHAINS * 8 * 4 * 2;
}

#include "../isa_end.h"
#endif
