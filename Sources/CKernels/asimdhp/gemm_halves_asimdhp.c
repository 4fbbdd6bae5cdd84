// Products in half precision (Cortex-A76, A55 and newer): register tiles of 8 x 16.
//
// 16 accumulators of eight numbers, 8 vectors of the left operand and 2 of weights. A vector of the left operand
// holds eight steps of depth of one row, which multiply-adds take lane by lane. After HALVES_BLOCK steps the
// accumulators are widened and added to sums in memory, which the first-level cache holds. Weights are multiplied
// as they are packed, the left operand is rounded as it is gathered.
#if defined(__aarch64__)
#include "../internal.h"
#include "isa_begin.h"
#include "../neon/simd.h"

enum {
    TILE_ROWS = 8,
    TILE_COLUMNS = 16,  // as neon packs
    TILE_SIZE = TILE_ROWS * TILE_COLUMNS,
    DEPTH_BLOCK = 768,
    DEPTH_LONGEST = 1280,  // both multiples of HALVES_BLOCK
    PANEL_GROUP = 8,
    TILE_GROUP = 16,     // tiles of rows that a group of panels is used for
    WAITING_TILES = 12,  // of whose sums of some depth wait for the next
    /// Numbers from row to row of a gathered tile: copies of short runs may store up to 3 behind their end.
    GATHERED_STRIDE = DEPTH_LONGEST + 16,
};

#include "../shared/epilogue_f32_body.h"
#include "../shared/tiling.h"

typedef void (*gather_halves_fn)(float16_t *a, const void *args, size_t row_begin, size_t row_count,
                                 size_t depth_begin, size_t depth_count);

struct product_halves {
    gather_halves_fn gather;
    const void *args;  // of gather
    const struct packed_weight *weight;
    float *y;
    size_t y_stride;
    size_t columns, depth;
    const struct epilogue_f32 *epilogue;
};

// ---------------------------------------------------------------- gathering

/// Rounds a run to a gathered row.
ALWAYS_INLINE void gather_run(float16_t *a, const float *x, size_t count) {
    for (; count >= 16; count -= 16, a += 16, x += 16) {
        float16x8_t low = vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(x)), vld1q_f32(x + 4));
        float16x8_t high = vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(x + 8)), vld1q_f32(x + 12));
        vst1q_f16(a, low);
        vst1q_f16(a + 8, high);
    }
    for (; count >= 4; count -= 4, a += 4, x += 4) {
        vst1_f16(a, vcvt_f16_f32(vld1q_f32(x)));
    }
    if (count > 0) {
        vst1_f16(a, vcvt_f16_f32(v_load_n(x, count)));
    }
}

/// As `gather_run`, of what lies outside an image: zeros.
ALWAYS_INLINE void gather_padding(float16_t *a, size_t count, const struct conv2d_f32_args *args) {
    (void)args;
    for (size_t i = 0; i < count; i += 4) {
        vst1_f16(a + i, vcvt_f16_f32(v_zero()));
    }
}

static void gather_matrix_rows(float16_t *a, const void *args, size_t row_begin, size_t row_count,
                               size_t depth_begin, size_t depth_count) {
    const struct gemm_f32_args *gemm = args;
    for (size_t row = 0; row < row_count; row++) {
        const float *x = gemm->a + (row_begin + row) * gemm->a_stride + depth_begin;
        gather_run(a + row * GATHERED_STRIDE, x, depth_count);
    }
}

#define ELEMENT float
#define GATHERED float16_t
#define CONVOLUTION struct conv2d_f32_args
#include "../shared/conv2d_gather.h"

// ---------------------------------------------------------------- the register tile

/// block += x[., lane] * panel over `rows` x `vectors`, all constants where this is inlined.
ALWAYS_INLINE void accumulate_lane(float16x8_t block[TILE_ROWS][2], const float16x8_t x[TILE_ROWS],
                                   const float16_t *panel, const int lane, const size_t rows,
                                   const size_t vectors) {
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        float16x8_t weight = vld1q_f16(panel + lane * TILE_COLUMNS + v * 8);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            switch (lane) {
                case 0: block[r][v] = vfmaq_laneq_f16(block[r][v], weight, x[r], 0); break;
                case 1: block[r][v] = vfmaq_laneq_f16(block[r][v], weight, x[r], 1); break;
                case 2: block[r][v] = vfmaq_laneq_f16(block[r][v], weight, x[r], 2); break;
                case 3: block[r][v] = vfmaq_laneq_f16(block[r][v], weight, x[r], 3); break;
                case 4: block[r][v] = vfmaq_laneq_f16(block[r][v], weight, x[r], 4); break;
                case 5: block[r][v] = vfmaq_laneq_f16(block[r][v], weight, x[r], 5); break;
                case 6: block[r][v] = vfmaq_laneq_f16(block[r][v], weight, x[r], 6); break;
                default: block[r][v] = vfmaq_laneq_f16(block[r][v], weight, x[r], 7); break;
            }
        }
    }
}

/// The higher four of eight numbers in one instruction, of which compilers make two.
ALWAYS_INLINE float32x4_t widen_high(float16x8_t x) {
    float32x4_t result;
    __asm__("fcvtl2 %0.4s, %1.8h" : "=w"(result) : "w"(x));
    return result;
}

/// sums[r, c] += sum over one block's d of a[r, d] * panel[d, c]. `rows` and `vectors` are constants where this is
/// inlined, the loops over them vanish and the block's sums live in registers.
ALWAYS_INLINE void add_block(float *sums, const float16_t *a, const float16_t *panel, size_t depth,
                             const size_t rows, const size_t vectors) {
    float16x8_t block[TILE_ROWS][2], x[TILE_ROWS];
    UNROLL
    for (size_t i = 0; i < rows * vectors; i++) {
        block[i / vectors][i % vectors] = vreinterpretq_f16_u16(vdupq_n_u16(0));
    }
    for (const float16_t *end = a + depth / 8 * 8; a < end; a += 8, panel += 8 * TILE_COLUMNS) {
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            x[r] = vld1q_f16(a + r * GATHERED_STRIDE);
        }
        UNROLL
        for (int lane = 0; lane < 8; lane++) {
            accumulate_lane(block, x, panel, lane, rows, vectors);
        }
    }
    for (const float16_t *end = a + depth % 8; a < end; a++, panel += TILE_COLUMNS) {
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            x[r] = vld1q_dup_f16(a + r * GATHERED_STRIDE);
        }
        accumulate_lane(block, x, panel, 0, rows, vectors);
    }
    UNROLL
    for (size_t i = 0; i < rows * vectors; i++) {
        float *to = sums + i / vectors * TILE_COLUMNS + i % vectors * 8;
        float16x8_t own = block[i / vectors][i % vectors];
        vst1q_f32(to, vaddq_f32(vld1q_f32(to), vcvt_f32_f16(vget_low_f16(own))));
        vst1q_f32(to + 4, vaddq_f32(vld1q_f32(to + 4), widen_high(own)));
    }
}

/// sums += a [rows, GATHERED_STRIDE] * panel over `depth`, block by block.
ALWAYS_INLINE void add_blocks(float *sums, const float16_t *a, const float16_t *panel, size_t depth,
                              const size_t rows, const size_t vectors) {
    for (size_t own; depth > 0; depth -= own, a += own, panel += own * TILE_COLUMNS) {
        own = smaller(depth, HALVES_BLOCK);
        add_block(sums, a, panel, own, rows, vectors);
    }
}

ALWAYS_INLINE void add_rows(float *sums, const float16_t *a, const float16_t *panel, size_t depth,
                            size_t rows, const size_t vectors) {
    switch (rows) {
        case 1: add_blocks(sums, a, panel, depth, 1, vectors); return;
        case 2: add_blocks(sums, a, panel, depth, 2, vectors); return;
        case 3: add_blocks(sums, a, panel, depth, 3, vectors); return;
        case 4: add_blocks(sums, a, panel, depth, 4, vectors); return;
        case 5: add_blocks(sums, a, panel, depth, 5, vectors); return;
        case 6: add_blocks(sums, a, panel, depth, 6, vectors); return;
        case 7: add_blocks(sums, a, panel, depth, 7, vectors); return;
        default: add_blocks(sums, a, panel, depth, 8, vectors); return;
    }
}

ALWAYS_INLINE void clear_tile(float *sums) {
    UNROLL
    for (size_t i = 0; i < TILE_SIZE; i += LANES) {
        v_store(sums + i, v_zero());
    }
}

/// sums [rows, TILE_COLUMNS] += a * panel. Of eight columns of which none is wanted sums are left as they are.
static void tile_halves(float *sums, const float16_t *a, const float16_t *panel, size_t depth,
                        size_t rows, size_t columns) {
    ASSUME(rows > 0 && rows <= TILE_ROWS);
    ASSUME(columns > 0 && columns <= TILE_COLUMNS);
    if (columns <= 8) {
        add_rows(sums, a, panel, depth, rows, 1);
    } else {
        add_rows(sums, a, panel, depth, rows, 2);
    }
}

// ---------------------------------------------------------------- results

/// to = sums + bias + residual, between low and high, over whole rows of TILE_COLUMNS. residual may be NULL; to may
/// equal residual or sums.
ALWAYS_INLINE void store_bounded(float *to, size_t stride, const float *sums, size_t rows, const float *bias,
                                 const float *residual, size_t residual_stride, bool is_bounded, float32x4_t high) {
    float32x4_t biases[4];
    UNROLL
    for (size_t v = 0; v < 4; v++) {
        biases[v] = bias ? vld1q_f32(bias + v * 4) : v_zero();
    }
    for (const float *end = sums + rows * TILE_COLUMNS; sums < end; sums += TILE_COLUMNS, to += stride) {
        float32x4_t t[4];
        UNROLL
        for (size_t v = 0; v < 4; v++) {
            t[v] = vaddq_f32(vld1q_f32(sums + v * 4), biases[v]);
            t[v] = residual ? vaddq_f32(t[v], vld1q_f32(residual + v * 4)) : t[v];
            t[v] = is_bounded ? vminq_f32(vmaxq_f32(t[v], v_zero()), high) : t[v];
        }
        UNROLL
        for (size_t v = 0; v < 4; v++) {
            vst1q_f32(to + v * 4, t[v]);
        }
        residual = residual ? residual + residual_stride : NULL;
    }
}

/// As above, between the bounds of an activation that is not long.
static void store_rows(float *to, size_t stride, const float *sums, size_t rows, const float *bias,
                       const float *residual, size_t residual_stride, enum activation clamp) {
    float32x4_t high = vdupq_n_f32(clamp == ACTIVATION_RELU6 ? 6 : INFINITY);
    bool is_bounded = clamp != ACTIVATION_NONE;
    if (residual) {
        store_bounded(to, stride, sums, rows, bias, residual, residual_stride, is_bounded, high);
    } else if (is_bounded) {
        store_bounded(to, stride, sums, rows, bias, NULL, 0, true, high);
    } else {
        store_bounded(to, stride, sums, rows, bias, NULL, 0, false, high);
    }
}

/// Stores the sums of a tile of all columns. Changes them.
static void finish_whole(const struct epilogue_f32 *epilogue, float *y, size_t y_stride, float *sums,
                         struct range rows, size_t column) {
    enum activation activation = epilogue->activation;
    const float *bias = epilogue->bias ? epilogue->bias + column : NULL;
    const float *first = NULL, *last = NULL;  // the residual before and behind the activation
    if (epilogue->residual) {
        const float *residual = epilogue->residual + rows.begin * epilogue->residual_stride + column;
        bool is_first = epilogue->residual_first || activation == ACTIVATION_NONE;
        first = is_first ? residual : NULL;
        last = is_first ? NULL : residual;
    }
    size_t count = rows.end - rows.begin, stride = epilogue->residual_stride;
    if (!is_long(activation) && !last) {
        store_rows(y, y_stride, sums, count, bias, first, stride, activation);
        return;
    }
    enum activation clamp = is_long(activation) ? ACTIVATION_NONE : activation;
    store_rows(sums, TILE_COLUMNS, sums, count, bias, first, stride, clamp);
    activate_block(sums, count * TILE_COLUMNS, activation);
    store_rows(y, y_stride, sums, count, NULL, last, stride, ACTIVATION_NONE);
}

/// Stores the sums of a tile, multiplied by the columns' factors, through the epilogue. Changes them.
static void finish_tile(const struct product_halves *product, float *sums, struct range rows, size_t panel) {
    const float *factors = product->weight->factors;
    size_t begin = panel * TILE_COLUMNS, end = smaller(begin + TILE_COLUMNS, product->columns);
    for (size_t row = 0; factors && row < rows.end - rows.begin; row++) {
        for (size_t c = row * TILE_COLUMNS, column = begin; column < end; c += LANES, column += LANES) {
            v_store(sums + c, v_mul(v_load(sums + c), v_load(factors + column)));
        }
    }
    float *y = product->y + rows.begin * product->y_stride + begin;
    if (end - begin == TILE_COLUMNS) {
        finish_whole(product->epilogue, y, product->y_stride, sums, rows, begin);
        return;
    }
    for (size_t row = rows.begin; row < rows.end; row++, sums += TILE_COLUMNS, y += product->y_stride) {
        for (size_t c = 0; c < end - begin; c += LANES) {
            size_t count = end - begin - c;
            v_store_first(y + c, v_epilogue(v_load(sums + c), product->epilogue, row, begin + c, count), count);
        }
    }
}

// ---------------------------------------------------------------- blocking

/// The length of depth blocks, whole ones of HALVES_BLOCK: all of it if that may be, else parts as equal as can be.
static size_t halves_depth_block(size_t depth) {
    if (depth <= DEPTH_LONGEST) {
        return depth;
    }
    size_t blocks = (depth + DEPTH_BLOCK - 1) / DEPTH_BLOCK;
    return ((depth + blocks - 1) / blocks + HALVES_BLOCK - 1) / HALVES_BLOCK * HALVES_BLOCK;
}

/// A group of rows x a group of panels, over all depth.
static void multiply_group(const struct product_halves *product, struct range rows, struct range panels) {
    _Alignas(64) float16_t a[TILE_ROWS * GATHERED_STRIDE];
    _Alignas(64) float waiting[WAITING_TILES * PANEL_GROUP * TILE_SIZE];
    size_t block = halves_depth_block(product->depth), tiles = parts(rows, TILE_ROWS);
    bool waits = block < product->depth;
    for (size_t begin = 0; begin < product->depth; begin += block) {
        size_t depth = smaller(block, product->depth - begin);
        for (size_t tile = 0; tile < tiles; tile++) {
            struct range own = tile_rows(rows, tile, tiles);
            size_t row_count = own.end - own.begin;
            product->gather(a, product->args, own.begin, row_count, begin, depth);
            float *sums = waiting + (waits ? tile * PANEL_GROUP * TILE_SIZE : 0);
            for (size_t panel = panels.begin; panel < panels.end; panel++, sums += waits ? TILE_SIZE : 0) {
                const float16_t *weights = product->weight->values;
                weights += (panel * product->depth + begin) * TILE_COLUMNS;
                size_t columns = smaller(product->columns - panel * TILE_COLUMNS, TILE_COLUMNS);
                if (begin == 0) {
                    clear_tile(sums);
                }
                tile_halves(sums, a, weights, depth, row_count, columns);
                if (begin + depth == product->depth) {
                    finish_tile(product, sums, own, panel);
                }
            }
        }
    }
}

static void multiply(const struct product_halves *product, struct range rows, struct range panels) {
    ASSUME(rows.begin <= rows.end && panels.begin <= panels.end);
    ASSUME((panels.end - 1) * TILE_COLUMNS < product->columns || panels.begin == panels.end);
    ASSUME(product->depth > 0 && product->y_stride >= product->columns);
    ASSUME(product->weight->format == WEIGHT_F16);
    ASSUME(!product->weight->factors || product->weight->factor_depth == product->depth);
    struct range tiles = {0, parts(rows, TILE_ROWS)};
    size_t groups = parts(tiles, product->depth > DEPTH_LONGEST ? WAITING_TILES : TILE_GROUP);
    size_t panel_groups = parts(panels, PANEL_GROUP);
    for (size_t group = 0; group < groups; group++) {
        struct range own = part(tiles, group, groups);
        own.begin = rows.begin + own.begin * TILE_ROWS;
        own.end = smaller(rows.begin + own.end * TILE_ROWS, rows.end);
        for (size_t panel_group = 0; panel_group < panel_groups; panel_group++) {
            multiply_group(product, own, part(panels, panel_group, panel_groups));
        }
    }
}

void gemm_halves_asimdhp(const struct gemm_f32_args *args, float *scratch, size_t row_begin, size_t row_end,
                         size_t panel_begin, size_t panel_end) {
    (void)scratch;
    ASSUME(row_end <= args->rows);
    ASSUME(args->a_stride >= args->depth);
    struct product_halves product = {
        .gather = gather_matrix_rows,
        .args = args,
        .weight = &args->weight,
        .y = args->y,
        .y_stride = args->y_stride,
        .columns = args->columns,
        .depth = args->depth,
        .epilogue = &args->epilogue,
    };
    multiply(&product, (struct range){row_begin, row_end}, (struct range){panel_begin, panel_end});
}

void conv2d_halves_asimdhp(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                           size_t pixel_end, size_t panel_begin, size_t panel_end) {
    (void)scratch;
    ASSUME(pixel_end <= args->batch * args->output_height * args->output_width);
    ASSUME(args->upsample == 1 || args->upsample == 2);
    ASSUME(args->x_pixel_stride >= args->input_channels && args->input_channels > 0);
    struct product_halves product = {
        .gather = gather_pixels,
        .args = args,
        .weight = &args->weight,
        .y = args->y,
        .y_stride = args->y_pixel_stride,
        .columns = args->output_channels,
        .depth = args->kernel_height * args->kernel_width * args->input_channels,
        .epilogue = &args->epilogue,
    };
    multiply(&product, (struct range){pixel_begin, pixel_end}, (struct range){panel_begin, panel_end});
}

#include "../isa_end.h"
#endif
