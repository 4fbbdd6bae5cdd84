// The specification of Winograd's minimal filtering: a tile, a panel and a filter at a time. The transforms of lines
// are those of all levels (shared/winograd_lines.h).
#include "../internal.h"
#include "../shared/pack_nibbles.h"
#include "products_scalar.h"
#include "simd.h"
#include "../shared/winograd_lines.h"

enum { SQUARES = WINOGRAD_POINTS * WINOGRAD_POINTS };

/// One tile of the output, or of a phase of an enlarged one.
struct tile {
    const struct conv2d_f32_args *args;
    size_t points, image, row, column;  // row and column in computed pixels
    size_t scale, row_phase, column_phase;
};

static size_t points_of(const struct conv2d_f32_args *args) {
    return args->winograd_side + (args->upsample == 2 ? 1 : 2);
}

/// A tile's numbers of all channels.
size_t winograd_scratch_count_scalar(const struct conv2d_f32_args *args, size_t tile_count) {
    (void)tile_count;
    return points_of(args) * points_of(args) * args->input_channels;
}

/// The pixel of a tile's window, or the zeros.
static const float *window_pixel(const struct tile *tile, size_t i, size_t j) {
    const struct conv2d_f32_args *args = tile->args;
    bool is_enlarged = args->upsample == 2;
    // Above and left of the image the subtraction wraps around: past any image.
    size_t row = tile->row + i + tile->row_phase - (is_enlarged ? 1 : args->pad_top);
    size_t column = tile->column + j + tile->column_phase - (is_enlarged ? 1 : args->pad_left);
    if (row >= args->input_height || column >= args->input_width) {
        return args->zeros;
    }
    size_t pixel = (tile->image * args->input_height + row) * args->input_width + column;
    return args->x + pixel * args->x_pixel_stride;
}

/// inputs: [points^2, channels]
static void transform_inputs(const struct tile *tile, float *inputs) {
    size_t points = tile->points, channels = tile->args->input_channels;
    for (size_t channel = 0; channel < channels; channel++) {
        float d[SQUARES];
        for (size_t i = 0; i < points * points; i++) {
            d[i] = window_pixel(tile, i / points, i % points)[channel];
        }
        for (size_t j = 0; j < points; j++) {
            winograd_input(d + j, points, points);
        }
        for (size_t i = 0; i < points; i++) {
            winograd_input(d + i * points, 1, points);
        }
        for (size_t i = 0; i < points * points; i++) {
            inputs[i * channels + channel] = d[i];
        }
    }
}

/// taps: [9, TILE_COLUMNS]; filter: [points^2] of one column.
static void transform_filter(const struct tile *tile, const float *taps, size_t column, float *filter) {
    size_t points = tile->points;
    float lines[3][WINOGRAD_POINTS];
    for (size_t j = 0; j < 3; j++) {
        const float *top = taps + j * TILE_COLUMNS + column;
        winograd_filter(lines[j], 1, top[0], top[3 * TILE_COLUMNS], top[6 * TILE_COLUMNS], points,
                        tile->row_phase);
    }
    for (size_t i = 0; i < points; i++) {
        winograd_filter(filter + i * points, 1, lines[0][i], lines[1][i], lines[2][i], points,
                        tile->column_phase);
    }
}

/// sums: [TILE_COLUMNS, points^2]
static void multiply(const struct tile *tile, const float *inputs, size_t panel,
                     float sums[TILE_COLUMNS][SQUARES]) {
    size_t squares = tile->points * tile->points, channels = tile->args->input_channels;
    memset(sums, 0, TILE_COLUMNS * sizeof sums[0]);
    for (size_t channel = 0; channel < channels; channel++) {
        float taps[9 * TILE_COLUMNS];
        for (size_t tap = 0; tap < 9; tap++) {
            weights_at(taps + tap * TILE_COLUMNS, &tile->args->weight, 9 * channels, panel,
                       tap * channels + channel);
        }
        for (size_t column = 0; column < TILE_COLUMNS; column++) {
            float filter[SQUARES];
            transform_filter(tile, taps, column, filter);
            for (size_t i = 0; i < squares; i++) {
                sums[column][i] = fmaf(inputs[i * channels + channel], filter[i], sums[column][i]);
            }
        }
    }
}

/// One column's sums to pixels, through the epilogue.
static void store_pixels(const struct tile *tile, float *sums, size_t column) {
    const struct conv2d_f32_args *args = tile->args;
    size_t points = tile->points;
    for (size_t j = 0; j < points; j++) {
        winograd_output(sums + j, points, points);
    }
    for (size_t i = 0; i < args->winograd_side; i++) {
        winograd_output(sums + i * points, 1, points);
        size_t row = (tile->row + i) * tile->scale + tile->row_phase;
        for (size_t j = 0; j < args->winograd_side; j++) {
            size_t place = (tile->column + j) * tile->scale + tile->column_phase;
            if (row < args->output_height && place < args->output_width) {
                size_t pixel = (tile->image * args->output_height + row) * args->output_width + place;
                args->y[pixel * args->y_pixel_stride + column] =
                    finish(sums[i * points + j], &args->epilogue, pixel, column);
            }
        }
    }
}

void winograd_scalar(const struct conv2d_f32_args *args, float *scratch, size_t tile_begin,
                     size_t tile_end, size_t panel_begin, size_t panel_end) {
    size_t side = args->winograd_side, columns = winograd_tile_columns(args);
    size_t rows = winograd_tile_rows(args), phases = args->upsample * args->upsample;
    for (size_t i = tile_begin * phases; i < tile_end * phases; i++) {
        size_t index = i / phases, phase = i % phases;
        struct tile tile = {
            .args = args,
            .points = points_of(args),
            .image = index / columns / rows,
            .row = index / columns % rows * side,
            .column = index % columns * side,
            .scale = args->upsample,
            .row_phase = phase / 2,
            .column_phase = phase % 2,
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
