// The specification of the epilogue that ends products and convolutions.

/// The epilogue of one sum.
static float finish(double sum, const struct epilogue_f32 *epilogue, size_t row, size_t column) {
    float t = (float)sum;
    if (epilogue->bias) {
        t += epilogue->bias[column];
    }
    if (!epilogue->residual) {
        return activate_scalar(t, epilogue->activation);
    }
    float residual = epilogue->residual[row * epilogue->residual_stride + column];
    return epilogue->residual_first ? activate_scalar(t + residual, epilogue->activation)
                                    : activate_scalar(t, epilogue->activation) + residual;
}
