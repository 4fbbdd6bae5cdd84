// What all kernels share: assertions, inlining, and the functions that the tables name.
#ifndef PIPIT_INTERNAL_H
#define PIPIT_INTERNAL_H

#include <assert.h>
#include <math.h>
#include <string.h>

#include "include/ckernels.h"

// Levels give the same bits: whether a product is rounded before it is added must not be the compiler's choice. Where
// it is not to be, fused multiply-adds are written as such.
#pragma STDC FP_CONTRACT OFF

// SwiftPM defines DEBUG in debug builds; release builds have no NDEBUG, so assert() cannot be used there.
#ifdef DEBUG
#define ASSUME(condition) assert(condition)
#else
#define ASSUME(condition) __builtin_assume(condition)
#endif

// Not without optimization: there each inlined call keeps stack of its own, and register tiles, which
// are inlined dozens of times with other constants, would need megabytes of it.
#ifdef __OPTIMIZE__
#define ALWAYS_INLINE static inline __attribute__((always_inline, unused))
#else
#define ALWAYS_INLINE static inline __attribute__((unused))
#endif

enum { SUM_LANES = 16 };  // of sums over rows, see shared/row_sums.h

#define LOG2_E 1.44269504088896341f

/// For loops over rows and vectors of a tile, whose counts are constants.
#define UNROLL _Pragma("clang loop unroll(full)")

/// An activation of one number.
float activate_scalar(float x, enum activation activation);

/// How a row of numbers between low <= 0 and high >= 0 is quantized (see quantize_rows_i8_fn).
ALWAYS_INLINE struct row_quantization quantization_of_row(float low, float high, float *inverse) {
    float range = high - low;
    range = range > SMALLEST_ROW_RANGE && range < INFINITY ? range : 1;
    *inverse = QUANTIZED_STEPS / range;
    float zero_point = -128 - rintf(low * *inverse);
    zero_point = zero_point < 127 ? zero_point : 127;
    return (struct row_quantization){range / QUANTIZED_STEPS, (int32_t)zero_point};
}

/// The number that 16 bits of IEEE 754's binary16 stand for.
float half_to_float(uint16_t half);

// Products and depthwise convolutions are written per level, one file each.
extern const struct gemm_f32_kernels gemm_f32_scalar;
extern const struct gemm_f32_kernels gemm_f32_avx2;
extern const struct gemm_f32_kernels gemm_f32_avx512;
extern const struct gemm_f32_kernels gemm_f32_neon;
extern const struct gemm_i8_kernels gemm_i8_scalar;
extern const struct gemm_i8_kernels gemm_i8_avx2;
extern const struct gemm_i8_kernels gemm_i8_avxvnni;
extern const struct gemm_i8_kernels gemm_i8_avx512vnni;
extern const struct gemm_i8_kernels gemm_i8_neon;
extern const struct gemm_i8_kernels gemm_i8_dotprod;
extern const struct gemm_i8_kernels gemm_i8_i8mm;
size_t winograd_scratch_count_scalar(const struct conv2d_f32_args *args, size_t tile_count);
void winograd_scalar(const struct conv2d_f32_args *args, float *scratch, size_t tile_begin,
                     size_t tile_end, size_t panel_begin, size_t panel_end);
void attention_f32_scalar(const struct attention_f32_args *args, float *scratch, size_t query_begin,
                          size_t query_end);
void quantize_i8_scalar(int8_t *y, const float *x, size_t count, float inverse_scale,
                        int zero_point);
void quantize_rows_i8_scalar(int8_t *y, const float *x, size_t rows, size_t columns);
void quantize_i8_neon(int8_t *y, const float *x, size_t count, float inverse_scale, int zero_point);
void quantize_rows_i8_neon(int8_t *y, const float *x, size_t rows, size_t columns);
void quantize_rows_i8_avxvnni(int8_t *y, const float *x, size_t rows, size_t columns);
void quantize_rows_i8_avx512vnni(int8_t *y, const float *x, size_t rows, size_t columns);
size_t peak_i8_scalar(size_t rounds, int32_t *result);
size_t peak_i8_avx2(size_t rounds, int32_t *result);
size_t peak_i8_avxvnni(size_t rounds, int32_t *result);
size_t peak_i8_avx512vnni(size_t rounds, int32_t *result);
size_t peak_i8_neon(size_t rounds, int32_t *result);
size_t peak_i8_dotprod(size_t rounds, int32_t *result);
size_t peak_i8_i8mm(size_t rounds, int32_t *result);
void depthwise_f32_scalar(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end);
void depthwise_f32_avx2(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end);
void depthwise_f32_avx512(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end);
void depthwise_f32_neon(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end);
void attention_f32_avx2(const struct attention_f32_args *args, float *scratch, size_t query_begin,
                        size_t query_end);
void attention_f32_avx512(const struct attention_f32_args *args, float *scratch,
                          size_t query_begin, size_t query_end);
void attention_f32_neon(const struct attention_f32_args *args, float *scratch, size_t query_begin,
                        size_t query_end);

// Each fills the fields of the kernels that its level has; the others keep what is there.
void table_scalar(struct kernel_table *table);
void table_avx2(struct kernel_table *table);
void table_avxvnni(struct kernel_table *table);
void table_avx512(struct kernel_table *table);
void table_avx512vnni(struct kernel_table *table);
void table_neon(struct kernel_table *table);
void table_dotprod(struct kernel_table *table);
void table_i8mm(struct kernel_table *table);

/// What this processor can do, as far as any level asks.
struct cpu_features {
    bool avx2_fma_f16c;
    bool avxvnni;
    bool avx512;  // F, BW, DQ and VL, and the system saves the registers
    bool avx512vnni;
    bool neon;
    bool dotprod;
    bool i8mm;
};
struct cpu_features cpu_detect(void);

#if defined(__aarch64__)
/// How this machine's cores execute instructions; found before `main`. They differ in big.LITTLE.
extern enum core_order { CORES_OUT_OF_ORDER = 0, CORES_IN_ORDER, CORES_DIFFER } core_order;

bool this_core_runs_in_order(void);

/// Whether the core that this thread runs on executes instructions in order (Cortex-A53, A55 and such).
ALWAYS_INLINE bool core_runs_in_order(void) {
    return core_order == CORES_DIFFER ? this_core_runs_in_order() : core_order == CORES_IN_ORDER;
}
#endif

/// The processor's name from the text of /proc/cpuinfo into `name`, always terminated.
void cpu_name_from_cpuinfo(const char *text, char *name, size_t capacity);

#endif
