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

/// Keeps the compiler from computing a pointer or an offset anew out of others. ARM has registers for dozens of them,
/// and loads and stores that add or move them; x86 has neither, but adds an index for nothing.
#if defined(__aarch64__)
#define OWN_REGISTER(value) __asm__("" : "+r"(value))
#else
#define OWN_REGISTER(value) ((void)0)
#endif

/// How Winograd's tiles cover the computed pixels of an image (see ckernels.h): in each dimension first the large
/// ones, then the small ones. Tiles are numbered so that those that are large in a dimension follow each other:
/// small x large (rows x columns), large x large, large x small, small x small; of each all images of the batch.
struct winograd_tiles {
    size_t large, small;  // pixels of a side
    struct winograd_cut {
        size_t large, small;  // how many
    } rows, columns;
    size_t ends[4];
};

struct winograd_tile {
    size_t image, row, column;  // row and column in computed pixels
    size_t height, width;
};

/// Fewest points of evaluation for `extent` pixels: each tile has two more than pixels, whatever its size.
ALWAYS_INLINE struct winograd_cut winograd_cut_of(size_t extent, size_t large, size_t small) {
    size_t count = (extent + large - 1) / large, spare = count * large - extent;
    size_t most = small < large ? spare / (large - small) : 0;
    most = most < count ? most : count;
    return (struct winograd_cut){count - most, most};
}

ALWAYS_INLINE struct winograd_tiles winograd_tiles_of(const struct conv2d_f32_args *args) {
    struct winograd_tiles t = {.large = args->winograd_side, .small = args->winograd_side};
    if (args->kernel_height == 3) {
        t.small = t.large == 6 ? 4 : 3;
    }
    t.rows = winograd_cut_of(args->output_height / args->upsample, t.large, t.small);
    t.columns = winograd_cut_of(args->output_width / args->upsample, t.large, t.small);
    t.ends[0] = args->batch * t.rows.small * t.columns.large;
    t.ends[1] = t.ends[0] + args->batch * t.rows.large * t.columns.large;
    t.ends[2] = t.ends[1] + args->batch * t.rows.large * t.columns.small;
    t.ends[3] = t.ends[2] + args->batch * t.rows.small * t.columns.small;
    return t;
}

ALWAYS_INLINE struct winograd_tile winograd_tile_at(const struct winograd_tiles *t, size_t index) {
    size_t kind = (index >= t->ends[0]) + (index >= t->ends[1]) + (index >= t->ends[2]);
    bool is_low = kind == 0 || kind == 3, is_narrow = kind >= 2;
    size_t rows = is_low ? t->rows.small : t->rows.large;
    size_t columns = is_narrow ? t->columns.small : t->columns.large;
    index -= kind > 0 ? t->ends[kind - 1] : 0;
    size_t row = index / columns % rows, column = index % columns;
    return (struct winograd_tile){
        .image = index / columns / rows,
        .row = is_low ? t->rows.large * t->large + row * t->small : row * t->large,
        .column = is_narrow ? t->columns.large * t->large + column * t->small : column * t->large,
        .height = is_low ? t->small : t->large,
        .width = is_narrow ? t->small : t->large,
    };
}

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
void gemm_halves_scalar(const struct gemm_f32_args *args, float *scratch, size_t row_begin, size_t row_end,
                        size_t panel_begin, size_t panel_end);
void conv2d_halves_scalar(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                          size_t pixel_end, size_t panel_begin, size_t panel_end);
void gemm_halves_asimdhp(const struct gemm_f32_args *args, float *scratch, size_t row_begin, size_t row_end,
                         size_t panel_begin, size_t panel_end);
void conv2d_halves_asimdhp(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                           size_t pixel_end, size_t panel_begin, size_t panel_end);
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
    bool asimdhp;  // half-precision arithmetic on vectors
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
