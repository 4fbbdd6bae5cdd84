// What shared/gemm_f32_body.h asks of a level's register-tile kernel. The level's file defines
// TILE_ROWS, TILE_COLUMNS, DEPTH_BLOCK, DEPTH_LONGEST (multiples of 16), PANEL_GROUP, STREAMED_GROUP (0 where the
// kernel does not ask for `ahead`) and BLOCK before it includes this, and after it
//
//     static void tile_product(const struct tile_f32 *tile, size_t rows, size_t columns);
//     static void tile_product_blocked(const struct tile_f32 *tile, size_t rows, size_t columns);
//
// for a left operand whose rows are gathered whole, and for one in blocks of depth, [blocks, TILE_ROWS, BLOCK]:
// for operands too deep to be gathered. BLOCK is a multiple of LANES: a line of the cache where a row's elements
// are broadcast one by one, a vector where they are loaded as such, so that rows can be loaded in pairs.
#include "epilogue_f32_body.h"

/// Floats of a panel between what is multiplied and what is asked of memory: panels are read once for many
/// rows, so the first tile of rows would wait for each of their lines. (Measured: with 4 or 8 KiB products of
/// 64 and 77 rows over weights that no cache holds run at 88 to 92 % of peak, without at 70 to 80 %. An encoder of
/// 128 tokens takes .97 to .99 of the time with 4 that it takes with 8.)
enum { PREFETCH_AHEAD = 1024 };

enum {
    /// Floats from row to row of a gathered tile: some slack, so that copies of short runs may
    /// store whole vectors, and so that rows do not all fall into the same sets of the cache.
    GATHERED_STRIDE = DEPTH_LONGEST + 16,
};

/// How much depth follows in one piece, and what lies between it and the next piece.
ALWAYS_INLINE size_t tile_run(size_t left, const size_t row_stride) {
    return row_stride == BLOCK && left > BLOCK ? BLOCK : left;
}

ALWAYS_INLINE size_t tile_gap(const size_t row_stride) {
    return row_stride == BLOCK ? (TILE_ROWS - 1) * BLOCK : 0;
}

/// Asks memory for a later block of a left operand in blocks.
ALWAYS_INLINE void tile_ask_ahead(const float *a, const size_t rows) {
    enum { BLOCKS_AHEAD = 4 };
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        __builtin_prefetch(a + (BLOCKS_AHEAD * TILE_ROWS + r) * BLOCK);
    }
}

/// One register tile over one block of depth:
///
///     to[r, c] = finish(from[r, c] + sum over d of a[r, d] * panel[d, c])
///
/// from NULL stands for zeros; `to` may equal `from`. Columns past those that are wanted may be
/// computed too: memory for all TILE_COLUMNS is there.
struct tile_f32 {
    const float *a;      // [rows, GATHERED_STRIDE] or [blocks of depth, TILE_ROWS, BLOCK]
    const float *panel;  // [depth, TILE_COLUMNS]
    const float *from;   // [rows, from_stride] or NULL
    float *to;           // [rows, to_stride]
    size_t from_stride, to_stride;
    size_t depth;
    const float *ahead;  // what is asked of memory meanwhile, from where on, or NULL
    size_t ahead_step;   // and how much of it in a step of depth
    bool is_far;  // whether the blocks of the left operand should be asked for ahead
    // Those epilogues that registers are enough for: bias, residual, then none, relu or relu6.
    const float *bias;      // [TILE_COLUMNS] or NULL
    const float *residual;  // [rows, residual_stride] or NULL; may equal to
    size_t residual_stride;
    enum activation activation;
};
