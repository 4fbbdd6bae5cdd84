// The inner loops of register tiles of 6 x 16, and of 4 x 16, in assembly: with all 32 registers in use compilers
// spill some of them, and put loads where they are used.
//
// A step of depth is four bytes of each row and column: a float, or four bytes that `sdot` multiplies
// and adds. The level's file defines before it includes this the type `sums_of_four` and MULTIPLY, the
// instruction. All loops add in the same order, so that which core computes what does not change a bit.

#define SUMS_OF_2_ROWS(s)                                                              \
    [s00] "+w"(s[0][0]), [s01] "+w"(s[0][1]), [s02] "+w"(s[0][2]), [s03] "+w"(s[0][3]), \
    [s10] "+w"(s[1][0]), [s11] "+w"(s[1][1]), [s12] "+w"(s[1][2]), [s13] "+w"(s[1][3])
#define SUMS_OF_4_ROWS(s)                                                              \
    SUMS_OF_2_ROWS(s),                                                                 \
    [s20] "+w"(s[2][0]), [s21] "+w"(s[2][1]), [s22] "+w"(s[2][2]), [s23] "+w"(s[2][3]), \
    [s30] "+w"(s[3][0]), [s31] "+w"(s[3][1]), [s32] "+w"(s[3][2]), [s33] "+w"(s[3][3])
#define SUMS_OF_5_ROWS(s)                                                              \
    SUMS_OF_4_ROWS(s),                                                                 \
    [s40] "+w"(s[4][0]), [s41] "+w"(s[4][1]), [s42] "+w"(s[4][2]), [s43] "+w"(s[4][3])
#define SUMS(s)                                                                        \
    SUMS_OF_5_ROWS(s),                                                                 \
    [s50] "+w"(s[5][0]), [s51] "+w"(s[5][1]), [s52] "+w"(s[5][2]), [s53] "+w"(s[5][3])
/// Bytes from the first row of the left operand to the others; no immediates, as without optimization no
/// argument is a constant.
#define ROWS(stride)                                                        \
    [row1] "r"(stride), [row2] "r"(2 * (stride)), [row3] "r"(3 * (stride)), \
    [row4] "r"(4 * (stride)), [row5] "r"(5 * (stride))
#define ROW(index) "%[row" #index "]"

// For cores that reorder instructions (Cortex-A72, A76): as few as possible, 222 for eight steps of depth, of
// which 192 multiply. A vector of the left operand holds four steps of depth of a row; weights come two
// vectors at a time.

#define MULTIPLY_ROWS_2(column, weight, lane)                                     \
    MULTIPLY(0, column, weight, x0, lane) MULTIPLY(1, column, weight, x1, lane)
#define MULTIPLY_ROWS_4(column, weight, lane)                                     \
    MULTIPLY_ROWS_2(column, weight, lane)                                         \
    MULTIPLY(2, column, weight, x2, lane) MULTIPLY(3, column, weight, x3, lane)
#define MULTIPLY_ROWS_5(column, weight, lane)                                     \
    MULTIPLY_ROWS_4(column, weight, lane) MULTIPLY(4, column, weight, x4, lane)
#define MULTIPLY_ROWS_6(column, weight, lane)                                     \
    MULTIPLY_ROWS_5(column, weight, lane) MULTIPLY(5, column, weight, x5, lane)
#define STEP(rows, lane, first, second)                                           \
    "ldp %q[w0], %q[w1], " first "\n"                                             \
    MULTIPLY_ROWS_##rows(0, w0, lane) MULTIPLY_ROWS_##rows(1, w1, lane)           \
    "ldp %q[w0], %q[w1], " second "\n"                                            \
    MULTIPLY_ROWS_##rows(2, w0, lane) MULTIPLY_ROWS_##rows(3, w1, lane)
#define LOAD_ROWS_4                                                               \
    "ldr %q[x1], [%[a], " ROW(1) "]\n"                                            \
    "ldr %q[x2], [%[a], " ROW(2) "]\n"                                            \
    "ldr %q[x3], [%[a], " ROW(3) "]\n"                                            \
    "ldr %q[x0], [%[a]], #16\n"
#define LOAD_ROWS_6                                                               \
    "ldr %q[x4], [%[a], " ROW(4) "]\n"                                            \
    "ldr %q[x5], [%[a], " ROW(5) "]\n"                                            \
    LOAD_ROWS_4

/// As above, of vectors one behind the other, 6 x 16 bytes for each four steps.
#define LOAD_BLOCK_2 "ldp %q[x0], %q[x1], [%[a]], #96\n"
#define LOAD_BLOCK_4                                                              \
    "ldp %q[x0], %q[x1], [%[a]], #96\n"                                           \
    "ldp %q[x2], %q[x3], [%[a], #-64]\n"
#define LOAD_BLOCK_5 LOAD_BLOCK_4 "ldr %q[x4], [%[a], #-32]\n"
#define LOAD_BLOCK_6 LOAD_BLOCK_4 "ldp %q[x4], %q[x5], [%[a], #-32]\n"

/// Four steps of depth. The first load of weights moves on to the next ones.
#define FOUR_STEPS(rows, load)                                                    \
    load                                                                          \
    STEP(rows, 0, "[%[panel]], #256", "[%[panel], #-224]")                        \
    STEP(rows, 1, "[%[panel], #-192]", "[%[panel], #-160]")                       \
    STEP(rows, 2, "[%[panel], #-128]", "[%[panel], #-96]")                        \
    STEP(rows, 3, "[%[panel], #-64]", "[%[panel], #-32]")
#define ALL_STEPS(rows, load)                                                     \
    "tbz %[fours], #0, 1f\n" FOUR_STEPS(rows, load)                               \
    "cbz %[eights], 2f\n"                                                         \
    "1:\n" FOUR_STEPS(rows, load) FOUR_STEPS(rows, load)                          \
    "subs %[eights], %[eights], #1\n"                                             \
    "b.ne 1b\n"                                                                   \
    "2:\n"

/// sums += a[., d] * panel[d] over 4 * `fours` steps of depth; row_stride in bytes. `rows` is TILE_ROWS, or 4:
/// what is left of rows is cut into tiles of about as many (see `tile_rows`).
ALWAYS_INLINE void accumulate_fours(sums_of_four sums[TILE_ROWS][4], const void *a, const void *panel,
                                    size_t fours, const size_t row_stride, const size_t rows) {
    ASSUME(fours > 0);
    uint8x16_t x0, x1, x2, x3, x4, x5, w0, w1;
    size_t eights = fours / 2;
    if (rows == 4) {
        __asm__ volatile(ALL_STEPS(4, LOAD_ROWS_4)
            : [a] "+r"(a), [panel] "+r"(panel), [eights] "+r"(eights), [x0] "=&w"(x0), [x1] "=&w"(x1),
              [x2] "=&w"(x2), [x3] "=&w"(x3), [w0] "=&w"(w0), [w1] "=&w"(w1), SUMS_OF_4_ROWS(sums)
            : [fours] "r"(fours), ROWS(row_stride)
            : "cc", "memory");
        return;
    }
    __asm__ volatile(ALL_STEPS(6, LOAD_ROWS_6)
        : [a] "+r"(a), [panel] "+r"(panel), [eights] "+r"(eights), [x0] "=&w"(x0), [x1] "=&w"(x1),
          [x2] "=&w"(x2), [x3] "=&w"(x3), [x4] "=&w"(x4), [x5] "=&w"(x5), [w0] "=&w"(w0),
          [w1] "=&w"(w1), SUMS(sums)
        : [fours] "r"(fours), ROWS(row_stride)
        : "cc", "memory");
}

/// As `accumulate_fours`, over a left operand of [blocks of four steps, 6, 4 steps], for 2, 4, 5 or 6 rows of it.
ALWAYS_INLINE void accumulate_fours_of_blocks(sums_of_four sums[TILE_ROWS][4], const void *a,
                                              const void *panel, size_t fours, const size_t rows) {
    ASSUME(fours > 0);
    uint8x16_t x0, x1, x2, x3, x4, x5, w0, w1;
    size_t eights = fours / 2;
#define WORK_OF_2                                                                                \
    [a] "+r"(a), [panel] "+r"(panel), [eights] "+r"(eights), [x0] "=&w"(x0), [x1] "=&w"(x1),     \
        [w0] "=&w"(w0), [w1] "=&w"(w1)
#define WORK WORK_OF_2, [x2] "=&w"(x2), [x3] "=&w"(x3)
    if (rows == 2) {
        __asm__ volatile(ALL_STEPS(2, LOAD_BLOCK_2)
            : WORK_OF_2, SUMS_OF_2_ROWS(sums) : [fours] "r"(fours) : "cc", "memory");
    } else if (rows == 4) {
        __asm__ volatile(ALL_STEPS(4, LOAD_BLOCK_4)
            : WORK, SUMS_OF_4_ROWS(sums) : [fours] "r"(fours) : "cc", "memory");
    } else if (rows == 5) {
        __asm__ volatile(ALL_STEPS(5, LOAD_BLOCK_5)
            : WORK, [x4] "=&w"(x4), SUMS_OF_5_ROWS(sums) : [fours] "r"(fours) : "cc", "memory");
    } else {
        __asm__ volatile(ALL_STEPS(6, LOAD_BLOCK_6)
            : WORK, [x4] "=&w"(x4), [x5] "=&w"(x5), SUMS(sums) : [fours] "r"(fours) : "cc", "memory");
    }
#undef WORK
#undef WORK_OF_2
}

// For cores that execute in order (Cortex-A53, A55). Such a core starts two instructions a cycle, as they
// come, and waits with all that follows for the first operand that is not there. As others measured it
// (ncnn's notes on dual issue):
//   - A multiply-add of a whole vector can start with a load to a general register or with integer
//     arithmetic, not with a load to a vector register, which a 128-bit one blocks for two cycles.
//   - A load of half a vector can start with an insertion into another vector.
//   - A vector load should follow three multiply-adds: it collides with those four cycles before it.
//
// So a vector's low half is loaded as such, its high half by way of a general register and inserted
// beside the next vector's load, in slots that are three multiply-adds apart, and all of it long before
// its use. After a slot that is left out the next load would wait: slots follow each other, then come the
// multiply-adds that need none.
//
// Two steps take 48 multiply-adds, 11 slots with a load and one to begin with: 60 cycles by these rules. Left
// operands come in pairs of rows: x0 holds rows 0 and 1 of both steps. The order of the multiply-adds, in which
// eight registers are enough for what is loaded so early, was found by a search.

/// The low half of a vector, and into a general register its high half.
#define LOAD_LOW(vector, base, offset) "ldr %d[" #vector "], [" base ", " offset "]\n"
#define LOAD_HIGH(half, base, offset) "ldr %[" #half "], [" base ", " offset "]\n"
#define INSERT(vector, half) "ins %[" #vector "].d[1], %[" #half "]\n"

/// sums += a[., d] * panel[d] over `pairs` pairs of steps. From one to the next a advances by eight bytes;
/// past a block of 16 bytes also by `gap`.
ALWAYS_INLINE void accumulate_pairs(sums_of_four sums[TILE_ROWS][4], const void *a, const void *panel,
                                       size_t pairs, const size_t row_stride, const size_t gap) {
    ASSUME(pairs > 0);
    uint8x16_t x0, x1, x2, w0, w1, w2, w3, w4;
    const void *next_a, *next_panel;
    uint64_t t, u;
    __asm__ volatile(
        LOAD_LOW(w3, "%[panel]", "#48") LOAD_HIGH(t, "%[panel]", "#56") INSERT(w3, t)
        LOAD_LOW(w2, "%[panel]", "#32") LOAD_HIGH(t, "%[panel]", "#40") INSERT(w2, t)
        LOAD_LOW(w1, "%[panel]", "#16") LOAD_HIGH(t, "%[panel]", "#24") INSERT(w1, t)
        LOAD_LOW(x1, "%[a]", ROW(2)) LOAD_HIGH(t, "%[a]", ROW(3)) INSERT(x1, t)
        LOAD_LOW(x0, "%[a]", "#0") LOAD_HIGH(t, "%[a]", ROW(1))
        LOAD_HIGH(u, "%[a]", ROW(5))
        "1:\n"
        // Columns 8-15 of the first step.
        MULTIPLY(2, 2, w2, x1, 0)
        LOAD_LOW(x2, "%[a]", ROW(4)) INSERT(x0, t) MULTIPLY(3, 3, w3, x1, 2)
        LOAD_HIGH(t, "%[panel]", "#8") MULTIPLY(2, 3, w3, x1, 0) MULTIPLY(1, 3, w3, x0, 2)
        LOAD_LOW(w0, "%[panel]", "#0") INSERT(x2, u) MULTIPLY(3, 2, w2, x1, 2)
        LOAD_HIGH(u, "%[panel]", "#120") MULTIPLY(0, 3, w3, x0, 0) MULTIPLY(4, 2, w2, x2, 0)
        LOAD_LOW(w4, "%[panel]", "#112") INSERT(w0, t) MULTIPLY(4, 3, w3, x2, 0)
        MULTIPLY(5, 3, w3, x2, 2) MULTIPLY(5, 2, w2, x2, 2)
        // Columns 0-7 of the first step, for which all is loaded. The last pair loads what it has again, for nothing
        // that lies behind may be read.
        "add %[next_a], %[a], #8\n" MULTIPLY(1, 2, w2, x0, 2)
        "tst %[next_a], #15\n" MULTIPLY(0, 2, w2, x0, 0) MULTIPLY(2, 0, w0, x1, 0)
        "add %[next_panel], %[next_a], %[gap]\n" MULTIPLY(3, 0, w0, x1, 2)
        "csel %[next_a], %[next_panel], %[next_a], eq\n" MULTIPLY(4, 0, w0, x2, 0) MULTIPLY(4, 1, w1, x2, 0)
        "subs %[pairs], %[pairs], #1\n" MULTIPLY(5, 0, w0, x2, 2)
        "add %[next_panel], %[panel], #128\n" MULTIPLY(5, 1, w1, x2, 2) MULTIPLY(2, 1, w1, x1, 0)
        "csel %[next_panel], %[panel], %[next_panel], eq\n" MULTIPLY(1, 1, w1, x0, 2)
        "csel %[a], %[a], %[next_a], eq\n" MULTIPLY(0, 0, w0, x0, 0) MULTIPLY(1, 0, w0, x0, 2)
        // The second step: columns 12-15, 8-11, then 0-7.
        INSERT(w4, u) MULTIPLY(0, 1, w1, x0, 0)
        LOAD_HIGH(u, "%[panel]", "#104") MULTIPLY(3, 1, w1, x1, 2) MULTIPLY(1, 3, w4, x0, 3)
        LOAD_LOW(w1, "%[panel]", "#96") MULTIPLY(2, 3, w4, x1, 1)
        LOAD_HIGH(t, "%[panel]", "#72") MULTIPLY(0, 3, w4, x0, 1) MULTIPLY(3, 3, w4, x1, 3)
        LOAD_LOW(w0, "%[panel]", "#64") INSERT(w1, u) MULTIPLY(4, 3, w4, x2, 1)
        LOAD_HIGH(u, "%[next_panel]", "#56") MULTIPLY(5, 3, w4, x2, 3) MULTIPLY(5, 2, w1, x2, 3)
        LOAD_LOW(w3, "%[next_panel]", "#48") INSERT(w0, t) MULTIPLY(4, 2, w1, x2, 1)
        LOAD_HIGH(t, "%[panel]", "#88") MULTIPLY(1, 2, w1, x0, 3) MULTIPLY(0, 2, w1, x0, 1)
        LOAD_LOW(w4, "%[panel]", "#80") INSERT(w3, u) MULTIPLY(2, 2, w1, x1, 1)
        LOAD_HIGH(u, "%[next_panel]", "#40") MULTIPLY(3, 2, w1, x1, 3) MULTIPLY(3, 0, w0, x1, 3)
        LOAD_LOW(w2, "%[next_panel]", "#32") INSERT(w4, t) MULTIPLY(1, 0, w0, x0, 3)
        LOAD_HIGH(t, "%[next_panel]", "#24") MULTIPLY(0, 0, w0, x0, 1)
        "mov %[panel], %[next_panel]\n" MULTIPLY(3, 1, w4, x1, 3)
        LOAD_LOW(w1, "%[next_panel]", "#16") INSERT(w2, u) MULTIPLY(2, 0, w0, x1, 1)
        LOAD_HIGH(u, "%[a]", ROW(3)) MULTIPLY(2, 1, w4, x1, 1) MULTIPLY(0, 1, w4, x0, 1)
        LOAD_LOW(x1, "%[a]", ROW(2)) INSERT(w1, t) MULTIPLY(1, 1, w4, x0, 3)
        LOAD_HIGH(t, "%[a]", ROW(1)) MULTIPLY(4, 1, w4, x2, 1) MULTIPLY(5, 1, w4, x2, 3)
        LOAD_LOW(x0, "%[a]", "#0") INSERT(x1, u) MULTIPLY(5, 0, w0, x2, 3)
        LOAD_HIGH(u, "%[a]", ROW(5)) MULTIPLY(4, 0, w0, x2, 1)
        "b.ne 1b\n"
        : [a] "+r"(a), [panel] "+r"(panel), [pairs] "+r"(pairs), [next_a] "=&r"(next_a),
          [next_panel] "=&r"(next_panel), [t] "=&r"(t), [u] "=&r"(u), [x0] "=&w"(x0), [x1] "=&w"(x1),
          [x2] "=&w"(x2), [w0] "=&w"(w0), [w1] "=&w"(w1), [w2] "=&w"(w2), [w3] "=&w"(w3), [w4] "=&w"(w4),
          SUMS(sums)
        : [gap] "r"(gap), ROWS(row_stride)
        : "cc", "memory");
}

#undef MULTIPLY
#undef SUMS
#undef ROWS
#undef SUMS_OF_2_ROWS
#undef SUMS_OF_4_ROWS
#undef SUMS_OF_5_ROWS
#undef MULTIPLY_ROWS_2
#undef MULTIPLY_ROWS_4
#undef MULTIPLY_ROWS_5
#undef MULTIPLY_ROWS_6
#undef STEP
#undef LOAD_ROWS_4
#undef LOAD_ROWS_6
#undef LOAD_BLOCK_2
#undef LOAD_BLOCK_4
#undef LOAD_BLOCK_5
#undef LOAD_BLOCK_6
#undef FOUR_STEPS
#undef ALL_STEPS
#undef LOAD_LOW
#undef LOAD_HIGH
#undef INSERT
#undef ROW
