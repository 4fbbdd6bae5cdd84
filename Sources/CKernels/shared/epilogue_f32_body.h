// The epilogue of products and convolutions, on one vector; over the vocabulary of simd.h.
#include "activation_body.h"

/// The first `count` lanes from memory; the others are zero.
ALWAYS_INLINE vec v_load_first(const float *x, size_t count) {
    return count >= LANES ? v_load(x) : v_load_n(x, count);
}

/// The first `count` lanes to memory.
ALWAYS_INLINE void v_store_first(float *y, vec x, size_t count) {
    if (count >= LANES) {
        v_store(y, x);
    } else {
        v_store_n(y, x, count);
    }
}

/// Apart, so that the code of all activations does not come with each vector of a tile.
static __attribute__((noinline, unused)) vec v_activate_apart(vec x, enum activation activation) {
    return v_activate(x, activation);
}

ALWAYS_INLINE vec v_activate_soon(vec x, enum activation activation) {
    switch (activation) {
        case ACTIVATION_NONE: return x;
        case ACTIVATION_RELU: return v_activate(x, ACTIVATION_RELU);
        case ACTIVATION_RELU6: return v_activate(x, ACTIVATION_RELU6);
        default: return v_activate_apart(x, activation);
    }
}

/// Whether an activation is worth a pass of its own: so much arithmetic that its latency must be hidden by
/// that of the vectors around it.
ALWAYS_INLINE bool is_long(enum activation activation) {
    return activation != ACTIVATION_NONE && activation != ACTIVATION_RELU &&
           activation != ACTIVATION_RELU6;
}

/// What an epilogue does before its activation, and what behind it.
ALWAYS_INLINE void split_epilogue(const struct epilogue_f32 *epilogue, struct epilogue_f32 *before,
                                  struct epilogue_f32 *after) {
    *before = *after = *epilogue;
    before->activation = after->activation = ACTIVATION_NONE;
    after->bias = NULL;
    if (epilogue->residual_first) {
        after->residual = NULL;
    } else {
        before->residual = NULL;
    }
}

/// Activates whole vectors in place. Apart, so that the code of all activations is there once.
static __attribute__((noinline, unused)) void activate_block(float *x, size_t count,
                                                             enum activation activation) {
    ASSUME(count % LANES == 0);
    switch (activation) {
#define CASE(name)                                                    \
    case name:                                                        \
        for (size_t i = 0; i < count; i += LANES) {                   \
            v_store(x + i, v_activate(v_load(x + i), name));          \
        }                                                             \
        return;
        CASE(ACTIVATION_GELU)
        CASE(ACTIVATION_GELU_TANH)
        CASE(ACTIVATION_GELU_QUICK)
        CASE(ACTIVATION_SILU)
        CASE(ACTIVATION_TANH)
        CASE(ACTIVATION_SIGMOID)
#undef CASE
        default: return;
    }
}

/// The epilogue of `count` <= LANES sums of one row, which begin at `column`, over a residual if it `adds` one.
ALWAYS_INLINE vec v_epilogue_adding(vec sum, const struct epilogue_f32 *epilogue, size_t column,
                                    size_t count, bool adds, vec residual) {
    vec t = sum;
    if (epilogue->bias) {
        t = v_add(t, v_load_first(epilogue->bias + column, count));
    }
    if (!adds) {
        return v_activate_soon(t, epilogue->activation);
    }
    return epilogue->residual_first
               ? v_activate_soon(v_add(t, residual), epilogue->activation)
               : v_add(v_activate_soon(t, epilogue->activation), residual);
}

/// The epilogue of `count` <= LANES sums of one row, which begin at `column`.
ALWAYS_INLINE vec v_epilogue(vec sum, const struct epilogue_f32 *epilogue, size_t row,
                             size_t column, size_t count) {
    vec residual = v_zero();
    if (epilogue->residual) {
        residual = v_load_first(epilogue->residual + row * epilogue->residual_stride + column, count);
    }
    return v_epilogue_adding(sum, epilogue, column, count, epilogue->residual != NULL, residual);
}
