// The ladder of levels, weakest first: each copies the one below and overrides what it does better.
#include "internal.h"

struct level {
    const char *name;
    void (*fill)(struct kernel_table *table);
    /// The feature that is missing, NULL if none is.
    const char *(*missing)(const struct cpu_features *features);
};

static const char *never_missing(const struct cpu_features *features) {
    (void)features;
    return NULL;
}

#if defined(__x86_64__)
static const char *avx2_missing(const struct cpu_features *features) {
    return features->avx2_fma_f16c ? NULL : "avx2, fma or f16c";
}

static const char *avxvnni_missing(const struct cpu_features *features) {
    return features->avxvnni ? NULL : "avx-vnni";
}

static const char *avx512_missing(const struct cpu_features *features) {
    return features->avx512 ? NULL : "avx512 (f, bw, dq, vl)";
}

static const char *avx512vnni_missing(const struct cpu_features *features) {
    return features->avx512vnni ? NULL : "avx512 vnni";
}
#elif defined(__aarch64__)
static const char *dotprod_missing(const struct cpu_features *features) {
    return features->dotprod ? NULL : "asimddp (dot products)";
}

static const char *i8mm_missing(const struct cpu_features *features) {
    return features->i8mm && features->dotprod ? NULL : "i8mm (8-bit matrix multiplication)";
}
#endif

static const struct level ladder[] = {
    {"scalar", table_scalar, never_missing},
#if defined(__aarch64__)
    {"neon", table_neon, never_missing},
    {"dotprod", table_dotprod, dotprod_missing},
    {"i8mm", table_i8mm, i8mm_missing},
#elif defined(__x86_64__)
    {"avx2", table_avx2, avx2_missing},
    {"avxvnni", table_avxvnni, avxvnni_missing},
    {"avx512", table_avx512, avx512_missing},
    {"avx512vnni", table_avx512vnni, avx512vnni_missing},
#endif
};

enum { LEVEL_COUNT = sizeof ladder / sizeof ladder[0] };

static struct kernel_table tables[LEVEL_COUNT];
static struct cpu_features features;

// Before main, so that no thread can see a table half filled.
__attribute__((constructor)) static void fill_tables(void) {
    features = cpu_detect();
    for (size_t level = 0; level < LEVEL_COUNT; level++) {
        if (level > 0) {
            tables[level] = tables[level - 1];
        }
        ladder[level].fill(&tables[level]);
        tables[level].name = ladder[level].name;
    }
}

size_t kernel_level_count(void) { return LEVEL_COUNT; }

const struct kernel_table *kernel_level(size_t level) {
    return level < LEVEL_COUNT ? &tables[level] : NULL;
}

const char *kernel_level_missing(size_t level) {
    return level < LEVEL_COUNT ? ladder[level].missing(&features) : "such a level";
}

const char *kernel_halves_missing(size_t level) {
    if (level >= LEVEL_COUNT || !tables[level].gemm_f32.gemm_halves) {
        return "half-precision arithmetic";
    }
    return level == 0 || features.asimdhp ? NULL : "half-precision arithmetic (asimdhp)";
}

bool kernel_level_runs(size_t level) { return kernel_level_missing(level) == NULL; }
