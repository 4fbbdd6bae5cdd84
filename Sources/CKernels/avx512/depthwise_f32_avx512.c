// Depthwise convolution with AVX-512: blocks of 4 pixels x 4 vectors of channels,
// which with their weights take 20 of the 32 registers.
#if defined(__x86_64__)
#include "../internal.h"
#include "isa_begin.h"
#include "simd.h"

enum { DEPTHWISE_VECTORS = 4 };

#include "../shared/depthwise_f32_body.h"

void depthwise_f32_avx512(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end) {
    ASSUME(row_begin <= row_end);
    ASSUME(args->input_channels > 0);
    depthwise_f32(args, row_begin, row_end);
}

#include "../isa_end.h"
#endif
