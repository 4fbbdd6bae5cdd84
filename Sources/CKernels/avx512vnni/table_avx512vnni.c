// What the level of AVX-512 with VNNI overrides.
#include "../internal.h"

#if defined(__x86_64__)
void table_avx512vnni(struct kernel_table *table) {
    table->gemm_i8 = gemm_i8_avx512vnni;
    table->quantize_rows_i8 = quantize_rows_i8_avx512vnni;
    table->peak_i8 = peak_i8_avx512vnni;
}
#endif
