// The specification of the epilogue that ends products and convolutions.

/// The epilogue of one sum, over a residual; NULL: none.
static float finish_adding(float sum, const struct epilogue_f32 *epilogue, size_t column,
                           const float *residual) {
    float t = sum;
    if (epilogue->bias) {
        t += epilogue->bias[column];
    }
    if (!residual) {
        return activate_scalar(t, epilogue->activation);
    }
    return epilogue->residual_first ? activate_scalar(t + *residual, epilogue->activation)
                                    : activate_scalar(t, epilogue->activation) + *residual;
}

/// The epilogue of one sum.
static __attribute__((unused)) float finish(float sum, const struct epilogue_f32 *epilogue,
                                            size_t row, size_t column) {
    const float *residual = epilogue->residual;
    return finish_adding(sum, epilogue, column,
                         residual ? residual + row * epilogue->residual_stride + column : NULL);
}
