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
    VECTOR_BYTES = 32,
    SIGN_OFFSET = 0,
};

#include "../shared/gemm_i8_tile.h"

typedef int32_t ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t ivec_anywhere __attribute__((vector_size(VECTOR_BYTES), aligned(1)));

ALWAYS_INLINE ivec dot(ivec sum, ivec x, ivec weight) {
    __m256i signs = _mm256_sign_epi8((__m256i)weight, (__m256i)x);
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)x), signs);
    return sum + (ivec)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

ALWAYS_INLINE ivec dot_words(ivec sum, ivec x, ivec weight) {
    return (ivec)_mm256_add_epi32((__m256i)sum, _mm256_madd_epi16((__m256i)x, (__m256i)weight));
}

#include "../shared/gemm_i8_x86_body.h"

const struct gemm_i8_kernels gemm_i8_avx2 = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .depth_group = DEPTH_GROUP,
    .pack_panel = pack_panel,
    .gemm = gemm_i8,
    .conv2d = convolution_i8,
    .winograd_scratch_bytes = winograd_scratch_bytes_i8,
    .winograd = winograd_i8,
};

size_t peak_i8_avx2(size_t rounds, int32_t *result) { return peak_i8(rounds, result); }

#include "../isa_end.h"
#endif
