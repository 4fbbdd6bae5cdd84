// What the level of AVX2 with AVX-VNNI overrides.
#include "../internal.h"

#if defined(__x86_64__)
void table_avxvnni(struct kernel_table *table) {
    table->gemm_i8 = gemm_i8_avxvnni;
    table->quantize_rows_i8 = quantize_rows_i8_avxvnni;
    table->peak_i8 = peak_i8_avxvnni;
}
#endif
