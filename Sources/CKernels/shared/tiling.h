// How products are cut into pieces, over a level's TILE_ROWS, DEPTH_BLOCK and DEPTH_LONGEST.
#ifndef PIPIT_TILING_H
#define PIPIT_TILING_H

struct range {
    size_t begin, end;
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/// Part `index` of a range cut into `count` parts that differ by one at most.
static struct range part(struct range whole, size_t index, size_t count) {
    size_t length = whole.end - whole.begin;
    return (struct range){whole.begin + index * length / count,
                          whole.begin + (index + 1) * length / count};
}

static size_t parts(struct range whole, size_t longest) {
    return (whole.end - whole.begin + longest - 1) / longest;
}

/// Tile `index` of `count` that cover some rows: all are whole but the last two, which share what
/// is left, for a tile of few rows takes as long as one of several.
static struct range tile_rows(struct range rows, size_t index, size_t count) {
    size_t begin = rows.begin + index * TILE_ROWS;
    if (index + 2 < count) {
        return (struct range){begin, begin + TILE_ROWS};
    }
    size_t sharing = smaller(count, 2);
    struct range rest = {rows.begin + (count - sharing) * TILE_ROWS, rows.end};
    return part(rest, index + sharing - count, sharing);
}

/// The length of depth blocks: all of it if that may be, else equal parts so that none is much too
/// short. It must depend on depth alone, lest results depend on how work is split.
static __attribute__((unused)) size_t depth_block(size_t depth) {
    if (depth <= DEPTH_LONGEST) {
        return depth;
    }
    size_t blocks = (depth + DEPTH_BLOCK - 1) / DEPTH_BLOCK;
    return ((depth + blocks - 1) / blocks + 15) / 16 * 16;
}

#endif
