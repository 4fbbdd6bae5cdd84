// Integer products with NEON alone (Cortex-A53, A72): register tiles of 4 x 8, by squares of 4 x 4.
//
// A sum is a vector: 16 bytes of depth of a row times those of a column are two widening instructions, the
// second of which adds to the first's 16-bit products, and a third adds neighbours to the sum. Two
// products, of which each is at most 128 * 127, fit 16 bits. At the end a sum's lanes are added.
#if defined(__aarch64__)
#include "../internal.h"
#include "isa_begin.h"
#include "simd.h"

enum {
    TILE_ROWS = 4,
    TILE_COLUMNS = 8,
    DEPTH_GROUP = 16,
    DEPTH_BLOCK = 1536,
    DEPTH_LONGEST = 2560,
    PANEL_GROUP = 16,
    SIGN_OFFSET = 0,
    STRIDES = 0,
    PATCHES = 0,
    PREFETCHES_RESULT = 0,
};

#include "../shared/gemm_i8_tile.h"

enum { SQUARE = 4 };

// Cores that execute in order (Cortex-A53) have a loop in assembly. What tile_loops.h says of theirs holds here: a
// vector is loaded by halves in slots that are three multiplications apart, and slots follow each other. 16 bytes of
// depth take 48 instructions that multiply and add and nine slots: 57 cycles. The order was found by a search.

/// products = x * w of the low halves; products += x * w of the high ones; sums += neighbours' sums.
#define MULTIPLY(p, x, w) "smull %[" #p "].8h, %[" #x "].8b, %[" #w "].8b\n"
#define ADD_HIGH(p, x, w) "smlal2 %[" #p "].8h, %[" #x "].16b, %[" #w "].16b\n"
#define SUM(row, column, p) "sadalp %[s" #row #column "].4s, %[" #p "].8h\n"
/// The low half of a vector, and into a general register its high half.
#define LOAD_LOW(vector, base, offset) "ldr %d[" #vector "], [" base ", " offset "]\n"
#define LOAD_HIGH(half, base, offset) "ldr %[" #half "], [" base ", " offset "]\n"
#define INSERT(vector, half) "ins %[" #vector "].d[1], %[" #half "]\n"
#define ROW(row) "%[row" #row "]"
#define HIGH_ROW(row) "%[high" #row "]"
#define ROW_OFFSETS(r) [row##r] "i"((r) * GATHERED_STRIDE), [high##r] "i"((r) * GATHERED_STRIDE + 8)
#define SUMS_OF_ROW(r)                                                                             \
    [s##r##0] "+w"(sums[r][0]), [s##r##1] "+w"(sums[r][1]), [s##r##2] "+w"(sums[r][2]),            \
        [s##r##3] "+w"(sums[r][3])

/// sums += a * panel over `groups` of 16 bytes of depth, for four rows and four columns.
ALWAYS_INLINE void accumulate_in_order(int32x4_t sums[SQUARE][SQUARE], const int8_t *a, const int8_t *panel,
                                       size_t groups) {
    ASSUME(groups > 0);
    int8x16_t x0, x1, x2, x3, w0, w1, w2, w3, p0, p1, p2, p3, p4, p5, p6, p7;
    const void *next;
    uint64_t t, u;
    __asm__ volatile(
        LOAD_LOW(x1, "%[a]", ROW(1)) LOAD_HIGH(t, "%[a]", HIGH_ROW(1)) INSERT(x1, t)
        LOAD_LOW(w1, "%[panel]", "#16") LOAD_HIGH(t, "%[panel]", "#24") INSERT(w1, t)
        LOAD_LOW(w0, "%[panel]", "#0") LOAD_HIGH(t, "%[panel]", "#8") INSERT(w0, t)
        LOAD_LOW(w2, "%[panel]", "#32") LOAD_HIGH(t, "%[panel]", "#40") INSERT(w2, t)
        LOAD_LOW(w3, "%[panel]", "#48") LOAD_HIGH(t, "%[panel]", "#56") INSERT(w3, t)
        LOAD_LOW(x0, "%[a]", ROW(0)) LOAD_HIGH(t, "%[a]", HIGH_ROW(0)) LOAD_HIGH(u, "%[a]", HIGH_ROW(2))
        "1:\n"
        // Three products in a line. x0 and x2 hold products where they are not needed. The last group loads what it
        // has again, for nothing that lies behind may be read.
        LOAD_LOW(x2, "%[a]", ROW(2)) INSERT(x0, t) MULTIPLY(p3, x1, w2)
        LOAD_HIGH(t, "%[a]", HIGH_ROW(3)) MULTIPLY(p4, x1, w1) MULTIPLY(p0, x0, w0)
        LOAD_LOW(x3, "%[a]", ROW(3)) INSERT(x2, u) ADD_HIGH(p3, x1, w2)
        MULTIPLY(p5, x0, w1) MULTIPLY(p7, x0, w2)
        "add %[next], %[a], #16\n" MULTIPLY(p1, x0, w3)
        "subs %[groups], %[groups], #1\n" MULTIPLY(p6, x1, w0) ADD_HIGH(p5, x0, w1)
        "csel %[a], %[a], %[next], eq\n" ADD_HIGH(p4, x1, w1)
        "add %[next], %[panel], #128\n" ADD_HIGH(p7, x0, w2) MULTIPLY(p2, x2, w0)
        "csel %[panel], %[panel], %[next], eq\n" SUM(1, 2, p3)
        ADD_HIGH(p0, x0, w0) ADD_HIGH(p6, x1, w0)
        MULTIPLY(p3, x2, w1)
        ADD_HIGH(p1, x0, w3) MULTIPLY(x0, x2, w2)
        SUM(1, 1, p4)
        SUM(0, 2, p7) MULTIPLY(p4, x2, w3)
        ADD_HIGH(p2, x2, w0)
        ADD_HIGH(p3, x2, w1) SUM(1, 0, p6)
        MULTIPLY(p6, x1, w3)
        ADD_HIGH(x0, x2, w2) ADD_HIGH(p4, x2, w3)
        INSERT(x3, t) SUM(0, 1, p5)
        LOAD_HIGH(u, "%[a]", HIGH_ROW(1)) ADD_HIGH(p6, x1, w3) MULTIPLY(x2, x3, w1)
        LOAD_LOW(x1, "%[a]", ROW(1)) MULTIPLY(p7, x3, w0)
        LOAD_HIGH(t, "%[panel]", "#24") MULTIPLY(p5, x3, w2) ADD_HIGH(x2, x3, w1)
        LOAD_LOW(w1, "%[panel]", "#16") INSERT(x1, u) SUM(0, 0, p0)
        LOAD_HIGH(u, "%[panel]", "#8") ADD_HIGH(p7, x3, w0) MULTIPLY(p0, x3, w3)
        LOAD_LOW(w0, "%[panel]", "#0") INSERT(w1, t) SUM(0, 3, p1)
        LOAD_HIGH(t, "%[panel]", "#40") ADD_HIGH(p5, x3, w2) ADD_HIGH(p0, x3, w3)
        LOAD_LOW(w2, "%[panel]", "#32") INSERT(w0, u) SUM(1, 3, p6)
        LOAD_HIGH(u, "%[panel]", "#56") SUM(2, 0, p2) SUM(2, 1, p3)
        LOAD_LOW(w3, "%[panel]", "#48") INSERT(w2, t) SUM(2, 2, x0)
        LOAD_HIGH(t, "%[a]", HIGH_ROW(0)) SUM(2, 3, p4) SUM(3, 0, p7)
        LOAD_LOW(x0, "%[a]", ROW(0)) INSERT(w3, u) SUM(3, 1, x2)
        LOAD_HIGH(u, "%[a]", HIGH_ROW(2)) SUM(3, 2, p5) SUM(3, 3, p0)
        "b.ne 1b\n"
        : [a] "+r"(a), [panel] "+r"(panel), [groups] "+r"(groups), [next] "=&r"(next), [t] "=&r"(t),
          [u] "=&r"(u), [x0] "=&w"(x0), [x1] "=&w"(x1), [x2] "=&w"(x2), [x3] "=&w"(x3), [w0] "=&w"(w0),
          [w1] "=&w"(w1), [w2] "=&w"(w2), [w3] "=&w"(w3), [p0] "=&w"(p0), [p1] "=&w"(p1), [p2] "=&w"(p2),
          [p3] "=&w"(p3), [p4] "=&w"(p4), [p5] "=&w"(p5), [p6] "=&w"(p6), [p7] "=&w"(p7),
          SUMS_OF_ROW(0), SUMS_OF_ROW(1), SUMS_OF_ROW(2), SUMS_OF_ROW(3)
        : ROW_OFFSETS(0), ROW_OFFSETS(1), ROW_OFFSETS(2), ROW_OFFSETS(3)
        : "cc", "memory");
}

/// `rows` x 4 sums from `column` on.
ALWAYS_INLINE void accumulate(const struct tile_i8 *tile, size_t column, const size_t rows) {
    // Asked before the sums exist: a call leaves half of the registers to nobody.
    bool in_order = rows == SQUARE && tile->depth_groups > 0 && core_runs_in_order();
    int32x4_t sums[SQUARE][SQUARE];
    UNROLL
    for (size_t i = 0; i < rows * SQUARE; i++) {
        sums[i / SQUARE][i % SQUARE] = vdupq_n_s32(0);
    }

    const int8_t *a = tile->a, *panel = tile->panel + column * DEPTH_GROUP;
    size_t groups = tile->depth_groups;
    if (in_order) {
        accumulate_in_order(sums, a, panel, groups);
        groups = 0;
    }
    for (const int8_t *end = a + groups * DEPTH_GROUP; a < end;
         a += DEPTH_GROUP, panel += TILE_COLUMNS * DEPTH_GROUP) {
        int8x16_t weight[SQUARE];
        UNROLL
        for (size_t c = 0; c < SQUARE; c++) {
            weight[c] = vld1q_s8(panel + c * DEPTH_GROUP);
        }
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            int8x16_t x = vld1q_s8(a + r * GATHERED_STRIDE);
            int16x8_t products[SQUARE];
            UNROLL
            for (size_t c = 0; c < SQUARE; c++) {
                products[c] = vmull_s8(vget_low_s8(x), vget_low_s8(weight[c]));
            }
            UNROLL
            for (size_t c = 0; c < SQUARE; c++) {
                products[c] = vmlal_high_s8(products[c], x, weight[c]);
            }
            UNROLL
            for (size_t c = 0; c < SQUARE; c++) {
                sums[r][c] = vpadalq_s16(sums[r][c], products[c]);
            }
        }
    }

    UNROLL
    for (size_t r = 0; r < rows; r++) {
        int32x4_t total = vpaddq_s32(vpaddq_s32(sums[r][0], sums[r][1]),
                                     vpaddq_s32(sums[r][2], sums[r][3]));
        total = vaddq_s32(total, vld1q_s32(tile->from + r * tile->from_stride + column));
        vst1q_s32(tile->sums + r * TILE_COLUMNS + column, total);
    }
}

/// Squares of which no column is wanted are left as they are.
static void tile_sums(const struct tile_i8 *tile, size_t rows, size_t columns) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    for (size_t column = 0; column < columns; column += SQUARE) {
        switch (rows) {
            case 1: accumulate(tile, column, 1); break;
            case 2: accumulate(tile, column, 2); break;
            case 3: accumulate(tile, column, 3); break;
            default: accumulate(tile, column, 4); break;
        }
    }
}

#include "../shared/gemm_i8_body.h"

const struct gemm_i8_kernels gemm_i8_neon = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .depth_group = DEPTH_GROUP,
    .pack_panel = pack_panel,
    .gemm = gemm_i8,
    .conv2d = conv2d_i8,
};

/// The tile's three instructions on register operands alone.
size_t peak_i8_neon(size_t rounds, int32_t *result) {
    ASSUME(rounds > 0);
    ASSUME(result);
    enum { CHAINS = 8, STEPS = 256 };
    int32x4_t sums[CHAINS];
    int8x16_t a = vdupq_n_s8((int8_t)*result), b = vdupq_n_s8(3);
    for (size_t i = 0; i < CHAINS; i++) {
        sums[i] = vdupq_n_s32((int32_t)i);
    }
    for (size_t round = 0; round < rounds * STEPS; round++) {
        UNROLL
        for (size_t i = 0; i < CHAINS; i++) {
            // Hides from the compiler that the factors are always the same.
            __asm__("" : "+w"(a));
            int16x8_t products = vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b);
            sums[i] = vpadalq_s16(sums[i], products);
        }
    }
    for (size_t i = 0; i < CHAINS; i++) {
        *result += vgetq_lane_s32(sums[i], 0);
    }
    return rounds * STEPS * CHAINS * 16 * 2;
}

#include "../isa_end.h"
#endif
