// THE CONTRACT of Pipit's compute kernels: formula, shapes, aliasing and accuracy of each.
//
// Kernels know numbers and strides. They do not allocate, start threads or keep state; callers split
// work by the ranges that each kernel takes. Results never depend on how a range is split: every
// output element is computed by the same operations in the same order whichever call computes it,
// so 1 and N threads give identical bits. Each instruction-set level fills a `struct kernel_table`;
// the scalar level is the specification that the others are tested against.
//
// LEVELS GIVE THE SAME NUMBERS, bit for bit but for the sign of zeros and of NaN: x86 with and without AVX-512, ARM
// with and without dot products. So each kernel has one order of operations, which no level may change for speed:
//
//   - sums of products are one chain of fused multiply-adds for each result, over depth in ascending order;
//   - sums over a row that are no products of matrices have sixteen lanes: number i goes to lane i % 16, and lanes add
//     up l + (l + 8), then l + (l + 4), then as (0 + 1) + (2 + 3);
//   - functions such as e^x are the polynomials of shared/activation_body.h, on scalars too;
//   - elsewhere products and sums are rounded one by one unless the formula says fused: compilers do not contract.
//
// Half-precision products, which callers choose where a processor has them, are kernels of their own: they too give
// one result on all levels that have them.
//
// Words used below: strides and counts are in elements, never bytes. Matrices are row-major.
// Images are NHWC. "May equal" is the only aliasing allowed. NaN goes in, NaN comes out.
#ifndef PIPIT_CKERNELS_H
#define PIPIT_CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Elementwise functions that kernels can apply to what they have just computed.
enum activation {
    ACTIVATION_NONE = 0,
    ACTIVATION_RELU,        // max(x, 0)
    ACTIVATION_GELU,        // x * 0.5 * (1 + erf(x / sqrt(2)))
    ACTIVATION_GELU_TANH,   // x * 0.5 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))
    ACTIVATION_GELU_QUICK,  // x * sigmoid(1.702 x)
    ACTIVATION_SILU,        // x * sigmoid(x)
    ACTIVATION_TANH,
    ACTIVATION_SIGMOID,
    ACTIVATION_RELU6,       // min(max(x, 0), 6)
};

/// What happens to an accumulator before it is stored:
///
///     t = sum + bias[column]
///     y = activation(t + residual)      when residual_first
///     y = activation(t) + residual      otherwise
struct epilogue_f32 {
    const float *bias;       // [columns] or NULL
    const float *residual;   // [rows, residual_stride] or NULL; may equal y when the strides agree
    size_t residual_stride;
    bool residual_first;
    enum activation activation;
};

// --------------------------------------------------------------------------- matrix products

/// How the numbers of packed weights are stored: those of less than 32 bits are expanded, exactly, a block
/// at a time as products need them, so that in memory they take no more than in their file.
enum weight_format {
    WEIGHT_F32 = 0,
    WEIGHT_F16,
    WEIGHT_BF16,
    WEIGHT_I8,  // for winograd with factors
    WEIGHT_I4,  // 8 is added; the lower of two columns in the low half of a byte. Not for winograd.
};

/// A weight [columns, depth] packed by `pack_panel`.
///
/// values: ceil(columns / tile_columns) panels of [depth, tile_columns] numbers; columns past the end are
/// zero. So a panel of f32 begins at panel * depth * tile_columns, 64-byte aligned if values is and
/// tile_columns is a multiple of 16.
/// factors: what the numbers are multiplied by as they are expanded, [panels, depth / factor_depth,
/// tile_columns], or NULL: 1. Not for f32, whose numbers are multiplied before they are packed.
struct packed_weight {
    const void *values;
    enum weight_format format;
    const float *factors;
    size_t factor_depth;
};

/// y[r, c] = epilogue(sum over d of a[r, d] * weight[c, d])
///
/// a: [rows, depth] with a_stride >= depth.   weight: [columns, depth].
/// y: [rows, columns] with y_stride >= columns; must not overlap a.
/// Each sum runs over d in ascending order in one f32 accumulator per element, by fused multiply-adds.
struct gemm_f32_args {
    const float *a;
    size_t a_stride;
    struct packed_weight weight;
    float *y;
    size_t y_stride;
    size_t rows, columns, depth;
    struct epilogue_f32 epilogue;
};

/// Convolution as an implicit matrix product; no im2col buffer exists.
///
/// x: [batch, input_height, input_width, ...] NHWC, x_pixel_stride floats from pixel to pixel, of which the
///    first input_channels are read (a group of a grouped convolution, or part of a concatenation).
/// weight: [output_channels, kernel_height * kernel_width * input_channels] (OHWI), packed with
///    depth = kernel_height * kernel_width * input_channels.
/// y: [batch, output_height, output_width, ...] NHWC, y_pixel_stride floats from pixel to pixel.
/// The epilogue's residual is indexed by output pixel, residual_stride floats from pixel to pixel.
/// upsample 2 reads x as if it had been enlarged by two to the nearest neighbour; 1 reads it as it is.
/// Taps outside the (enlarged) image are zeros: zeros points at input_channels of them.
struct conv2d_f32_args {
    const float *x;
    struct packed_weight weight;
    const float *zeros;
    float *y;
    size_t x_pixel_stride, y_pixel_stride;
    size_t batch, input_height, input_width, input_channels;
    size_t output_height, output_width, output_channels;
    size_t kernel_height, kernel_width;
    size_t stride_height, stride_width;
    size_t pad_top, pad_left;
    size_t dilation_height, dilation_width;
    size_t upsample;
    size_t winograd_side;  // of winograd's tiles, see there; nothing else reads it
    struct epilogue_f32 epilogue;
};

/// Depthwise convolution: y[.., c] = epilogue(sum over taps of x[.., c] * weight[tap, c]).
/// As conv2d, with input_channels = output_channels, upsample 1 and
/// weight.values, f32 and not packed: [kernel_height * kernel_width, channels].
typedef void (*depthwise_f32_fn)(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end);

/// Depth whose products half-precision arithmetic adds up in half precision, see `gemm_halves`.
#define HALVES_BLOCK 64

/// The f32 matrix-product kernels of one level, with the packing that they need.
struct gemm_f32_kernels {
    size_t tile_rows, tile_columns;

    /// Packs `count` <= tile_columns rows of a weight, [count, depth] of that format with weight_stride
    /// (even for i4), into one panel.
    void (*pack_panel)(void *panel, const void *weight, size_t weight_stride, size_t count, size_t depth,
                       enum weight_format format);

    /// Floats of scratch memory that gemm and conv2d expand weights of that format in, and keep unfinished sums in
    /// where y may be the residual.
    size_t (*product_scratch_count)(enum weight_format format, size_t columns, size_t depth, bool has_residual);

    /// Computes rows [row_begin, row_end) x panels [panel_begin, panel_end) of y.
    /// scratch: product_scratch_count(...) floats, one for each thread, 64-byte aligned.
    void (*gemm)(const struct gemm_f32_args *args, float *scratch, size_t row_begin, size_t row_end,
                 size_t panel_begin, size_t panel_end);

    /// Computes output pixels [pixel_begin, pixel_end) (of batch * output_height * output_width)
    /// x panels [panel_begin, panel_end); scratch as for gemm.
    void (*conv2d)(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                   size_t pixel_end, size_t panel_begin, size_t panel_end);

    /// As gemm and conv2d over weights of f16, in half precision; twice as many numbers a vector, other results. NULL
    /// where a level has none, not to be called where `kernel_halves_missing` names something. With d in ascending
    /// order, half() rounding to the nearest number of binary16, ties to even (to infinity from 65520 on):
    ///
    ///     block b = half(half(a[r, d]) * weight[c, d] + block b) from 0, over its HALVES_BLOCK d
    ///     sum = sum + block b from 0, in f32, b ascending
    ///     y[r, c] = epilogue(sum * factor[c]), rounded before the epilogue
    ///
    /// Each step is one fused multiply-add, rounded once. Where there are factors factor_depth is depth.
    /// scratch is not used. Register tiles have halves_tile_rows.
    size_t halves_tile_rows;
    void (*gemm_halves)(const struct gemm_f32_args *args, float *scratch, size_t row_begin, size_t row_end,
                        size_t panel_begin, size_t panel_end);
    void (*conv2d_halves)(const struct conv2d_f32_args *args, float *scratch, size_t pixel_begin,
                          size_t pixel_end, size_t panel_begin, size_t panel_end);

    /// As conv2d, by Winograd's minimal filtering (Lavin & Gray 2015), over the weights as conv2d has
    /// them: they are transformed a panel at a time, so that fast convolution costs no memory for
    /// weights. For dilations of 1 and either
    ///
    ///   - kernels of 3 x 3, strides of 1, upsample 1, winograd_side 4: F(4x4, 3x3), a quarter of the multiplications;
    ///   - the same, winograd_side 6: F(6x6, 3x3), a fifth of them (16 / 81);
    ///   - kernels of 3 x 3, strides of 1, upsample 2, winograd_side 4, with padding of 1 and an output of twice the
    ///     input: the enlarged image's four phases are 2x2 convolutions of the stored one, F(4x4, 2x2), a sixth of
    ///     the multiplications;
    ///   - kernels of 7 x 7, strides of 2, upsample 1, at most 4 input channels, winograd_side 4: 4x4 convolutions of
    ///     squares of 2 x 2 pixels, F(4x4, 4x4), a quarter of the multiplications; or
    ///   - kernels of 3 x 3, strides of 2, upsample 1, a multiple of 16 input channels, winograd_side 4: 2x2
    ///     convolutions of squares of 2 x 2 pixels, F(4x4, 2x2), two thirds of the multiplications.
    ///
    /// Tiles are winograd_side x winograd_side pixels of the output, or of each of its four phases. Where
    /// kernels are 3 x 3 the last ones of a row or column have 3 pixels instead of 4, 4 instead of 6, as far as they
    /// stand out.
    /// Computes tiles [tile_begin, tile_end) of winograd_tile_count(args) x panels [panel_begin, panel_end).
    /// scratch: winograd_scratch_count(args, tile_end - tile_begin) floats, 64-byte aligned.
    /// Accuracy: within 3e-5 + 5e-7 * depth (3 x 3, side 4) or 6e-5 + 1e-6 * depth (else), times
    /// max|x| * max|weight|, of conv2d.
    size_t (*winograd_scratch_count)(const struct conv2d_f32_args *args, size_t tile_count);
    void (*winograd)(const struct conv2d_f32_args *args, float *scratch, size_t tile_begin,
                     size_t tile_end, size_t panel_begin, size_t panel_end);
};

/// Rows, columns and number of Winograd's tiles, which cover all images of a batch.
static inline size_t winograd_tile_rows(const struct conv2d_f32_args *args) {
    return (args->output_height / args->upsample + args->winograd_side - 1) / args->winograd_side;
}
static inline size_t winograd_tile_columns(const struct conv2d_f32_args *args) {
    return (args->output_width / args->upsample + args->winograd_side - 1) / args->winograd_side;
}
static inline size_t winograd_tile_count(const struct conv2d_f32_args *args) {
    return args->batch * winograd_tile_rows(args) * winograd_tile_columns(args);
}

// --------------------------------------------------------------------------- 8-bit integer products
//
// A quantized number stands for (stored - zero point) * scale. Sums are exact in i32.

/// y[i] = clamp(round(x[i] * inverse_scale) + zero_point, -128, 127), to nearest, ties to even. NaN becomes
/// -128. zero_point in -128 ... 127. y may not overlap x.
typedef void (*quantize_i8_fn)(int8_t *y, const float *x, size_t count, float inverse_scale,
                               int zero_point);

/// How a row of numbers was quantized: they stand for (stored - zero_point) * scale.
struct row_quantization {
    float scale;
    int32_t zero_point;
};

/// Each row by its own range, from low = min(x, 0) to high = max(x, 0):
///
///     inverse = QUANTIZED_STEPS / (high - low)          scale = (high - low) / QUANTIZED_STEPS
///     zero_point = -128 - round(low * inverse)          y[r, c] = round(x[r, c] * inverse) + zero_point
///
/// with high - low = 1 where it is not finite or at most SMALLEST_ROW_RANGE. y is clamped to -128 ... 127, which
/// it becomes anyway but where x is infinite; NaN becomes -128 and is no part of the range.
/// Steps are a hair fewer than 255, so that no two roundings can add up to 256 of them.
/// Rows of y are QUANTIZED_ROW_STRIDE(columns) bytes apart; each ends with its row_quantization. They are for
/// the same level's gemm: their sign bits may be inverted (rows_inverted of gemm_i8_kernels).
typedef void (*quantize_rows_i8_fn)(int8_t *y, const float *x, size_t rows, size_t columns);
#define QUANTIZED_ROW_STRIDE(columns) (((columns) + 3) / 4 * 4 + sizeof(struct row_quantization))
#define QUANTIZED_STEPS 254.99f
#define SMALLEST_ROW_RANGE 1e-30f

/// What happens to an integer sum before it is stored:
///
///     t = (sum - zero_point * sum of the column's weights) * (column_scale[column] [* row scale]) + bias, by one
///         fused multiply-add
///     t = residual and activation of `floats` applied to t; where `residual` is not NULL, the residual is
///         (residual - residual_zero_point) * residual_scale, with the stride and the place of that of `floats`
///     y = t, or clamp(round(t * inverse_scale) + output_zero_point) where integers are wanted
struct epilogue_i8 {
    const float *column_scale;  // [columns]
    const struct row_quantization *row;  // of row r at r * row_stride BYTES from here; NULL: all alike
    size_t row_stride;
    int zero_point;  // of the left operand where rows are all alike
    struct epilogue_f32 floats;
    const int8_t *residual;  // instead of floats.residual; may equal integers when the strides agree
    float residual_scale;
    int residual_zero_point;
    int8_t *integers;  // y's place where integers are wanted, with y's stride; else NULL
    float inverse_scale;
    int output_zero_point;
};

/// As gemm_f32_args, with `weight` packed by `pack_panel`, values -127 ... 127. depth <= 65536. Where the
/// epilogue has a quantization for each row, rows are as quantize_rows_i8 of the same level writes them.
struct gemm_i8_args {
    const int8_t *a;
    size_t a_stride;
    const int8_t *packed;
    float *y;
    size_t y_stride;
    size_t rows, columns, depth;
    struct epilogue_i8 epilogue;
};

/// As conv2d_f32_args. Taps outside the image are the left operand's zero point. Behind each row of output
/// pixels y_row_gap numbers are left as they are, so that several convolutions can fill one image in turns;
/// where it is not 0 there is no residual.
struct conv2d_i8_args {
    const int8_t *x;
    const int8_t *packed;
    float *y;
    size_t x_pixel_stride, y_pixel_stride, y_row_gap;
    size_t batch, input_height, input_width, input_channels;
    size_t output_height, output_width, output_channels;
    size_t kernel_height, kernel_width;
    size_t stride_height, stride_width;
    size_t pad_top, pad_left;
    size_t dilation_height, dilation_width;
    size_t upsample;
    struct epilogue_i8 epilogue;
};

/// The integer matrix-product kernels of one level.
///
/// Packed form: ceil(columns / tile_columns) panels of gemm_i8_panel_bytes(kernels, depth) bytes: the sums of the
/// weights of each column, [tile_columns] i32, then the weights in whatever order the level likes.
/// Columns and depth past the end are zero. 64-byte aligned.
struct gemm_i8_kernels {
    size_t tile_rows, tile_columns;
    size_t depth_group;  // depth is padded to a multiple of it
    bool rows_inverted;  // whether quantize_rows_i8 inverts sign bits
    bool has_dot_products;  // of four bytes in one instruction

    void (*pack_panel)(int8_t *panel, const int8_t *weight, size_t weight_stride, size_t count,
                       size_t depth);
    void (*gemm)(const struct gemm_i8_args *args, size_t row_begin, size_t row_end,
                 size_t panel_begin, size_t panel_end);
    void (*conv2d)(const struct conv2d_i8_args *args, size_t pixel_begin, size_t pixel_end,
                   size_t panel_begin, size_t panel_end);

    /// As conv2d, with the same result to the last bit, by Winograd's minimal filtering, F(4x4, 3x3), with 16-bit
    /// numbers: a quarter of the multiplications. NULL where a level has none. For kernels of 3 x 3, strides and
    /// dilations of 1, upsample 1, a multiple of 64 input channels, no y_row_gap, no quantizations of rows, and
    /// weights and zero point for which each sum of products, the zero point's taken away, is within
    /// -2^25 ... 2^25 - 1 whatever x is.
    /// Computes tiles [tile_begin, tile_end) of winograd_i8_tile_count(args) x panels [panel_begin, panel_end).
    /// scratch: winograd_scratch_bytes(args, panel_end - panel_begin) bytes, 64-byte aligned.
    size_t (*winograd_scratch_bytes)(const struct conv2d_i8_args *args, size_t panel_count);
    void (*winograd)(const struct conv2d_i8_args *args, int8_t *scratch, size_t tile_begin, size_t tile_end,
                     size_t panel_begin, size_t panel_end);
};
static inline size_t winograd_i8_tile_count(const struct conv2d_i8_args *args) {
    return args->batch * ((args->output_height + 3) / 4) * ((args->output_width + 3) / 4);
}
static inline size_t gemm_i8_panel_bytes(const struct gemm_i8_kernels *kernels, size_t depth) {
    size_t padded = (depth + kernels->depth_group - 1) / kernels->depth_group * kernels->depth_group;
    return kernels->tile_columns * (sizeof(int32_t) + padded);
}

// --------------------------------------------------------------------------- attention

/// y = softmax(q k^T * scale + key_bias + score_bias) v for one head, by tiles of keys with a running maximum: no
/// [queries, keys] buffer exists.
///
/// q: [query_count, head_dimension], k and v: [key_count, head_dimension], y: as q; each with a stride from
/// token to token. key_bias: [key_count] added to every row of scores, or NULL; -INFINITY excludes a key.
/// score_bias: score_bias[i * score_bias_stride + j] is added to the score of query i and key j, or NULL; with a
/// stride of -1 it goes by their distance.
/// causal: key j is seen by query i only if j <= i. A query that sees no key gets zeros.
/// scratch: attention_scratch_count(head_dimension) floats, one per thread, 64-byte aligned.
/// Scores are chains over the dimension of q * (scale * log2(e)), to which biases times log2(e) are added, fused;
/// weights are powers of two of them. Tiles have ATTENTION_KEY_TILE keys.
/// Accuracy: within 2e-5 * max|v| of exact arithmetic for |scores| <= 100. head_dimension <= 512.
struct attention_f32_args {
    const float *q, *k, *v;
    float *y;
    size_t q_stride, k_stride, v_stride, y_stride;
    size_t query_count, key_count, head_dimension;
    float scale;
    const float *key_bias;
    const float *score_bias;
    ptrdiff_t score_bias_stride;
    bool causal;
};
#define ATTENTION_KEY_TILE 256     // keys that are packed at a time, at most
#define ATTENTION_QUERY_BLOCK 224  // queries that share one pass over the keys, at most
static inline size_t attention_scratch_count(size_t head_dimension) {
    size_t queries = ATTENTION_QUERY_BLOCK, keys = ATTENTION_KEY_TILE;
    return (2 * queries + 2 * keys) * (head_dimension + 32) + 32 * keys + 2 * queries;
}

typedef void (*attention_f32_fn)(const struct attention_f32_args *args, float *scratch,
                                 size_t query_begin, size_t query_end);

// --------------------------------------------------------------------------- elementwise

/// y[i] = activation(x[i]). y may equal x.
/// Accuracy against exact arithmetic, f32 everywhere: exp, sigmoid, tanh 3e-7 relative (tanh, sigmoid:
/// 3e-7 absolute), silu, gelu, gelu_tanh, gelu_quick 2e-6 * max(|x|, 1) absolute.
typedef void (*activate_f32_fn)(float *y, const float *x, size_t count, enum activation activation);

/// y[r, c] = a[r, c] OP b[r * b_row_stride + c * b_column_stride]. y may equal a.
/// b_column_stride is 0 or 1; b_row_stride 0 repeats one row (or one number) for all.
enum binary { BINARY_ADD = 0, BINARY_SUBTRACT, BINARY_MULTIPLY, BINARY_DIVIDE };
typedef void (*binary_f32_fn)(float *y, const float *a, const float *b, size_t rows, size_t columns,
                              size_t b_row_stride, size_t b_column_stride, enum binary op);

/// y[i] = x[i] * scale + shift. y may equal x.
typedef void (*affine_f32_fn)(float *y, const float *x, size_t count, float scale, float shift);

/// y[r, c] = x[r, c] * (1 + scale[c]) + shift[c] (adaptive layer norm). y may equal x.
typedef void (*modulate_f32_fn)(float *y, const float *x, const float *scale, const float *shift,
                                size_t rows, size_t columns);

/// y[r, c] = residual[r, c] + gate[c] * x[r, c]. y may equal x or residual.
typedef void (*gate_add_f32_fn)(float *y, const float *x, const float *gate, const float *residual,
                                size_t rows, size_t columns);

/// y[r, c] = a[r, c] * gelu(b[r, c]) with a = x[r, 0 ..< columns], b = x[r, columns ..< 2 columns].
typedef void (*geglu_f32_fn)(float *y, const float *x, size_t rows, size_t columns);

// --------------------------------------------------------------------------- normalization

/// y[r, c] = (x[r, c] - mean(x[r])) / sqrt(var(x[r]) + epsilon) * gain[c] + bias[c]
/// gain, bias: [columns] or NULL (1 and 0). y may equal x. Mean first, then variance.
/// Accuracy: within 2e-5 of exact arithmetic for |x| <= 100.
typedef void (*layernorm_f32_fn)(float *y, const float *x, const float *gain, const float *bias,
                                 size_t rows, size_t columns, float epsilon);

/// Root-mean-square norm of each row: y = x / sqrt(mean(x^2) + epsilon) * gain. y may equal x.
typedef void (*rmsnorm_f32_fn)(float *y, const float *x, const float *gain, size_t rows,
                               size_t columns, float epsilon);

/// Partial sums of one stripe of pixels, about a pivot so that cancellation stays harmless:
///
///     sums[c] = sum over p of (x[p, c] - pivot[c])      squares[c] = sum over p of (x[p, c] - pivot[c])^2
///
/// x: [pixels, channels] dense; pivot: [channels], any value near the data, e.g. the image's first pixel.
/// sums, squares: [channels], overwritten. Accumulated in f32 over at most 256 pixels at a time, then in f64.
typedef void (*groupnorm_stats_f32_fn)(double *sums, double *squares, const float *x, const float *pivot,
                                       size_t pixels, size_t channels);

/// y[p, c] = activation(x[p, c] * scale[c] + shift[c]). y may equal x.
/// (GroupNorm and BatchNorm after their statistics are folded into scale and shift per channel.)
typedef void (*scale_shift_f32_fn)(float *y, const float *x, const float *scale, const float *shift,
                                   size_t pixels, size_t channels, enum activation activation);

/// y[r] = softmax(x[r]) over columns. y may equal x.
typedef void (*softmax_f32_fn)(float *y, const float *x, size_t rows, size_t columns);

/// y[r] = x[r] / max(|x[r]|_2, epsilon). y may equal x.
typedef void (*l2_normalize_f32_fn)(float *y, const float *x, size_t rows, size_t columns, float epsilon);

// --------------------------------------------------------------------------- pooling, resampling, layout

/// y[c] = sum over r of weight[r] * x[r, c] / max(sum of weight, 1e-9); weight NULL means all 1.
typedef void (*mean_rows_f32_fn)(float *y, const float *x, const float *weight, size_t rows,
                                 size_t columns);

/// Maximum over windows of an NHWC image (stride, padding and kernel as in args; outside = ignored),
/// output rows [row_begin, row_end) of batch * output_height.
typedef void (*max_pool_f32_fn)(const struct conv2d_f32_args *args, size_t row_begin, size_t row_end);

/// The same of integers, which have their order; y is epilogue.integers. A window outside the image: -128.
typedef void (*max_pool_i8_fn)(const struct conv2d_i8_args *args, size_t row_begin, size_t row_end);

/// Enlarges an NHWC image by two to the nearest neighbour; rows are those of the output image.
/// x: [height, width, channels], y: [2 height, 2 width, channels].
typedef void (*upsample2x_f32_fn)(float *y, const float *x, size_t width, size_t channels,
                                  size_t row_begin, size_t row_end);

/// y[r, p, c] = bias[c] + sum over taps (i, j) of x[r + i - top, p + j - left, (i * kernel + j) * channels + c],
/// in that order, where taps outside the image count as zeros. x: [height, width, kernel * kernel * channels];
/// y: rows [row_begin, row_end) of [.., output_width, channels]. bias: [channels] or NULL.
struct sum_taps_args {
    const float *x, *bias;
    float *y;
    size_t height, width, output_width, channels, kernel, top, left;
};
typedef void (*sum_taps_f32_fn)(const struct sum_taps_args *args, size_t row_begin, size_t row_end);

/// y[c, r] = x[r, c].
typedef void (*transpose_f32_fn)(float *y, size_t y_stride, const float *x, size_t x_stride,
                                 size_t rows, size_t columns);

/// Pixels of one to three numbers get `value` as their others, up to four: y: [pixels, 4],
/// x: [pixels, channels], which may be y's last bytes.
typedef void (*widen_pixels_i8_fn)(int8_t *y, const int8_t *x, size_t pixels, size_t channels,
                                   int8_t value);

// --------------------------------------------------------------------------- stored weights to f32 (exact)

typedef void (*f32_from_f16_fn)(float *y, const uint16_t *x, size_t count);
typedef void (*f32_from_bf16_fn)(float *y, const uint16_t *x, size_t count);

/// y[i] = x[i] * scale.
typedef void (*f32_from_i8_fn)(float *y, const int8_t *x, size_t count, float scale);

/// y[i] = (nibble i - 8) * scale[i / group]; nibble i is the low half of byte i / 2 for even i, the high half for
/// odd i. count is a multiple of group, group of 2.
typedef void (*f32_from_i4_fn)(float *y, const uint8_t *x, const float *scale, size_t count,
                               size_t group);

/// Tells the core that the caller spins: it saves power and leaves a sibling thread its units.
static inline void kernel_spin_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// --------------------------------------------------------------------------- limits of the machine

/// Multiply-adds on registers alone, as many independent ones as hide their latency: the pace that no
/// product can pass. Returns how many f32 operations (two a multiply-add) `rounds` rounds were.
typedef size_t (*peak_f32_fn)(size_t rounds, float *result);

/// The sum of count floats (a multiple of 64) by several accumulators: the pace of reading memory.
typedef float (*read_f32_fn)(const float *x, size_t count);

/// As peak_f32, of integer multiply-adds; returns how many operations they were, two a multiply-add.
typedef size_t (*peak_i8_fn)(size_t rounds, int32_t *result);

// --------------------------------------------------------------------------- tables and their choice

/// Every kernel of one level. Nothing is NULL: a level copies the one below it and overrides.
struct kernel_table {
    const char *name;  // "scalar", "neon", "avx2", "avxvnni", "avx512", "avx512vnni", "dotprod", "i8mm"
    struct gemm_f32_kernels gemm_f32;
    struct gemm_i8_kernels gemm_i8;
    quantize_i8_fn quantize_i8;
    quantize_rows_i8_fn quantize_rows_i8;
    depthwise_f32_fn depthwise_f32;
    attention_f32_fn attention_f32;
    activate_f32_fn activate_f32;
    binary_f32_fn binary_f32;
    affine_f32_fn affine_f32;
    modulate_f32_fn modulate_f32;
    gate_add_f32_fn gate_add_f32;
    geglu_f32_fn geglu_f32;
    layernorm_f32_fn layernorm_f32;
    rmsnorm_f32_fn rmsnorm_f32;
    groupnorm_stats_f32_fn groupnorm_stats_f32;
    scale_shift_f32_fn scale_shift_f32;
    softmax_f32_fn softmax_f32;
    l2_normalize_f32_fn l2_normalize_f32;
    mean_rows_f32_fn mean_rows_f32;
    max_pool_f32_fn max_pool_f32;
    max_pool_i8_fn max_pool_i8;
    upsample2x_f32_fn upsample2x_f32;
    sum_taps_f32_fn sum_taps_f32;
    transpose_f32_fn transpose_f32;
    widen_pixels_i8_fn widen_pixels_i8;
    f32_from_f16_fn f32_from_f16;
    f32_from_bf16_fn f32_from_bf16;
    f32_from_i8_fn f32_from_i8;
    f32_from_i4_fn f32_from_i4;
    peak_f32_fn peak_f32;
    read_f32_fn read_f32;
    peak_i8_fn peak_i8;
};

/// Levels compiled into this binary for this architecture, weakest first (0 is scalar).
size_t kernel_level_count(void);

/// The table of a level; valid for the life of the process, never written after the first call returns.
const struct kernel_table *kernel_level(size_t level);

/// Whether this CPU (and the operating system's saved state) can run a level.
bool kernel_level_runs(size_t level);

/// The feature a level needs that this CPU lacks, e.g. "avx512f"; NULL when it runs.
const char *kernel_level_missing(size_t level);

/// What half-precision products of a level lack here, e.g. "half-precision arithmetic (asimdhp)"; NULL when they run.
const char *kernel_halves_missing(size_t level);

/// One line on the CPU as detected: vendor, model, features that matter. Valid for the life of the process.
const char *kernel_cpu_summary(void);

/// Which cores execute in order, by the text of /proc/cpuinfo of an ARM system: in_order[i] for the core that
/// is "processor : i", false for those that the text does not name. Returns how many cores it names.
size_t cores_in_order_from_cpuinfo(const char *text, bool *in_order, size_t capacity);

#endif
