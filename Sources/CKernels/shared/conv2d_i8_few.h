// Integer convolution to so few channels that those of all taps together fill one tile's columns, as the last one
// of a decoder has three: each pixel of the image is multiplied once by all taps, and a pixel of the output is the
// sum of what its window's pixels hold for it. Directly columns would be idle, and each pixel multiplied anew for
// each tap.
//
// A block of the image is as wide as some register tiles and moves down; of the rows that it has left behind it
// keeps as many as a window is high.

enum {
    FEW_COLUMNS = 56 / TILE_ROWS * TILE_ROWS,  // of the image at a time
    FEW_SIDE = 3,                              // of the kernel
    FEW_TAPS = FEW_SIDE * FEW_SIDE,
    FEW_DEPTH = 256,                           // of the deepest pixel
    FEW_ROW = FEW_COLUMNS * TILE_COLUMNS,
};

struct few_i8 {
    const struct conv2d_i8_args *args;
    struct product_i8 product;
    struct panel_i8 prepared;
    // Column tap * output_channels + channel of the panel is a channel's tap.
    _Alignas(64) int8_t panel[FEW_DEPTH * TILE_COLUMNS];
    _Alignas(64) int32_t first[TILE_COLUMNS];  // what sums begin with: the zero point's products taken away
    _Alignas(64) int8_t pixels[FEW_COLUMNS * FEW_DEPTH + LINE];
    // Of each pixel of a row [TILE_COLUMNS], and some after the last for what is read beyond.
    _Alignas(64) int32_t sums[FEW_SIDE][FEW_ROW + TILE_COLUMNS];
};

static bool has_few_outputs(const struct conv2d_i8_args *args) {
    return args->kernel_height == FEW_SIDE && args->kernel_width == FEW_SIDE &&
           FEW_TAPS * args->output_channels <= TILE_COLUMNS &&
           args->input_channels % DEPTH_GROUP == 0 && args->input_channels <= FEW_DEPTH && args->stride_height == 1 &&
           args->stride_width == 1 && args->dilation_height == 1 && args->dilation_width == 1 &&
           args->upsample == 1 && args->output_width >= TILE_ROWS && !args->epilogue.row;
}

/// The weights of all taps beside each other, and what sums of their products begin with.
static void few_prepare(struct few_i8 *few) {
    const struct conv2d_i8_args *args = few->args;
    size_t groups = args->input_channels / DEPTH_GROUP;
    const int8_t *from = args->packed + TILE_COLUMNS * sizeof(int32_t);
    memset(few->panel, 0, groups * TILE_COLUMNS * DEPTH_GROUP);
    memset(few->first, 0, sizeof few->first);
    for (size_t tap = 0; tap < FEW_TAPS; tap++) {
        for (size_t channel = 0; channel < args->output_channels; channel++) {
            size_t column = tap * args->output_channels + channel;
            int32_t sum = 0;
            for (size_t group = 0; group < groups; group++) {
                const int8_t *weights = from + ((tap * groups + group) * TILE_COLUMNS + channel) * DEPTH_GROUP;
                memcpy(few->panel + (group * TILE_COLUMNS + column) * DEPTH_GROUP, weights, DEPTH_GROUP);
                for (size_t i = 0; i < DEPTH_GROUP; i++) {
                    sum += weights[i];
                }
            }
            few->first[column] = -sum * (args->epilogue.zero_point + SIGN_OFFSET);
        }
    }
}

/// Where the sums of a row of the image are kept, which begins with the padding.
ALWAYS_INLINE size_t few_slot(const struct conv2d_i8_args *args, ptrdiff_t row) {
    return (size_t)(row + (ptrdiff_t)args->pad_top) % FEW_SIDE;
}

/// The products of `count` pixels of row `row` of an image with all taps, from column `left` on; outside it none.
static void few_row(struct few_i8 *few, const int8_t *image, ptrdiff_t row, ptrdiff_t left, size_t count) {
    const struct conv2d_i8_args *args = few->args;
    int32_t *sums = few->sums[few_slot(args, row)];
    if ((size_t)row >= args->input_height) {
        memset(sums, 0, count * TILE_COLUMNS * sizeof *sums);
        return;
    }
    const int8_t *line = image + (size_t)row * args->input_width * args->x_pixel_stride;
    copy_patch_row(few->pixels, line, left, count, args);
    // The block's next row lies far from the end of this one.
    const int8_t *next = line + ((ptrdiff_t)args->input_width + left) * (ptrdiff_t)args->x_pixel_stride;
    for (size_t i = 0; i < count * args->x_pixel_stride; i += LINE) {
        __builtin_prefetch(next + i);
    }
    size_t columns = FEW_TAPS * args->output_channels;
    struct range rows = {0, count};
    size_t groups = parts(rows, TILE_ROWS);
    for (size_t group = 0; group < groups; group++) {
        struct range own = tile_rows(rows, group, groups);
        struct tile_i8 tile = {
            .a = few->pixels + own.begin * args->input_channels,
            .panel = few->panel,
            .sums = sums + own.begin * TILE_COLUMNS,
            .from = few->first,
            .row_stride = args->input_channels,
            .runs = 1,
            .depth_groups = args->input_channels / DEPTH_GROUP,
        };
        tile_sums(&tile, own.end - own.begin, columns);
    }
}

/// The sums of some pixels' windows: of each the vector that begins where a tap's columns do.
ALWAYS_INLINE void few_sum(int32_t *to, const int32_t *const *from, size_t begin, size_t end) {
    for (size_t i = begin * TILE_COLUMNS; i < end * TILE_COLUMNS; i += TILE_COLUMNS, to += TILE_COLUMNS) {
        // Whole vectors, whose first numbers count: they are read as such in the end.
        ivec sum = *(const ivec_anywhere *)(from[0] + i);
        UNROLL
        for (size_t tap = 1; tap < FEW_TAPS; tap++) {
            sum += *(const ivec_anywhere *)(from[tap] + i);
        }
        *(ivec *)to = sum;
    }
}

/// A row of `count` output pixels from what the rows of the image hold.
static void few_finish(const struct few_i8 *few, ptrdiff_t top, size_t pixel, size_t count) {
    const struct conv2d_i8_args *args = few->args;
    _Alignas(64) int32_t finished[TILE_ROWS * TILE_COLUMNS];
    const int32_t *from[FEW_TAPS];
    size_t tap = 0;
    for (size_t y = 0; y < FEW_SIDE; y++) {
        const int32_t *sums = few->sums[few_slot(args, top + (ptrdiff_t)y)];
        for (size_t x = 0; x < FEW_SIDE; x++, tap++) {
            from[tap] = sums + x * TILE_COLUMNS + tap * args->output_channels;
        }
    }
    for (size_t begin = 0; begin < count; begin += TILE_ROWS) {
        size_t end = smaller(begin + TILE_ROWS, count);
        few_sum(finished, from, begin, end);
        finish_tile(&few->product, finished, &few->prepared, (struct range){pixel + begin, pixel + end},
                    (struct range){0, args->output_channels});
    }
}

/// Some columns of some rows of an image's output, row 0 being its first.
static void few_block(struct few_i8 *few, size_t image, struct range rows, struct range columns) {
    const struct conv2d_i8_args *args = few->args;
    size_t wide = columns.end - columns.begin + FEW_SIDE - 1;
    ptrdiff_t left = (ptrdiff_t)columns.begin - (ptrdiff_t)args->pad_left;
    const int8_t *from = args->x + image * args->input_height * args->input_width * args->x_pixel_stride;
    ptrdiff_t next = (ptrdiff_t)rows.begin - (ptrdiff_t)args->pad_top;
    for (size_t row = rows.begin; row < rows.end; row++) {
        ptrdiff_t top = (ptrdiff_t)row - (ptrdiff_t)args->pad_top;
        for (; next < top + (ptrdiff_t)FEW_SIDE; next++) {
            few_row(few, from, next, left, wide);
        }
        size_t pixel = (image * args->output_height + row) * args->output_width + columns.begin;
        few_finish(few, top, pixel, columns.end - columns.begin);
    }
}

/// Whole rows of one image by blocks of columns.
static void few_rows(struct few_i8 *few, size_t image, struct range rows, struct range columns) {
    size_t longest = FEW_COLUMNS - FEW_SIDE + 1, count = parts(columns, longest);
    for (size_t i = 0; i < count; i++) {
        few_block(few, image, rows, part(columns, i, count));
    }
}

static void conv2d_few(const struct conv2d_i8_args *args, size_t pixel_begin, size_t pixel_end) {
    struct few_i8 few;
    few.args = args;
    few.product = product_of_convolution(args);
    struct range columns = {0, args->output_channels};
    prepare_panel(&few.prepared, &few.product, columns, args->packed);
    few_prepare(&few);
    size_t width = args->output_width, height = args->output_height;
    for (size_t pixel = pixel_begin; pixel < pixel_end;) {
        size_t row = pixel / width, image = row / height, left = pixel - row * width;
        // Whole rows together as far as an image goes; the first and the last may be parts of one.
        size_t last = smaller(pixel_end / width, (image + 1) * height);
        bool is_whole = left == 0 && last > row;
        size_t right = is_whole ? width : smaller(width, pixel_end - row * width);
        size_t end = is_whole ? last : row + 1;
        few_rows(&few, image, (struct range){row - image * height, end - image * height},
                 (struct range){left, right});
        pixel = (end - 1) * width + right;
    }
}

static void convolution_i8(const struct conv2d_i8_args *args, size_t pixel_begin, size_t pixel_end,
                           size_t panel_begin, size_t panel_end) {
    if (!has_few_outputs(args)) {
        conv2d_i8(args, pixel_begin, pixel_end, panel_begin, panel_end);
    } else if (panel_begin < panel_end) {
        conv2d_few(args, pixel_begin, pixel_end);
    }
}
