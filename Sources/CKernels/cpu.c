// Which instruction sets this processor has and this system lets us use.
#define _GNU_SOURCE  // sched_getcpu
#include <stdio.h>

#include "internal.h"

#if defined(__aarch64__)
#include <sched.h>
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

struct cpu_features cpu_detect(void) {
    struct cpu_features features = {0};
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) {
        return features;
    }
    bool fma_f16c = (c & bit_FMA) && (c & bit_F16C) && (c & bit_AVX);
    uint64_t saved = saved_registers();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        return features;
    }
    // Bits 1-2: XMM and YMM; bits 5-7: mask registers and the upper halves of ZMM.
    features.avx2_fma_f16c = fma_f16c && (b & bit_AVX2) && (saved & 0x06) == 0x06;
    unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    features.avx512 =
        features.avx2_fma_f16c && (b & avx512) == avx512 && (saved & 0xE6) == 0xE6;
    features.avx512vnni = features.avx512 && (c & bit_AVX512VNNI);
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
        features.avxvnni = features.avx2_fma_f16c && (a & 1u << 4);
    }
    return features;
}
#else
struct cpu_features cpu_detect(void) {
    // Advanced SIMD is part of every 64-bit ARM processor that runs Linux.
    return (struct cpu_features){
#if defined(__aarch64__)
        .neon = true,
        .dotprod = getauxval(AT_HWCAP) & HWCAP_ASIMDDP,
        .i8mm = getauxval(AT_HWCAP2) & HWCAP2_I8MM,
        .asimdhp = getauxval(AT_HWCAP) & HWCAP_ASIMDHP,
#endif
    };
}
#endif

/// ARM core names by the "CPU part" of implementer 0x41; the cores of the boards that Pipit is for.
static const char *arm_core_name(unsigned part) {
    switch (part) {
        case 0xd03: return "Cortex-A53";
        case 0xd04: return "Cortex-A35";
        case 0xd05: return "Cortex-A55";
        case 0xd07: return "Cortex-A57";
        case 0xd08: return "Cortex-A72";
        case 0xd09: return "Cortex-A73";
        case 0xd0b: return "Cortex-A76";
        case 0xd0c: return "Neoverse N1";
        case 0xd40: return "Neoverse V1";
        case 0xd49: return "Neoverse N2";
        default: return NULL;
    }
}

/// Copies what stands behind the colon of the first line that begins with `key`.
static bool field(const char *text, const char *key, char *value, size_t capacity) {
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, length) != 0) {
            continue;
        }
        const char *colon = strchr(line, ':');
        const char *end = strchr(line, '\n');
        if (!colon || (end && colon > end)) {
            continue;
        }
        colon += 1 + (colon[1] == ' ');
        size_t count = end ? (size_t)(end - colon) : strlen(colon);
        count = count < capacity - 1 ? count : capacity - 1;
        memcpy(value, colon, count);
        value[count] = 0;
        return true;
    }
    return false;
}

void cpu_name_from_cpuinfo(const char *text, char *name, size_t capacity) {
    ASSUME(text && name);
    ASSUME(capacity >= 32);
    if (field(text, "model name", name, capacity)) {
        return;
    }
    char part[32];
    unsigned number;
    if (field(text, "CPU part", part, sizeof part) && sscanf(part, "%x", &number) == 1) {
        const char *known = arm_core_name(number);
        if (known) {
            snprintf(name, capacity, "%s", known);
        } else {
            snprintf(name, capacity, "ARM core 0x%x", number);
        }
        return;
    }
    snprintf(name, capacity, "unknown processor");
}

/// Cores that start instructions in the program's order, by "CPU part": what they compute with must be
/// loaded long before. Of other makers' cores nothing is known.
static bool part_is_in_order(unsigned part) {
    switch (part) {
        case 0xd03:  // A53
        case 0xd04:  // A35
        case 0xd05:  // A55
        case 0xd46:  // A510
        case 0xd80:  // A520
            return true;
        default: return false;
    }
}

size_t cores_in_order_from_cpuinfo(const char *text, bool *in_order, size_t capacity) {
    ASSUME(text && in_order);
    memset(in_order, 0, capacity * sizeof *in_order);
    size_t count = 0;
    unsigned core = 0, part;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (sscanf(line, "processor : %u", &core) == 1) {
            continue;
        }
        if (sscanf(line, "CPU part : %x", &part) == 1 && core < capacity) {
            in_order[core] = part_is_in_order(part);
            count++;
        }
    }
    return count;
}

#if defined(__aarch64__)
enum { CORES = 256 };

static bool in_order[CORES];
enum core_order core_order;

bool this_core_runs_in_order(void) {
    // From memory that the kernel shares with the thread: no system call. The thread may be moved in the
    // next moment; then it computes the same by the other core's order of instructions.
    int core = sched_getcpu();
    return core >= 0 && core < CORES && in_order[core];
}

static void find_cores_in_order(const char *cpuinfo) {
    size_t count = cores_in_order_from_cpuinfo(cpuinfo, in_order, CORES);
    if (count == 0 && (getauxval(AT_HWCAP) & HWCAP_CPUID)) {
        // The register of this core; the kernel, or an emulator, lets programs read it.
        uint64_t identity;
        __asm__("mrs %0, midr_el1" : "=r"(identity));
        in_order[0] = identity >> 24 == 0x41 && part_is_in_order(identity >> 4 & 0xfff);
        count = 1;
    }
    core_order = in_order[0] ? CORES_IN_ORDER : CORES_OUT_OF_ORDER;
    for (size_t core = 1; core < count && core < CORES; core++) {
        core_order = in_order[core] == in_order[0] ? core_order : CORES_DIFFER;
    }
}
#endif

/// As `core_runs_in_order`, on every architecture.
static bool runs_in_order(void) {
#if defined(__aarch64__)
    return core_runs_in_order();
#else
    return false;
#endif
}

static char summary[256];

__attribute__((constructor)) static void summarize(void) {
    static char text[16384];
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (file) {
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
    }
#if defined(__aarch64__)
    find_cores_in_order(text);
#endif
    char name[128];
    cpu_name_from_cpuinfo(text, name, sizeof name);
    struct cpu_features features = cpu_detect();
    snprintf(summary, sizeof summary, "%s;%s%s%s%s%s%s%s%s%s", name,
             features.avx2_fma_f16c ? " avx2 fma f16c" : "", features.avxvnni ? " avxvnni" : "",
             features.avx512 ? " avx512" : "", features.avx512vnni ? " avx512vnni" : "",
             features.neon ? " neon" : "", features.dotprod ? " dotprod" : "",
             features.i8mm ? " i8mm" : "", features.asimdhp ? " asimdhp" : "", runs_in_order() ? " in-order" : "");
}

const char *kernel_cpu_summary(void) { return summary; }
