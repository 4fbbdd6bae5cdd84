// Convolution by minimal filtering over a level's register tile: F(6x6, 3x3), F(4x4, 3x3) and F(3x3, 3x3) and what
// lies between them, F(4x4, 2x2) of enlarged images, F(4x4, 4x4) of shallow ones with large kernels.
//
// A tile of the image is brought to some points of evaluation a channel, the filter too; there convolution is one
// product of matrices for each point, [tiles, channels] x [channels, columns]; the result is brought back to the
// tile's pixels: see winograd_lines.h. Tiles of two sizes cover an image: the points of the small ones are among
// those of the large ones, so that their products have the filters in common. A point's tiles follow each
// other, for the tiles' numbers are in that order (see `winograd_tiles`).
//
// A panel's filters are transformed when its turn comes and forgotten: stored they would take four
// times the weights' memory, and for tiles enough the transformation is a few percent of the work. What of them is
// transformed at a time, some channels of two rows of points, stays in the second-level cache until the products
// have read it; sums go on where the channels before have left them. The weights that are transformed next are asked of
// memory while products run. Where tiles are few, and weights most of what is read, all phases of an enlarged image are
// computed together, so that they read them once; and where they are very few, filters are transformed in registers
// (winograd_few.h).

enum {
    LINE = 64 / sizeof(float),  // of the cache
    /// Floats of filters at a time: 512 KiB. (Measured on x86 with 1 MiB of second-level cache, with the left operand's
    /// prefetches: 1920 channels of 16 x 16 pixels take 0.6 of the time that all of them at once take.)
    WINOGRAD_FILTERS = 512 * 1024 / sizeof(float),
    /// The same where all tiles are one tile of rows, where weights are asked for ahead: what is transformed and what
    /// has been asked for fit together. (1280 channels of 8 x 8 pixels take 0.83 of the time that 512 KiB take.)
    WINOGRAD_FILTERS_OF_FEW = STREAMED_GROUP > 0 ? 96 * 1024 / sizeof(float) : WINOGRAD_FILTERS,
    /// Floats of inputs that are not asked for ahead: 2 MiB. (Beyond, x86 takes 0.6 to 1 of the time with it.)
    WINOGRAD_NEAR = 2 * 1024 * 1024 / sizeof(float),
};

/// What one pass over the tiles computes: all of the output, or one phase of an enlarged one.
struct winograd_pass {
    const struct conv2d_f32_args *args;
    struct winograd_tiles tiles;
    size_t points, small_points;  // of a row of a large tile, 5 ... 8, and of a small one
    size_t channels;              // of a window's pixel: the image's, or those of squares of 2 x 2 pixels
    ptrdiff_t top, left;          // of a tile's window from the tile's own place
    size_t scale;                 // output pixels from one computed pixel to the next: 1 or 2
    size_t row_phase, column_phase;
};

/// Tiles of a block that have a point, and in how many register tiles they are multiplied. Which points are of
/// one kind: see `winograd_kind_of`.
struct winograd_kind {
    struct range tiles;
    size_t groups;
};
enum { WINOGRAD_KINDS = 4, WINOGRAD_PHASES = 4 };

/// The parts of the scratch memory.
struct winograd_scratch {
    float *inputs;    // [points^2, groups, blocks of depth, TILE_ROWS, BLOCK]
    float *filters;   // [2, points, depth, TILE_COLUMNS]: of two rows of points
    float *taps;      // [2, 2, depth, TILE_COLUMNS], with a stride of two [taps, channels, TILE_COLUMNS]: a panel's,
                      // where they are not its weights
    float *expanded;  // [3, 3, depth, TILE_COLUMNS], with a stride of two a panel: weights, where they are not f32
    float *patches;   // [windows, pixels, PATCH_CHANNELS] of squares of pixels
    float *sums;      // [points^2, tiles, TILE_COLUMNS]
    size_t depth;     // channels that are transformed at a time, at most
    size_t input_point, input_group, filter_point, sum_point;
    bool is_far;      // whether the second-level cache cannot hold the inputs, which are read once for each panel
    size_t count;     // of floats
    struct winograd_kind kinds[WINOGRAD_KINDS];
};

static size_t winograd_points(const struct conv2d_f32_args *args) {
    size_t taps = args->upsample == 2 ? 2 : (args->kernel_height + args->stride_height - 1) / args->stride_height;
    return args->winograd_side + taps - 1;
}

static size_t winograd_channels(const struct conv2d_f32_args *args) {
    return args->input_channels * args->stride_height * args->stride_width;
}

/// Channels whose filters are transformed at a time: all, or equal parts of them in whole blocks.
static size_t winograd_depth(size_t channels, size_t points, size_t tile_count) {
    size_t filters = tile_count > TILE_ROWS ? WINOGRAD_FILTERS : WINOGRAD_FILTERS_OF_FEW;
    size_t longest = filters / (2 * points * TILE_COLUMNS);
    size_t count = (channels + longest - 1) / longest;
    return ((channels + count - 1) / count + BLOCK - 1) / BLOCK * BLOCK;
}

/// Phases of an enlarged image that are computed together.
static size_t winograd_phases(const struct conv2d_f32_args *args, size_t tile_count) {
    return args->upsample == 2 && tile_count <= TILE_ROWS ? WINOGRAD_PHASES : 1;
}

/// Tiles whose windows are known at the same time.
enum { WINOGRAD_WINDOWS = 2 * TILE_ROWS, PATCH_CHANNELS = 16 };

/// Where the parts of the scratch memory begin; without any memory only their counts are told.
static struct winograd_scratch winograd_split(const struct conv2d_f32_args *args, float *scratch,
                                              size_t tile_count, size_t phase) {
    struct winograd_scratch s = {0};
    size_t points = winograd_points(args), squares = points * points, channels = winograd_channels(args);
    size_t groups = parts((struct range){0, tile_count}, TILE_ROWS);
    s.input_group = (channels + BLOCK - 1) / BLOCK * BLOCK * TILE_ROWS;
    // A line of slack, so that the same number of all points does not fall into the same set of the cache.
    s.input_point = groups * s.input_group + LINE;
    s.depth = winograd_depth(channels, points, tile_count);
    s.filter_point = s.depth * TILE_COLUMNS + LINE;
    s.sum_point = tile_count * TILE_COLUMNS + LINE;
    bool is_strided = args->stride_height == 2;
    size_t weights = args->kernel_height * args->kernel_width * TILE_COLUMNS *
                     (is_strided ? args->input_channels : s.depth);
    size_t taps = points == 5 ? 4 * TILE_COLUMNS : points == 7 ? 16 * TILE_COLUMNS : 0;
    size_t phases = winograd_phases(args, tile_count);
    size_t inputs = squares * s.input_point, sums = squares * s.sum_point;
    size_t filters = 2 * points * s.filter_point, all_taps = taps * (is_strided ? channels : s.depth);
    size_t expanded = args->weight.format != WEIGHT_F32 ? weights : 0;
    size_t patches = points == 7 ? WINOGRAD_WINDOWS * squares * PATCH_CHANNELS : 0;
    s.is_far = phases * inputs > WINOGRAD_NEAR;
    s.count = phases * (inputs + sums) + filters + all_taps + expanded + patches;
    if (scratch) {
        s.inputs = scratch + phase * inputs;
        s.filters = scratch + phases * inputs;
        s.taps = s.filters + filters;
        s.expanded = s.taps + all_taps;
        s.patches = s.expanded + expanded;
        s.sums = s.patches + patches + phase * sums;
    }
    return s;
}

static size_t winograd_scratch_count(const struct conv2d_f32_args *args, size_t tile_count) {
    return winograd_split(args, NULL, tile_count, 0).count;
}

/// Of a point: whether only tiles that are large in a dimension have it; 1 of columns, 2 of rows.
ALWAYS_INLINE size_t winograd_kind_of(size_t row, size_t column, size_t small_points) {
    return 2 * (row >= small_points) + (column >= small_points);
}

/// The tiles of each kind in a block, numbered from the block's first.
static void winograd_find_kinds(const struct winograd_pass *pass, struct range block,
                                struct winograd_kind kinds[WINOGRAD_KINDS]) {
    const size_t *ends = pass->tiles.ends;
    struct range wide = {0, ends[1]}, high = {ends[0], ends[2]}, both = {ends[0], ends[1]};
    struct range all[WINOGRAD_KINDS] = {{0, ends[3]}, wide, high, both};
    for (size_t kind = 0; kind < WINOGRAD_KINDS; kind++) {
        size_t begin = all[kind].begin > block.begin ? all[kind].begin : block.begin;
        size_t end = smaller(all[kind].end, block.end);
        struct range own = {begin - block.begin, end > begin ? end - block.begin : begin - block.begin};
        kinds[kind] = (struct winograd_kind){own, parts(own, TILE_ROWS)};
    }
}

#include "winograd_lines.h"
#include "winograd_inputs.h"
#include "winograd_filters.h"

/// Weights that are transformed next, and the share of them that is asked of memory while one phase is multiplied.
struct winograd_next {
    struct winograd_taps taps;  // first is NULL where they are not worth asking for
    size_t phase, phases;
};

/// Those of a panel's next channels, or of the first ones of the next panel of `panels`.
static struct winograd_taps winograd_next_taps(const struct winograd_pass *pass, const struct winograd_scratch *s,
                                               struct range panels, size_t panel, struct range depth) {
    const struct conv2d_f32_args *args = pass->args;
    bool is_last = depth.end == pass->channels, is_end = is_last && panel + 1 == panels.end;
    if (STREAMED_GROUP == 0 || is_end || args->stride_height != 1 || args->weight.format != WEIGHT_F32) {
        return (struct winograd_taps){0};
    }
    size_t begin = is_last ? 0 : depth.end;
    struct range own = {begin, smaller(begin + s->depth, pass->channels)};
    return winograd_weights(args, s, panel + is_last, own);
}

/// Each product asks for its share.
static void winograd_ask_for_weights(struct tile_f32 *tile, const struct winograd_next *next, size_t product,
                                     size_t products) {
    const struct winograd_taps *taps = &next->taps;
    struct range own = part((struct range){0, 9 * taps->count}, next->phase * products + product,
                            next->phases * products);
    tile->ahead = taps->first + own.begin / taps->count * taps->stride + own.begin % taps->count;
    tile->ahead_step = (own.end - own.begin + tile->depth - 1) / tile->depth;
}

/// The products of a row of points and some channels for one panel.
static void winograd_products(const struct winograd_pass *pass, const struct winograd_scratch *s,
                              const struct winograd_next *next, size_t row, struct range depth, size_t columns) {
    for (size_t column = 0; column < pass->points; column++) {
        size_t point = row * pass->points + column, filter = row % 2 * pass->points + column;
        const struct winograd_kind *kind = &s->kinds[winograd_kind_of(row, column, pass->small_points)];
        for (size_t group = 0; group < kind->groups; group++) {
            struct range own = part(kind->tiles, group, kind->groups);
            float *to = s->sums + point * s->sum_point + own.begin * TILE_COLUMNS;
            struct tile_f32 tile = {
                .a = s->inputs + point * s->input_point + group * s->input_group + depth.begin * TILE_ROWS,
                .panel = s->filters + filter * s->filter_point,
                .from = depth.begin > 0 ? to : NULL,
                .from_stride = TILE_COLUMNS,
                .to = to,
                .to_stride = TILE_COLUMNS,
                .depth = depth.end - depth.begin,
                .is_far = s->is_far,
            };
            if (next->taps.first) {
                winograd_ask_for_weights(&tile, next, point * kind->groups + group,
                                         pass->points * pass->points * kind->groups);
            }
            tile_product_blocked(&tile, own.end - own.begin, columns);
        }
    }
}

#include "winograd_few.h"
#include "winograd_outputs.h"

/// The sums of some channels of one panel at all points.
static void winograd_panel(const struct winograd_pass *pass, const struct winograd_scratch *s,
                           const struct winograd_next *next, size_t panel, struct range depth, size_t columns) {
    struct winograd_taps taps = winograd_taps(pass, s, panel, depth);
    for (size_t row = 0; row < pass->points; row++) {
        // Of a block without high tiles some rows are of no tile.
        if (s->kinds[winograd_kind_of(row, 0, pass->small_points)].groups == 0) {
            break;
        }
        if (row % 2 == 0) {
            winograd_filters(pass, s, &taps, row / 2);
        }
        winograd_products(pass, s, next, row, depth, columns);
    }
}

/// Some passes together: the phases of an enlarged image.
static void winograd_run(const struct winograd_pass *passes, size_t phases, float *scratch, struct range tiles,
                         struct range panels) {
    const struct conv2d_f32_args *args = passes->args;
    struct winograd_scratch s[WINOGRAD_PHASES];
    for (size_t phase = 0; phase < phases; phase++) {
        s[phase] = winograd_split(args, scratch, tiles.end - tiles.begin, phase);
        winograd_find_kinds(passes, tiles, s[phase].kinds);
        winograd_inputs(passes + phase, s + phase, tiles);
    }
    for (size_t panel = panels.begin; panel < panels.end; panel++) {
        struct range columns = {panel * TILE_COLUMNS,
                                smaller((panel + 1) * TILE_COLUMNS, args->output_channels)};
        for (size_t begin = 0; begin < passes->channels; begin += s->depth) {
            struct range depth = {begin, smaller(begin + s->depth, passes->channels)};
            struct winograd_next next = {winograd_next_taps(passes, s, panels, panel, depth), 0, phases};
            for (size_t phase = 0; phase < phases; phase++) {
                next.phase = phase;
                size_t count = columns.end - columns.begin;
                if (winograd_are_few(passes + phase, s + phase)) {
                    winograd_few_panel(passes + phase, s + phase, &next, panel, depth, count);
                } else {
                    winograd_panel(passes + phase, s + phase, &next, panel, depth, count);
                }
            }
        }
        for (size_t phase = 0; phase < phases; phase++) {
            winograd_outputs(passes + phase, s + phase, tiles, columns);
        }
    }
}

/// Phase `phase` of an enlarged image: of each two rows and columns one.
static void winograd_find_phase(struct winograd_pass *pass, size_t phase) {
    pass->row_phase = phase / 2;
    pass->column_phase = phase % 2;
    pass->top = (ptrdiff_t)pass->row_phase - 1;
    pass->left = (ptrdiff_t)pass->column_phase - 1;
}

/// Where a window of squares of 2 x 2 pixels begins: at the square in which the padding does.
static ptrdiff_t winograd_first_square(size_t padding) { return -(ptrdiff_t)((padding + 1) / 2); }

static void winograd_f32(const struct conv2d_f32_args *args, float *scratch, size_t tile_begin,
                         size_t tile_end, size_t panel_begin, size_t panel_end) {
    ASSUME(args->stride_height == args->stride_width);
    ASSUME(args->stride_height == 1 || (args->stride_height == 2 && args->upsample == 1));
    ASSUME(args->kernel_height == 3 || (args->kernel_height == 7 && args->stride_height == 2));
    ASSUME(args->kernel_width == args->kernel_height);
    ASSUME(args->kernel_height == 3 || 4 * args->input_channels <= PATCH_CHANNELS);
    ASSUME(args->kernel_height == 7 || args->stride_height == 1 || args->input_channels % PATCH_CHANNELS == 0);
    ASSUME(args->stride_height == 1 || args->winograd_side == 4);
    ASSUME(tile_begin < tile_end && panel_begin < panel_end);
    ASSUME(args->winograd_side == 4 || args->winograd_side == 6);
    ASSUME(args->upsample == 1 || (args->upsample == 2 && args->winograd_side == 4));
    ASSUME(args->weight.format != WEIGHT_I4);
    ASSUME(args->weight.format != WEIGHT_I8 || args->weight.factors);
    struct range tiles = {tile_begin, tile_end}, panels = {panel_begin, panel_end};
    struct winograd_pass pass = {
        .args = args,
        .tiles = winograd_tiles_of(args),
        .points = winograd_points(args),
        .channels = winograd_channels(args),
        .top = -(ptrdiff_t)args->pad_top,
        .left = -(ptrdiff_t)args->pad_left,
        .scale = args->upsample,
    };
    pass.small_points = pass.points - pass.tiles.large + pass.tiles.small;
    if (args->stride_height == 2) {
        pass.top = winograd_first_square(args->pad_top);
        pass.left = winograd_first_square(args->pad_left);
    }
    if (args->upsample == 1) {
        winograd_run(&pass, 1, scratch, tiles, panels);
        return;
    }
    struct winograd_pass passes[WINOGRAD_PHASES];
    for (size_t phase = 0; phase < WINOGRAD_PHASES; phase++) {
        passes[phase] = pass;
        winograd_find_phase(passes + phase, phase);
    }
    size_t together = winograd_phases(args, tile_end - tile_begin);
    for (size_t phase = 0; phase < WINOGRAD_PHASES; phase += together) {
        winograd_run(passes + phase, together, scratch, tiles, panels);
    }
}
