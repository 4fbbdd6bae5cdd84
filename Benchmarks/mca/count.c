// One product at one shape on the best level, once or not at all: the difference in executed instructions is
// the layer's. Usage: count KIND RUNS N N N, kinds and extents as in counts.py.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckernels.h"

static float *numbers(size_t count) {
    float *memory = aligned_alloc(64, (count * sizeof(float) + 127) / 64 * 64);
    if (!memory) {
        exit(1);
    }
    for (size_t i = 0; i < count; i++) {
        memory[i] = (float)(i % 13) - 6;
    }
    return memory;
}

static const struct kernel_table *best_level(void) {
    const struct kernel_table *best = NULL;
    for (size_t level = 0; level < kernel_level_count(); level++) {
        if (kernel_level_runs(level)) {
            best = kernel_level(level);
        }
    }
    return best;
}

static void gemm(const struct gemm_f32_kernels *kernels, const char *kind, size_t runs,
                 const size_t *n) {
    size_t rows = n[0], columns = n[1], depth = n[2];
    size_t panels = (columns + kernels->tile_columns - 1) / kernels->tile_columns;
    struct gemm_f32_args args = {
        .a = numbers(rows * depth), .a_stride = depth,
        .weight.values = numbers(panels * kernels->tile_columns * depth),
        .weight.format = strcmp(kind, "gemm") ? WEIGHT_F16 : WEIGHT_F32,
        .y = numbers(rows * columns), .y_stride = columns,
        .rows = rows, .columns = columns, .depth = depth,
    };
    float *scratch = numbers(kernels->product_scratch_count(args.weight.format, columns, depth, false));
    bool is_halves = !strcmp(kind, "gemm-halves");
    for (size_t run = 0; run < runs; run++) {
        (is_halves ? kernels->gemm_halves : kernels->gemm)(&args, scratch, 0, rows, 0, panels);
    }
}

static void convolution(const struct gemm_f32_kernels *kernels, const char *kind, size_t runs,
                        const size_t *n) {
    size_t side = n[0], in = n[1], out = n[2], scale = strcmp(kind, "enlarged") ? 1 : 2;
    bool is_six = !strcmp(kind, "winograd6"), is_first = !strcmp(kind, "first");
    size_t kernel = is_first ? 7 : 3, stride = is_first || !strcmp(kind, "halved") ? 2 : 1;
    size_t result = scale * side / stride;
    size_t panels = (out + kernels->tile_columns - 1) / kernels->tile_columns;
    struct conv2d_f32_args args = {
        .x = numbers(side * side * in),
        .weight.values = numbers(panels * kernels->tile_columns * kernel * kernel * in),
        .zeros = calloc(in, sizeof(float)), .y = numbers(result * result * out),
        .x_pixel_stride = in, .y_pixel_stride = out,
        .batch = 1, .input_height = side, .input_width = side, .input_channels = in,
        .output_height = result, .output_width = result, .output_channels = out,
        .kernel_height = kernel, .kernel_width = kernel, .stride_height = stride, .stride_width = stride,
        .pad_top = kernel / 2, .pad_left = kernel / 2, .dilation_height = 1, .dilation_width = 1, .upsample = scale,
        .winograd_side = is_six ? 6 : 4,
    };
    bool is_halves = !strcmp(kind, "halves");
    if (is_halves || !strcmp(kind, "direct")) {
        args.weight.format = is_halves ? WEIGHT_F16 : WEIGHT_F32;
        for (size_t run = 0; run < runs; run++) {
            (is_halves ? kernels->conv2d_halves : kernels->conv2d)(&args, NULL, 0, side * side, 0, panels);
        }
        return;
    }
    size_t tiles = winograd_tile_count(&args), block = is_six ? 36 : is_first ? 96 : 66;  // as the runtime's
    float *scratch = numbers(kernels->winograd_scratch_count(&args, block));
    for (size_t run = 0; run < runs; run++) {
        for (size_t tile = 0; tile < tiles; tile += block) {
            size_t end = tile + block < tiles ? tile + block : tiles;
            kernels->winograd(&args, scratch, tile, end, 0, panels);
        }
    }
}

/// With bias and requantization, and for a matrix the quantization of its rows.
static void integers(const struct kernel_table *level, const char *kind, size_t runs, const size_t *n) {
    const struct gemm_i8_kernels *kernels = &level->gemm_i8;
    bool is_matrix = !strcmp(kind, "i8");
    size_t rows = is_matrix ? n[0] : n[0] * n[0], columns = is_matrix ? n[1] : n[2];
    size_t inputs = is_matrix ? n[2] : n[1], depth = is_matrix ? inputs : 9 * inputs;
    size_t panels = (columns + kernels->tile_columns - 1) / kernels->tile_columns;
    float *x = numbers(rows * inputs);
    struct epilogue_i8 epilogue = {.column_scale = numbers(columns), .floats.bias = numbers(columns)};
    int8_t *a = (int8_t *)numbers(rows * (inputs + 12));
    int8_t *packed = (int8_t *)numbers(panels * gemm_i8_panel_bytes(kernels, depth));
    float *y = numbers(rows * columns);
    if (is_matrix) {
        size_t stride = QUANTIZED_ROW_STRIDE(inputs);
        epilogue.row = (const struct row_quantization *)(a + stride - sizeof *epilogue.row);
        epilogue.row_stride = stride;
        struct gemm_i8_args args = {
            .a = a, .a_stride = stride, .packed = packed, .y = y, .y_stride = columns,
            .rows = rows, .columns = columns, .depth = depth, .epilogue = epilogue,
        };
        for (size_t run = 0; run < runs; run++) {
            level->quantize_rows_i8(a, x, rows, inputs);
            kernels->gemm(&args, 0, rows, 0, panels);
        }
        return;
    }
    epilogue.integers = (int8_t *)y;
    epilogue.inverse_scale = 1;
    struct conv2d_i8_args args = {
        .x = a, .packed = packed, .y = y, .x_pixel_stride = inputs, .y_pixel_stride = columns,
        .batch = 1, .input_height = n[0], .input_width = n[0], .input_channels = inputs,
        .output_height = n[0], .output_width = n[0], .output_channels = columns,
        .kernel_height = 3, .kernel_width = 3, .stride_height = 1, .stride_width = 1,
        .pad_top = 1, .pad_left = 1, .dilation_height = 1, .dilation_width = 1, .upsample = 1,
        .epilogue = epilogue,
    };
    for (size_t run = 0; run < runs; run++) {
        kernels->conv2d(&args, 0, rows, 0, panels);
    }
}

int main(int argc, char **argv) {
    const struct kernel_table *level = best_level();
    if (argc != 6 || !level) {
        fprintf(stderr, "usage: count KIND RUNS N N N\n");
        return 64;
    }
    size_t runs = strtoul(argv[2], NULL, 10), n[3];
    for (size_t i = 0; i < 3; i++) {
        n[i] = strtoul(argv[3 + i], NULL, 10);
    }
    if (!strncmp(argv[1], "i8", 2)) {
        integers(level, argv[1], runs, n);
    } else if (!strncmp(argv[1], "gemm", 4)) {
        gemm(&level->gemm_f32, argv[1], runs, n);
    } else {
        convolution(&level->gemm_f32, argv[1], runs, n);
    }
    puts(level->name);
    return 0;
}
