// The specification of Winograd's minimal filtering: a tile, a panel and a filter at a time. The transforms of lines
// are those of all levels (shared/winograd_lines.h).
#include "../internal.h"
#include "../shared/pack_nibbles.h"
#include "products_scalar.h"
#include "simd.h"
#include "../shared/winograd_lines.h"

enum { SQUARES = WINOGRAD_POINTS * WINOGRAD_POINTS, MOST_TAPS = 4 };

/// One tile of the output, or of a phase of an enlarged one.
struct tile {
    const struct conv2d_f32_args *args;
    struct winograd_tile place;
    size_t taps;           // of a line of the filters
    size_t points;         // of a line of the filters' transform
    size_t rows, columns;  // of the tile's points: as many or, of small tiles, fewer
    size_t depth;          // with a stride of two the channels of four pixels
    size_t row_phase, column_phase;
};

static size_t taps_of(const struct conv2d_f32_args *args) {
    size_t stride = args->stride_height;
    return args->upsample == 2 ? 2 : (args->kernel_height + stride - 1) / stride;
}

static size_t depth_of(const struct conv2d_f32_args *args) {
    return args->input_channels * args->stride_height * args->stride_width;
}

/// A tile's numbers of all channels.
size_t winograd_scratch_count_scalar(const struct conv2d_f32_args *args, size_t tile_count) {
    (void)tile_count;
    size_t points = args->winograd_side + taps_of(args) - 1;
    return points * points * depth_of(args);
}

/// Where a window's line `i` lies, from where its padding begins; above and left of the image this wraps around: past
/// any image. With a stride of two lines are pairs of the image's, of which `second` is wanted or the first.
static size_t window_line(const struct tile *tile, size_t i, size_t pad, size_t phase, size_t second) {
    if (tile->args->upsample == 2) {
        return i + phase - 1;
    }
    return tile->args->stride_height == 2 ? 2 * (i - (pad + 1) / 2) + second : i - pad;
}

/// A number of a tile's window, or of the zeros.
static float window_number(const struct tile *tile, size_t i, size_t j, size_t channel) {
    const struct conv2d_f32_args *args = tile->args;
    size_t square = channel / args->input_channels;
    size_t row = window_line(tile, tile->place.row + i, args->pad_top, tile->row_phase, square / 2);
    size_t column =
        window_line(tile, tile->place.column + j, args->pad_left, tile->column_phase, square % 2);
    if (row >= args->input_height || column >= args->input_width) {
        return args->zeros[channel % args->input_channels];
    }
    size_t pixel = (tile->place.image * args->input_height + row) * args->input_width + column;
    return args->x[pixel * args->x_pixel_stride + channel % args->input_channels];
}

/// inputs: [points^2, depth]
static void transform_inputs(const struct tile *tile, float *inputs) {
    size_t rows = tile->rows, columns = tile->columns;
    for (size_t channel = 0; channel < tile->depth; channel++) {
        float d[SQUARES];
        for (size_t i = 0; i < rows * columns; i++) {
            d[i] = window_number(tile, i / columns, i % columns, channel);
        }
        for (size_t j = 0; j < columns; j++) {
            winograd_input(d + j, columns, rows);
        }
        for (size_t i = 0; i < rows; i++) {
            winograd_input(d + i * columns, 1, columns);
        }
        for (size_t i = 0; i < rows * columns; i++) {
            inputs[i * tile->depth + channel] = d[i];
        }
    }
}

/// The kernel's taps of a channel: [rows, columns, TILE_COLUMNS], zeros outside the kernel.
static void tap_at(const struct tile *tile, size_t panel, size_t row, size_t column, size_t channel, float *tap) {
    const struct conv2d_f32_args *args = tile->args;
    if (row >= args->kernel_height || column >= args->kernel_width) {
        memset(tap, 0, TILE_COLUMNS * sizeof *tap);
        return;
    }
    size_t depth = args->kernel_height * args->kernel_width * args->input_channels;
    weights_at(tap, &args->weight, depth, panel,
               (row * args->kernel_width + column) * args->input_channels + channel);
}

/// Of an enlarged image the taps that fall on the same stored pixel add up: the last two of a line where the phase
/// is 0, the first two where it is 1.
static void taps_of_enlarged(const struct tile *tile, size_t panel, size_t channel,
                             float taps[MOST_TAPS * MOST_TAPS][TILE_COLUMNS]) {
    size_t row_phase = tile->row_phase, column_phase = tile->column_phase;
    float all[3][3][TILE_COLUMNS];
    for (size_t i = 0; i < 9; i++) {
        size_t row = row_phase ? 2 - i / 3 : i / 3, column = column_phase ? 2 - i % 3 : i % 3;
        tap_at(tile, panel, row, column, channel, all[i / 3][i % 3]);
    }
    for (size_t c = 0; c < TILE_COLUMNS; c++) {
        for (size_t place = 0; place < 2; place++) {
            float lines[3];
            for (size_t i = 0; i < 3; i++) {
                lines[i] = place ? all[i][1][c] + all[i][2][c] : all[i][0][c];
            }
            size_t column = place ? 1 - column_phase : column_phase;
            taps[2 * row_phase + column][c] = lines[0];
            taps[2 * (1 - row_phase) + column][c] = lines[1] + lines[2];
        }
    }
}

/// taps: [taps, taps, TILE_COLUMNS] of one channel.
static void find_taps(const struct tile *tile, size_t panel, size_t channel,
                      float taps[MOST_TAPS * MOST_TAPS][TILE_COLUMNS]) {
    const struct conv2d_f32_args *args = tile->args;
    if (args->upsample == 2) {
        taps_of_enlarged(tile, panel, channel, taps);
        return;
    }
    size_t own = channel % args->input_channels, square = channel / args->input_channels;
    for (size_t i = 0; i < tile->taps * tile->taps; i++) {
        size_t row = i / tile->taps, column = i % tile->taps;
        if (args->stride_height == 2) {  // where the kernel does not begin with a square one before it wraps around
            row = 2 * row + square / 2 - args->pad_top % 2;
            column = 2 * column + square % 2 - args->pad_left % 2;
        }
        tap_at(tile, panel, row, column, own, taps[i]);
    }
}

/// filter: [points^2] of one column.
static void transform_filter(const struct tile *tile, float taps[MOST_TAPS * MOST_TAPS][TILE_COLUMNS],
                             size_t column, float *filter) {
    size_t points = tile->points, count = tile->taps;
    float lines[MOST_TAPS][WINOGRAD_POINTS], w[MOST_TAPS];
    for (size_t j = 0; j < count; j++) {
        for (size_t i = 0; i < count; i++) {
            w[i] = taps[i * count + j][column];
        }
        winograd_filter(lines[j], 1, w, points);
    }
    for (size_t i = 0; i < points; i++) {
        for (size_t j = 0; j < count; j++) {
            w[j] = lines[j][i];
        }
        winograd_filter(filter + i * points, 1, w, points);
    }
}

/// sums: [TILE_COLUMNS, rows, columns]
static void multiply(const struct tile *tile, const float *inputs, size_t panel,
                     float sums[TILE_COLUMNS][SQUARES]) {
    memset(sums, 0, TILE_COLUMNS * sizeof sums[0]);
    for (size_t channel = 0; channel < tile->depth; channel++) {
        float taps[MOST_TAPS * MOST_TAPS][TILE_COLUMNS];
        find_taps(tile, panel, channel, taps);
        for (size_t column = 0; column < TILE_COLUMNS; column++) {
            float filter[SQUARES];
            transform_filter(tile, taps, column, filter);
            for (size_t i = 0; i < tile->rows * tile->columns; i++) {
                float factor = filter[i / tile->columns * tile->points + i % tile->columns];
                sums[column][i] = fmaf(inputs[i * tile->depth + channel], factor, sums[column][i]);
            }
        }
    }
}

/// One column's sums to pixels, through the epilogue.
static void store_pixels(const struct tile *tile, float *sums, size_t column) {
    const struct conv2d_f32_args *args = tile->args;
    for (size_t j = 0; j < tile->columns; j++) {
        winograd_output(sums + j, tile->columns, tile->rows, tile->taps);
    }
    for (size_t i = 0; i < tile->place.height; i++) {
        winograd_output(sums + i * tile->columns, 1, tile->columns, tile->taps);
        size_t row = (tile->place.row + i) * args->upsample + tile->row_phase;
        for (size_t j = 0; j < tile->place.width; j++) {
            size_t place = (tile->place.column + j) * args->upsample + tile->column_phase;
            if (row < args->output_height && place < args->output_width) {
                size_t pixel = (tile->place.image * args->output_height + row) * args->output_width + place;
                args->y[pixel * args->y_pixel_stride + column] =
                    finish(sums[i * tile->columns + j], &args->epilogue, pixel, column);
            }
        }
    }
}

void winograd_scalar(const struct conv2d_f32_args *args, float *scratch, size_t tile_begin,
                     size_t tile_end, size_t panel_begin, size_t panel_end) {
    struct winograd_tiles tiles = winograd_tiles_of(args);
    size_t phases = args->upsample * args->upsample, taps = taps_of(args);
    for (size_t i = tile_begin * phases; i < tile_end * phases; i++) {
        struct winograd_tile place = winograd_tile_at(&tiles, i / phases);
        struct tile tile = {
            .args = args,
            .place = place,
            .taps = taps,
            .points = args->winograd_side + taps - 1,
            .rows = place.height + taps - 1,
            .columns = place.width + taps - 1,
            .depth = depth_of(args),
            .row_phase = i % phases / 2,
            .column_phase = i % phases % 2,
        };
        transform_inputs(&tile, scratch);
        for (size_t panel = panel_begin; panel < panel_end; panel++) {
            float sums[TILE_COLUMNS][SQUARES];
            multiply(&tile, scratch, panel, sums);
            size_t first = panel * TILE_COLUMNS;
            for (size_t c = first; c < first + TILE_COLUMNS && c < args->output_channels; c++) {
                store_pixels(&tile, sums[c - first], c);
            }
        }
    }
}
