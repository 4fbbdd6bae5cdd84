// The integer register tile of x86 levels, whose instructions multiply four bytes of the left operand, the
// same in every lane, with four of each column. The level's file defines, before it includes this,
// VECTOR_BYTES and, after gemm_i8_tile.h,
//
//     ALWAYS_INLINE ivec dot(ivec sum, ivec x, ivec weight);   // four products a lane, added
//     ALWAYS_INLINE ivec dot_words(ivec sum, ivec x, ivec weight);  // two products of 16 bits, modulo 2^32
//
// The tile has two vectors of columns.

enum { VECTOR_LANES = VECTOR_BYTES / 4, VECTOR_LINES = VECTOR_BYTES / 32 };
enum { STRIDES = 1, PATCHES = 1, PREFETCHES_RESULT = 1 };

/// `rows` x `vectors` accumulators; both are constants where this is inlined, the loops over them vanish
/// and the sums live in registers. `of_words`: the four bytes of a group are two words.
ALWAYS_INLINE void accumulate(const struct tile_i8 *tile, const size_t rows, const size_t vectors,
                              const bool of_words) {
    ivec sums[TILE_ROWS][2];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            const int32_t *from = tile->from + r * tile->from_stride + v * VECTOR_LANES;
            sums[r][v] = *(const ivec_anywhere *)from;
        }
    }

    // An address has a register and a register's simple multiple: each pointer serves three rows.
    const int8_t *panel = tile->panel;
    size_t stride = tile->row_stride;
    for (size_t run = 0; run < tile->runs; run++) {
        const int8_t *a[(TILE_ROWS + 2) / 3];
        UNROLL
        for (size_t r = 0; r < rows; r += 3) {
            a[r / 3] = tile->a + run * tile->run_stride + r * stride;
        }
        for (size_t group = 0; group < tile->depth_groups; group++) {
            UNROLL
            for (size_t line = 0; line < VECTOR_LINES; line++) {
                __builtin_prefetch(panel + PREFETCH_AHEAD + line * LINE);
            }
            ivec weight[2];
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                weight[v] = *(const ivec_anywhere *)(panel + v * VECTOR_BYTES);
            }
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                ivec x = (ivec){0} + four_bytes(a[r / 3] + r % 3 * stride);
                UNROLL
                for (size_t v = 0; v < vectors; v++) {
                    sums[r][v] = of_words ? dot_words(sums[r][v], x, weight[v]) : dot(sums[r][v], x, weight[v]);
                }
            }
            UNROLL
            for (size_t r = 0; r < rows; r += 3) {
                a[r / 3] += DEPTH_GROUP;
            }
            panel += TILE_COLUMNS * DEPTH_GROUP;
        }
    }

    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            *(ivec_anywhere *)(tile->sums + r * TILE_COLUMNS + v * VECTOR_LANES) = sums[r][v];
        }
    }
}

ALWAYS_INLINE void accumulate_rows(const struct tile_i8 *tile, size_t rows, const size_t vectors,
                                   const bool of_words) {
    switch (rows) {
// A tile of fewer rows has fewer cases: the others vanish.
#define CASE(count)                                                        \
    case count:                                                            \
        accumulate(tile, count < TILE_ROWS ? count : 1, vectors, of_words); \
        return;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
        CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13)
#undef CASE
        default: accumulate(tile, TILE_ROWS, vectors, of_words); return;
    }
}

/// Where one vector has all wanted columns the others are left as they are.
static void tile_sums(const struct tile_i8 *tile, size_t rows, size_t columns) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    if (rows == TILE_ROWS && columns > VECTOR_LANES) {
        accumulate(tile, TILE_ROWS, 2, false);
    } else if (rows == TILE_ROWS) {
        accumulate(tile, TILE_ROWS, 1, false);
    } else if (columns > VECTOR_LANES) {
        accumulate_rows(tile, rows, 2, false);
    } else {
        accumulate_rows(tile, rows, 1, false);
    }
}

/// As `tile_sums`, of products of words, for all columns.
static void tile_sums_of_words(const struct tile_i8 *tile, size_t rows) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    if (rows == TILE_ROWS) {
        accumulate(tile, TILE_ROWS, 2, true);
    } else {
        accumulate_rows(tile, rows, 2, true);
    }
}

#include "gemm_i8_body.h"
#include "conv2d_i8_few.h"
#include "winograd_i8_x86_body.h"

/// Each row for this level's products (see quantize_rows_i8_fn).
static __attribute__((unused)) void quantize_rows_unsigned(int8_t *y, const float *x, size_t rows,
                                                           size_t columns) {
    quantize_rows(y, x, rows, columns, SIGN_OFFSET != 0);
}

/// Multiply-adds of register operands alone, as many chains as hide the latency.
static size_t peak_i8(size_t rounds, int32_t *result) {
    ASSUME(rounds > 0);
    ASSUME(result);
    enum { CHAINS = 12, STEPS = 256 };
    ivec sums[CHAINS], a = (ivec){0} + *result, b = (ivec){0} + 0x01020304;
    UNROLL
    for (size_t i = 0; i < CHAINS; i++) {
        sums[i] = (ivec){0} + (int32_t)i;
    }
    for (size_t round = 0; round < rounds * STEPS; round++) {
        UNROLL
        for (size_t i = 0; i < CHAINS; i++) {
            // Products of the same factors must not leave the loop.
            __asm__("" : "+x"(b));
            sums[i] = dot(sums[i], a, b);
        }
    }
    UNROLL
    for (size_t i = 0; i < CHAINS; i++) {
        *result += sums[i][0];
    }
    return rounds * STEPS * CHAINS * VECTOR_LANES * 4 * 2;
}
