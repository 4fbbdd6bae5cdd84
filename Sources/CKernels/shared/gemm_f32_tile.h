// What shared/gemm_f32_body.h asks of a level's register-tile kernel. The level's file defines
// TILE_ROWS, TILE_COLUMNS, DEPTH_BLOCK, DEPTH_LONGEST (multiples of 16) and PANEL_GROUP before it
// includes this, and after it
//
//     static void tile_product(const struct tile_f32 *tile, size_t rows, size_t columns);
#include "epilogue_f32_body.h"

/// For loops over a tile's rows and vectors, whose counts are constants.
#define UNROLL _Pragma("clang loop unroll(full)")

enum {
    /// Floats from row to row of a gathered tile: some slack, so that copies of short runs may
    /// store whole vectors, and so that rows do not all fall into the same sets of the cache.
    GATHERED_STRIDE = DEPTH_LONGEST + 16,
};

/// One register tile over one block of depth:
///
///     to[r, c] = finish(from[r, c] + sum over d of a[r, d] * panel[d, c])
///
/// from NULL stands for zeros; `to` may equal `from`. Columns past those that are wanted may be
/// computed too: memory for all TILE_COLUMNS is there.
struct tile_f32 {
    const float *a;      // [rows, GATHERED_STRIDE]
    const float *panel;  // [depth, TILE_COLUMNS]
    const float *from;   // [rows, from_stride] or NULL
    float *to;           // [rows, to_stride]
    size_t from_stride, to_stride;
    size_t depth;
    // Those epilogues that registers are enough for: bias, residual, then none, relu or relu6.
    const float *bias;      // [TILE_COLUMNS] or NULL
    const float *residual;  // [rows, residual_stride] or NULL; may equal to
    size_t residual_stride;
    enum activation activation;
};
