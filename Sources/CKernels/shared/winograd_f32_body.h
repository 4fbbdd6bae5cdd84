// Convolution by minimal filtering, F(4x4, 3x3), F(6x6, 3x3) and F(4x4, 2x2), over a level's register tile.
//
// A tile of the image is brought to `points` x `points` numbers a channel, the filter too; there
// convolution is one product of matrices for each point, [tiles, channels] x [channels, columns];
// the result is brought back to `winograd_side` squared pixels: see winograd_lines.h.
//
// A panel's filters are transformed when its turn comes and forgotten: stored they would take four
// times the weights' memory, and for tiles enough the transformation is a few percent of the work.

enum { LINE = 64 / sizeof(float) };  // of the cache

/// What one pass over the tiles computes: all of the output, or one phase of an enlarged one.
struct winograd_pass {
    const struct conv2d_f32_args *args;
    size_t points;             // 6, 8 or 5
    ptrdiff_t top, left;       // of a tile's window from the tile's own place
    size_t scale;              // output pixels from one computed pixel to the next: 1 or 2
    size_t row_phase, column_phase;
};

/// The parts of the scratch memory.
struct winograd_scratch {
    float *inputs;   // [points^2, groups, blocks of depth, TILE_ROWS, BLOCK]
    float *filters;  // [2, points, depth, TILE_COLUMNS]: of two rows of points
    float *sums;     // [points^2, tiles, TILE_COLUMNS]
    size_t input_point, input_group, filter_point, sum_point;
    size_t groups;
};

struct winograd_tile {
    size_t image, row, column;  // row and column in computed pixels
};

static struct winograd_scratch winograd_split(const struct conv2d_f32_args *args, float *scratch,
                                              size_t points, size_t tile_count) {
    struct winograd_scratch s;
    size_t squares = points * points;
    s.groups = parts((struct range){0, tile_count}, TILE_ROWS);
    s.input_group = (args->input_channels + BLOCK - 1) / BLOCK * BLOCK * TILE_ROWS;
    // A line of slack, so that the same number of all points does not fall into the same set of the cache.
    s.input_point = s.groups * s.input_group + LINE;
    s.filter_point = args->input_channels * TILE_COLUMNS + LINE;
    s.sum_point = tile_count * TILE_COLUMNS + LINE;
    s.inputs = scratch;
    s.filters = s.inputs + squares * s.input_point;
    s.sums = s.filters + 2 * points * s.filter_point;
    return s;
}

static size_t winograd_points(const struct conv2d_f32_args *args) {
    return args->winograd_side + (args->upsample == 2 ? 1 : 2);
}

static size_t winograd_scratch_count(const struct conv2d_f32_args *args, size_t tile_count) {
    size_t points = winograd_points(args);
    struct winograd_scratch s = winograd_split(args, NULL, points, tile_count);
    return points * (points * (s.input_point + s.sum_point) + 2 * s.filter_point);
}

#include "winograd_lines.h"

static struct winograd_tile winograd_tile_at(const struct conv2d_f32_args *args, size_t index) {
    size_t columns = winograd_tile_columns(args), rows = winograd_tile_rows(args);
    return (struct winograd_tile){
        .image = index / columns / rows,
        .row = index / columns % rows * args->winograd_side,
        .column = index % columns * args->winograd_side,
    };
}

/// Where the pixels of a tile's window lie, row by row.
struct winograd_window {
    const float *pixels[WINOGRAD_POINTS * WINOGRAD_POINTS];
};

/// Pixels outside the image are the zeros.
static void winograd_window_at(const struct winograd_pass *pass, struct winograd_tile tile,
                               struct winograd_window *window) {
    const struct conv2d_f32_args *args = pass->args;
    const float *image =
        args->x + tile.image * args->input_height * args->input_width * args->x_pixel_stride;
    for (size_t i = 0; i < pass->points; i++) {
        size_t row = (size_t)((ptrdiff_t)(tile.row + i) + pass->top);
        for (size_t j = 0; j < pass->points; j++) {
            size_t column = (size_t)((ptrdiff_t)(tile.column + j) + pass->left);
            bool is_inside = row < args->input_height && column < args->input_width;
            window->pixels[i * pass->points + j] =
                is_inside ? image + (row * args->input_width + column) * args->x_pixel_stride
                          : args->zeros;
        }
    }
}

/// Whether the second-level cache does not hold that many pixels. Then those of the next tile are asked of
/// memory while one is transformed: no core foresees the jumps between a tile's rows and between its pixels.
/// (Measured on x86: 64 channels of 512 x 512 pixels take 0.65 to 0.8 of the time.)
static bool winograd_is_far(size_t pixels, size_t pixel_stride) {
    return pixels * pixel_stride * sizeof(float) > 1 << 20;
}

/// Apart, so that its addresses take no registers from the transforms.
static __attribute__((noinline)) void winograd_ask_for_window(const struct winograd_window *window,
                                                              size_t points, size_t channel) {
    for (size_t i = 0; i < points * points; i++) {
        __builtin_prefetch(window->pixels[i] + channel);
    }
}

/// Some channels of a tile's window to their places in the block of depth from `to` on.
ALWAYS_INLINE void winograd_input_tile(const struct winograd_window *window, struct range channels,
                                       float *to, size_t point_stride, const size_t points) {
    // In bytes: so NEON's loads and stores add them by themselves.
    size_t offset[WINOGRAD_POINTS];
    UNROLL
    for (size_t j = 0; j < points; j++) {
        offset[j] = j * point_stride * sizeof(float);
    }
    for (size_t channel = channels.begin; channel < channels.end; channel += LANES) {
        vec d[WINOGRAD_POINTS * WINOGRAD_POINTS];
        UNROLL
        for (size_t j = 0; j < points; j++) {
            UNROLL
            for (size_t i = 0; i < points; i++) {
                size_t pixel = i * points + j;
                d[pixel] = v_load_first(window->pixels[pixel] + channel, channels.end - channel);
            }
            winograd_input(d + j, points, points);
        }
        char *row = (char *)(to + channel / BLOCK * BLOCK * TILE_ROWS + channel % BLOCK);
        UNROLL
        for (size_t i = 0; i < points; i++, row += points * point_stride * sizeof(float)) {
            winograd_input(d + i * points, 1, points);
            UNROLL
            for (size_t j = 0; j < points; j++) {
                v_store((float *)(row + offset[j]), d[i * points + j]);
            }
        }
    }
}

/// What of a tile's window should be asked of memory while `line`, some of its channels, is transformed.
struct winograd_ahead {
    size_t tile, channel;
};

/// Where a block of depth is a line of the cache, tiles are transformed one after the other; where it is shorter, a
/// line at a time of all tiles of a group, whose numbers lie side by side, so that what is written are whole
/// lines too. (In that order x86 takes up to a fifth longer: more places of an image at the same time.)
enum { WINOGRAD_TAKES_TURNS = BLOCK < LINE };

static struct winograd_ahead winograd_ahead_of(size_t tile, struct range line, size_t channels,
                                               size_t group_length) {
    if (!WINOGRAD_TAKES_TURNS) {
        return (struct winograd_ahead){tile + 1, line.begin};
    }
    return line.end < channels ? (struct winograd_ahead){tile, line.end}
                               : (struct winograd_ahead){tile + group_length, 0};
}

ALWAYS_INLINE void winograd_inputs_of(const struct winograd_pass *pass, const struct winograd_scratch *s,
                                      struct range tiles, const size_t points) {
    const struct conv2d_f32_args *args = pass->args;
    size_t channels = args->input_channels, turn = WINOGRAD_TAKES_TURNS ? LINE : channels;
    bool is_far = winograd_is_far(args->input_height * args->input_width, args->x_pixel_stride);
    enum { WINDOWS = 2 * TILE_ROWS };
    struct winograd_window windows[WINDOWS];  // a tile's is at its number modulo WINDOWS
    size_t known = tiles.begin;
    for (size_t group = 0; group < s->groups; group++) {
        struct range own = part(tiles, group, s->groups);
        size_t length = own.end - own.begin;
        for (; known < smaller(own.end + length, tiles.end); known++) {
            winograd_window_at(pass, winograd_tile_at(args, known), windows + known % WINDOWS);
        }
        for (size_t i = 0; i < (channels + turn - 1) / turn * length; i++) {
            size_t tile = own.begin + i % length, end = smaller((i / length + 1) * turn, channels);
            float *to = s->inputs + group * s->input_group + i % length * BLOCK;
            for (size_t channel = i / length * turn; channel < end; channel += LINE) {
                struct range line = {channel, smaller(channel + LINE, end)};
                struct winograd_ahead ahead = winograd_ahead_of(tile, line, channels, length);
                if (is_far && ahead.tile < tiles.end) {
                    winograd_ask_for_window(windows + ahead.tile % WINDOWS, points, ahead.channel);
                }
                winograd_input_tile(windows + tile % WINDOWS, line, to, s->input_point, points);
            }
        }
    }
}

static void winograd_inputs(const struct winograd_pass *pass, const struct winograd_scratch *s,
                            struct range tiles) {
    switch (pass->points) {
        case 5: winograd_inputs_of(pass, s, tiles, 5); return;
        case 6: winograd_inputs_of(pass, s, tiles, 6); return;
        default: winograd_inputs_of(pass, s, tiles, 8); return;
    }
}

#include "winograd_filters.h"

/// The products of a row of points, the filters' first or second, for one panel.
static void winograd_products(const struct winograd_pass *pass, const struct winograd_scratch *s,
                              size_t tile_count, size_t row, size_t filter_row, size_t columns) {
    for (size_t column = 0; column < pass->points; column++) {
        size_t point = row * pass->points + column;
        size_t filter = filter_row * pass->points + column;
        for (size_t group = 0; group < s->groups; group++) {
            struct range own = part((struct range){0, tile_count}, group, s->groups);
            struct tile_f32 tile = {
                .a = s->inputs + point * s->input_point + group * s->input_group,
                .panel = s->filters + filter * s->filter_point,
                .to = s->sums + point * s->sum_point + own.begin * TILE_COLUMNS,
                .to_stride = TILE_COLUMNS,
                .depth = pass->args->input_channels,
            };
            tile_product_blocked(&tile, own.end - own.begin, columns);
        }
    }
}

#include "winograd_outputs.h"

static void winograd_run(const struct winograd_pass *pass, float *scratch, struct range tiles,
                         struct range panels) {
    const struct conv2d_f32_args *args = pass->args;
    size_t tile_count = tiles.end - tiles.begin;
    struct winograd_scratch s = winograd_split(args, scratch, pass->points, tile_count);
    winograd_inputs(pass, &s, tiles);
    for (size_t panel = panels.begin; panel < panels.end; panel++) {
        struct range columns = {panel * TILE_COLUMNS,
                                smaller((panel + 1) * TILE_COLUMNS, args->output_channels)};
        for (size_t pair = 0; pair < (pass->points + 1) / 2; pair++) {
            struct winograd_rows rows = winograd_pair(pair, pass->points);
            winograd_filters(pass, &s, panel, pair);
            for (size_t row = 0; row < rows.count; row++) {
                winograd_products(pass, &s, tile_count, rows.first + row * rows.step, row,
                                  columns.end - columns.begin);
            }
        }
        winograd_outputs(pass, &s, tiles, columns);
    }
}

static void winograd_f32(const struct conv2d_f32_args *args, float *scratch, size_t tile_begin,
                         size_t tile_end, size_t panel_begin, size_t panel_end) {
    ASSUME(args->kernel_height == 3 && args->kernel_width == 3);
    ASSUME(args->stride_height == 1 && args->stride_width == 1);
    ASSUME(tile_begin < tile_end && panel_begin < panel_end);
    ASSUME(args->winograd_side == 4 || args->winograd_side == 6);
    ASSUME(args->upsample == 1 || (args->upsample == 2 && args->winograd_side == 4));
    ASSUME(args->weight.format != WEIGHT_I4);
    ASSUME(args->weight.format != WEIGHT_I8 || args->weight.factors);
    struct range tiles = {tile_begin, tile_end}, panels = {panel_begin, panel_end};
    struct winograd_pass pass = {.args = args, .points = winograd_points(args), .scale = 1};
    if (args->upsample == 1) {
        pass.top = -(ptrdiff_t)args->pad_top;
        pass.left = -(ptrdiff_t)args->pad_left;
        winograd_run(&pass, scratch, tiles, panels);
        return;
    }
    pass.scale = 2;
    for (size_t phase = 0; phase < 4; phase++) {
        pass.row_phase = phase / 2;
        pass.column_phase = phase % 2;
        pass.top = (ptrdiff_t)pass.row_phase - 1;
        pass.left = (ptrdiff_t)pass.column_phase - 1;
        winograd_run(&pass, scratch, tiles, panels);
    }
}
