// What the level of Advanced SIMD with products of 8-bit matrices overrides.
#include "../internal.h"

#if defined(__aarch64__)
void table_i8mm(struct kernel_table *table) {
    table->gemm_i8 = gemm_i8_i8mm;
    table->peak_i8 = peak_i8_i8mm;
}
#endif
