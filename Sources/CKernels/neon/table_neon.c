// What the level of Advanced SIMD overrides.
#include "../internal.h"

#if defined(__aarch64__)
#include "isa_begin.h"
#include "simd.h"
#include "../shared/table_body.h"
#include "../isa_end.h"
#include "../shared/table_fill.h"

void table_neon(struct kernel_table *table) {
    fill_shared(table);
    table->gemm_f32 = gemm_f32_neon;
    table->gemm_i8 = gemm_i8_neon;
    table->peak_i8 = peak_i8_neon;
    table->quantize_i8 = quantize_i8_neon;
    table->quantize_rows_i8 = quantize_rows_i8_neon;
    table->depthwise_f32 = depthwise_f32_neon;
    table->attention_f32 = attention_f32_neon;
}
#endif
