// Integer products with AVX-512 VNNI: register tiles of 14 x 32, four multiply-adds a lane.
//
// The instruction takes one factor unsigned, so the left operand gets 128 added as it is gathered, and
// 128 times the column's weights are taken from each sum in the end.
#if defined(__x86_64__)
#include "../internal.h"
#include "isa_begin.h"
#include "../avx512/simd.h"

enum {
    TILE_ROWS = 14,
    TILE_COLUMNS = 32,
    DEPTH_GROUP = 4,
    DEPTH_BLOCK = 1536,
    DEPTH_LONGEST = 2560,
    PANEL_GROUP = 10,
    VECTOR_BYTES = 64,
    SIGN_OFFSET = 128,
};

#include "../shared/gemm_i8_tile.h"

typedef int32_t ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t ivec_anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(1)));

ALWAYS_INLINE ivec dot(ivec sum, ivec x, ivec weight) {
    return (ivec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)weight);
}

/// Not the intrinsic, which clang takes apart into a product and a sum.
ALWAYS_INLINE ivec dot_words(ivec sum, ivec x, ivec weight) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(weight));
    return sum;
}

#include "../shared/gemm_i8_x86_body.h"

const struct gemm_i8_kernels gemm_i8_avx512vnni = {
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

void quantize_rows_i8_avx512vnni(int8_t *y, const float *x, size_t rows, size_t columns) {
    quantize_rows_unsigned(y, x, rows, columns);
}

size_t peak_i8_avx512vnni(size_t rounds, int32_t *result) { return peak_i8(rounds, result); }

#include "../isa_end.h"
#endif
