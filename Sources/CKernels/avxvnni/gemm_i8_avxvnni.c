// Integer products with AVX-VNNI, which small cores such as the N100's have: register tiles of 6 x 16.
#if defined(__x86_64__)
#include "../internal.h"
#include "isa_begin.h"
#include "../avx2/simd.h"

enum {
    TILE_ROWS = 6,
    TILE_COLUMNS = 16,
    DEPTH_GROUP = 4,
    DEPTH_BLOCK = 1536,
    DEPTH_LONGEST = 2560,
    PANEL_GROUP = 16,
    VECTOR_BYTES = 32,
    SIGN_OFFSET = 128,
};

#include "../shared/gemm_i8_tile.h"

typedef int32_t ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t ivec_anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(1)));

ALWAYS_INLINE ivec dot(ivec sum, ivec x, ivec weight) {
    return (ivec)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)weight);
}

/// Not the intrinsic, which clang takes apart into a product and a sum.
ALWAYS_INLINE ivec dot_words(ivec sum, ivec x, ivec weight) {
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(weight));
    return sum;
}

#include "../shared/gemm_i8_x86_body.h"

const struct gemm_i8_kernels gemm_i8_avxvnni = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .depth_group = DEPTH_GROUP,
    .rows_inverted = true,
    .has_dot_products = true,
    .pack_panel = pack_panel,
    .gemm = gemm_i8,
    .conv2d = convolution_i8,
    .winograd_scratch_bytes = winograd_scratch_bytes_i8,
    .winograd = winograd_i8,
};

void quantize_rows_i8_avxvnni(int8_t *y, const float *x, size_t rows, size_t columns) {
    quantize_rows_unsigned(y, x, rows, columns);
}

size_t peak_i8_avxvnni(size_t rounds, int32_t *result) { return peak_i8(rounds, result); }

#include "../isa_end.h"
#endif
