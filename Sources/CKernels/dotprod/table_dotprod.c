// What the level of Advanced SIMD with dot products overrides.
#include "../internal.h"

#if defined(__aarch64__)
void table_dotprod(struct kernel_table *table) {
    table->gemm_i8 = gemm_i8_dotprod;
    table->peak_i8 = peak_i8_dotprod;
}
#endif
