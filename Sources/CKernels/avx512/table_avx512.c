// What the level of AVX-512 F, BW, DQ and VL overrides.
#include "../internal.h"

#if defined(__x86_64__)
#include "isa_begin.h"
#include "simd.h"
#include "../shared/table_body.h"
#include "../isa_end.h"
#include "../shared/table_fill.h"

void table_avx512(struct kernel_table *table) {
    fill_shared(table);
    table->gemm_f32 = gemm_f32_avx512;
    // The level below may use what this one's processors lack.
    table->gemm_i8 = gemm_i8_avx2;
    table->peak_i8 = peak_i8_avx2;
    table->depthwise_f32 = depthwise_f32_avx512;
    table->attention_f32 = attention_f32_avx512;
}
#endif
