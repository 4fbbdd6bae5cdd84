// The windows of Winograd's tiles in the image, and their transform (see winograd_f32_body.h).

/// Where the pixels of a tile's window lie, column by column, and where its numbers go.
struct winograd_window {
    const float *pixels[WINOGRAD_POINTS * WINOGRAD_POINTS];  // a column is WINOGRAD_POINTS long
    float *to[WINOGRAD_KINDS];                               // of the points of a kind, from the first one
    size_t rows, columns;
};

/// Pixels outside the image are the zeros. With a stride of two `place` of four tells which pixel of each square.
static void winograd_find_pixels(const struct winograd_pass *pass, struct winograd_tile tile,
                                 size_t place, struct winograd_window *window) {
    const struct conv2d_f32_args *args = pass->args;
    ptrdiff_t stride = (ptrdiff_t)args->stride_height;
    const float *image =
        args->x + tile.image * args->input_height * args->input_width * args->x_pixel_stride;
    for (size_t i = 0; i < window->rows; i++) {
        size_t row = (size_t)(stride * ((ptrdiff_t)(tile.row + i) + pass->top)) + place / 2;
        for (size_t j = 0; j < window->columns; j++) {
            size_t column = (size_t)(stride * ((ptrdiff_t)(tile.column + j) + pass->left)) + place % 2;
            bool is_inside = row < args->input_height && column < args->input_width;
            window->pixels[j * WINOGRAD_POINTS + i] =
                is_inside ? image + (row * args->input_width + column) * args->x_pixel_stride
                          : args->zeros;
        }
    }
}

/// Pixels of an image's row in pairs, `count` of them from column `left` on, each to the place of a square.
/// `line` is NULL outside the image.
static void winograd_gather_pairs(float *to, const float *line, size_t left, size_t count,
                                  const struct conv2d_f32_args *args) {
    size_t channels = args->input_channels, stride = args->x_pixel_stride;
    // Negative coordinates become huge.
    if (line && channels == 3 && stride == 3 && left < args->input_width && args->input_width - left >= 2 * count) {
        const float *from = line + left * 3;
        for (const float *end = from + count * 6; from < end; from += 6, to += PATCH_CHANNELS) {
            memcpy(to, from, 6 * sizeof(float));
        }
        return;
    }
    for (size_t i = 0; i < 2 * count; i++) {
        bool is_inside = line && left + i < args->input_width;
        for (size_t c = 0; c < channels; c++) {
            size_t place = i / 2 * PATCH_CHANNELS + i % 2 * channels + c;
            to[place] = is_inside ? line[(left + i) * stride + c] : 0;
        }
    }
}

/// A window whose pixels are squares of 2 x 2 of the image's: so strides of 2 are strides of 1.
static void winograd_gather_squares(const struct winograd_pass *pass, struct winograd_tile tile,
                                    struct winograd_window *window, float *patch) {
    const struct conv2d_f32_args *args = pass->args;
    size_t pitch = args->input_width * args->x_pixel_stride;
    const float *image = args->x + tile.image * args->input_height * pitch;
    size_t left = 2 * (size_t)((ptrdiff_t)tile.column + pass->left);
    for (size_t i = 0; i < window->rows; i++, patch += window->columns * PATCH_CHANNELS) {
        size_t top = 2 * (size_t)((ptrdiff_t)(tile.row + i) + pass->top);
        for (size_t k = 0; k < 2; k++) {
            const float *line = top + k < args->input_height ? image + (top + k) * pitch : NULL;
            winograd_gather_pairs(patch + k * 2 * args->input_channels, line, left, window->columns, args);
        }
        for (size_t j = 0; j < window->columns; j++) {
            window->pixels[j * WINOGRAD_POINTS + i] = patch + j * PATCH_CHANNELS;
        }
    }
}

/// Finds tile `index` of the block.
static void winograd_find_window(const struct winograd_pass *pass, const struct winograd_scratch *s,
                                 size_t first, size_t index, size_t place,
                                 struct winograd_window *windows) {
    struct winograd_window *window = windows + index % WINOGRAD_WINDOWS;
    struct winograd_tile tile = winograd_tile_at(&pass->tiles, first + index);
    window->rows = pass->points - pass->tiles.large + tile.height;
    window->columns = pass->points - pass->tiles.large + tile.width;
    for (size_t kind = 0; kind < WINOGRAD_KINDS; kind++) {
        struct range own = s->kinds[kind].tiles;
        if (index >= own.begin && index < own.end) {
            size_t length = own.end - own.begin, rank = index - own.begin, groups = s->kinds[kind].groups;
            size_t group = ((rank + 1) * groups - 1) / length;  // see `part`
            size_t row = rank - group * length / groups;
            window->to[kind] = s->inputs + group * s->input_group + row * BLOCK +
                               place * pass->args->input_channels * TILE_ROWS;
        }
    }
    if (pass->points == 7) {
        float *patch = s->patches + index % WINOGRAD_WINDOWS * 49 * PATCH_CHANNELS;
        winograd_gather_squares(pass, tile, window, patch);
    } else {
        winograd_find_pixels(pass, tile, place, window);
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
                                                              size_t channel) {
    for (size_t j = 0; j < window->columns; j++) {
        const float *const *column = window->pixels + j * WINOGRAD_POINTS;
        for (const float *const *end = column + window->rows; column < end; column++) {
            __builtin_prefetch(*column + channel);
        }
    }
}

/// Some channels of a window to their places in the blocks of depth. `points` and `small` are those of the pass.
ALWAYS_INLINE void winograd_input_tile(const struct winograd_window *window, struct range channels,
                                       size_t point_stride, const size_t points, const size_t small,
                                       const size_t rows, const size_t columns) {
    // In bytes: so NEON's loads and stores add them by themselves.
    size_t offset[WINOGRAD_POINTS];
    UNROLL
    for (size_t j = 0; j < columns; j++) {
        offset[j] = j * point_stride * sizeof(float);
        OWN_REGISTER(offset[j]);
    }
    for (size_t channel = channels.begin; channel < channels.end; channel += LANES) {
        vec d[WINOGRAD_POINTS * WINOGRAD_POINTS];
        UNROLL
        for (size_t j = 0; j < columns; j++) {
            UNROLL
            for (size_t i = 0; i < rows; i++) {
                const float *pixel = window->pixels[j * WINOGRAD_POINTS + i];
                d[i * columns + j] = v_load_first(pixel + channel, channels.end - channel);
            }
            winograd_input(d + j, columns, rows);
        }
        size_t place = channel / BLOCK * BLOCK * TILE_ROWS + channel % BLOCK, row = 0;
        UNROLL
        for (size_t i = 0; i < rows; i++, row += points * point_stride) {
            winograd_input(d + i * columns, 1, columns);
            float *to = window->to[winograd_kind_of(i, 0, small)] + place + row;
            OWN_REGISTER(to);
            UNROLL
            for (size_t j = 0; j < columns; j++) {
                if (j == small) {
                    to = window->to[winograd_kind_of(i, j, small)] + place + row;
                    OWN_REGISTER(to);
                }
                v_store((float *)((char *)to + offset[j]), d[i * columns + j]);
            }
        }
    }
}

/// The sizes of windows by the points of their pass: large and small tiles in both dimensions.
#define WINOGRAD_SIZES(SIZE)                                                  \
    SIZE(5, 4, 5, 5) SIZE(5, 4, 5, 4) SIZE(5, 4, 4, 5) SIZE(5, 4, 4, 4)       \
    SIZE(7, 7, 7, 7)                                                          \
    SIZE(6, 5, 6, 6) SIZE(6, 5, 6, 5) SIZE(6, 5, 5, 6) SIZE(6, 5, 5, 5)       \
    SIZE(8, 6, 8, 8) SIZE(8, 6, 8, 6) SIZE(8, 6, 6, 8) SIZE(8, 6, 6, 6)
#define WINOGRAD_SIZE(points, rows, columns) (100 * (points) + 10 * (rows) + (columns))

#define SIZE(points, small, rows, columns)                                                              \
    static __attribute__((noinline)) void winograd_input_##points##_##rows##_##columns(                  \
        const struct winograd_window *window, struct range channels, size_t point_stride) {              \
        winograd_input_tile(window, channels, point_stride, points, small, rows, columns);               \
    }
WINOGRAD_SIZES(SIZE)
#undef SIZE

static void winograd_input_line(const struct winograd_window *window, struct range channels,
                                size_t point_stride, size_t points) {
    switch (WINOGRAD_SIZE(points, window->rows, window->columns)) {
#define SIZE(points, small, rows, columns)                                              \
    case WINOGRAD_SIZE(points, rows, columns):                                          \
        winograd_input_##points##_##rows##_##columns(window, channels, point_stride);   \
        return;
        WINOGRAD_SIZES(SIZE)
#undef SIZE
        default: return;
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

/// All tiles of a block, of a place in squares of pixels.
static void winograd_inputs_at(const struct winograd_pass *pass, const struct winograd_scratch *s,
                               struct range tiles, size_t place, size_t channels) {
    const struct conv2d_f32_args *args = pass->args;
    size_t turn = WINOGRAD_TAKES_TURNS ? LINE : channels;
    bool is_far = winograd_is_far(args->input_height * args->input_width, args->x_pixel_stride);
    struct winograd_window windows[WINOGRAD_WINDOWS];  // a tile's is at its number modulo their count
    const struct winograd_kind *all = &s->kinds[0];
    size_t known = 0;
    for (size_t group = 0; group < all->groups; group++) {
        struct range own = part(all->tiles, group, all->groups);
        size_t length = own.end - own.begin;
        for (; known < smaller(own.end + length, all->tiles.end); known++) {
            winograd_find_window(pass, s, tiles.begin, known, place, windows);
        }
        for (size_t i = 0; i < (channels + turn - 1) / turn * length; i++) {
            size_t tile = own.begin + i % length, end = smaller((i / length + 1) * turn, channels);
            for (size_t channel = i / length * turn; channel < end; channel += LINE) {
                struct range line = {channel, smaller(channel + LINE, end)};
                struct winograd_ahead ahead = winograd_ahead_of(tile, line, channels, length);
                if (is_far && ahead.tile < all->tiles.end) {
                    winograd_ask_for_window(windows + ahead.tile % WINOGRAD_WINDOWS, ahead.channel);
                }
                winograd_input_line(windows + tile % WINOGRAD_WINDOWS, line, s->input_point, pass->points);
            }
        }
    }
}

static void winograd_inputs(const struct winograd_pass *pass, const struct winograd_scratch *s,
                            struct range tiles) {
    size_t places = pass->points == 7 ? 1 : pass->channels / pass->args->input_channels;
    for (size_t place = 0; place < places; place++) {
        winograd_inputs_at(pass, s, tiles, place, pass->channels / places);
    }
}
