// What shared/gemm_i8_body.h asks of a level's integer register tile. The level's file defines
// TILE_ROWS, TILE_COLUMNS, DEPTH_GROUP, DEPTH_BLOCK, DEPTH_LONGEST (multiples of 64), PANEL_GROUP,
// SIGN_OFFSET, STRIDES, PATCHES and PREFETCHES_RESULT before it includes this, and after it
//
//     static void tile_sums(const struct tile_i8 *tile, size_t rows, size_t columns);
//
// PREFETCHES_RESULT: whether the result's lines are asked of memory before they are written: not where a tile's
// row is a line, which is written whole.
// STRIDES, PATCHES: whether tile_sums takes any stride of rows, and runs (see tile_i8), 1 or 0.
// SIGN_OFFSET is what the level adds to each number of the left operand to have it unsigned, 128 or 0.

enum {
    /// Bytes from row to row of a gathered tile: some slack, so that copies of short runs may store
    /// whole vectors, and so that rows do not all fall into the same sets of the cache.
    GATHERED_STRIDE = DEPTH_LONGEST + 64,
    LINE = 64,
    /// Bytes of a panel between what is multiplied and what is asked of memory (see gemm_f32_tile.h).
    PREFETCH_AHEAD = 8192,
};

/// One register tile over one block of depth: sums[r, c] = from[r, c] + sum over d of a[r, d] * weight[c, d].
///
/// Levels that have PATCHES take the depth in `runs` runs of depth_groups each, which lie run_stride bytes
/// from each other; the others have one run. Rows are row_stride bytes apart, GATHERED_STRIDE without STRIDES.
struct tile_i8 {
    const int8_t *a;      // [runs, rows, depth_groups * DEPTH_GROUP], SIGN_OFFSET added
    const int8_t *panel;  // [runs * depth_groups, TILE_COLUMNS, DEPTH_GROUP]
    int32_t *sums;        // [TILE_ROWS, TILE_COLUMNS]
    const int32_t *from;  // as sums, which it may be, from_stride apart: 0 where all rows begin alike
    size_t from_stride;
    size_t row_stride, run_stride;
    size_t runs, depth_groups;
};

/// Four bytes of the left operand.
ALWAYS_INLINE int32_t four_bytes(const int8_t *a) {
    int32_t word;
    memcpy(&word, a, sizeof word);
    return word;
}
