// Depthwise convolution with AVX2 and FMA: blocks of 4 pixels x 2 vectors of channels,
// which with their weights take 10 of the 16 registers.
#if defined(__x86_64__)
#include "../internal.h"
#include "isa_begin.h"
#include "simd.h"

enum { DEPTHWISE_VECTORS = 2 };

#include "../shared/depthwise_f32_body.h"

void depthwise_f32_avx2(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end) {
    ASSUME(row_begin <= row_end);
    ASSUME(args->input_channels > 0);
    depthwise_f32(args, row_begin, row_end);
}

#include "../isa_end.h"
#endif
