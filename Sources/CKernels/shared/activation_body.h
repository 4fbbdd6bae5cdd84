// Elementwise functions on one vector, over the vocabulary of simd.h.
#ifndef ACTIVATION_BODY
#define ACTIVATION_BODY

/// e^x within 3e-7 of exact (relative); 0 below -104, infinity above 89, NaN stays.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r by the polynomial of degree 5 that begins with 1 + r and has the
/// least greatest relative error there, 1.05e-7 (fitted for this).
ALWAYS_INLINE vec v_exp(vec x) {
    // The constant first: where x is NaN these return their second argument.
    x = v_max(v_set1(-104.0f), v_min(v_set1(89.0f), x));
    vec n = v_round(v_mul(x, v_set1(1.44269504088896341f)));
    vec r = v_fma(n, v_set1(-0.693145751953125f), x);
    r = v_fma(n, v_set1(-1.42860682030941723e-6f), r);
    vec p = v_set1(0.008312501944601536f);
    p = v_fma(p, r, v_set1(0.04189033433794975f));
    p = v_fma(p, r, v_set1(0.16667115688323975f));
    p = v_fma(p, r, v_set1(0.499992311000824f));
    p = v_fma(p, r, v_set1(1.0f));
    p = v_fma(p, r, v_set1(1.0f));
    return v_scale(p, n);
}

/// 2^x for x <= 0, within 2e-7 of it; 0 from -151 on. A polynomial over what is left of the nearest whole number,
/// which is exact, that is 1 at 0 (fitted for this: 9.6e-8 before rounding).
ALWAYS_INLINE vec v_exp2_of_negative(vec x) {
    // The constant first: where x is NaN this returns its second argument.
    x = v_max(v_set1(-151.0f), x);
    vec r = v_rest(x);
    vec p = v_set1(0.0013264724f);
    p = v_fma(p, r, v_set1(0.0096715195f));
    p = v_fma(p, r, v_set1(0.05550721f));
    p = v_fma(p, r, v_set1(0.24022244f));
    p = v_fma(p, r, v_set1(0.693147f));
    p = v_fma(p, r, v_set1(1.0f));
    return v_scale(p, v_whole(x, r));
}

/// x / (1 + e^-u): x times the sigmoid of u, within 3e-7 |x|.
///
/// e^-u = 2^n 2^r with whole n and |r| <= 1/2; 2^r by the polynomial of `v_exp2_of_negative`. What rounding
/// u log2 e costs grows as u does, but where u is large it is lost in the sum with 1, or the quotient is near 0.
ALWAYS_INLINE vec v_gate(vec x, vec u) {
    // Below the sum is 1; at 2^128, which is infinity, the quotient is 0. Where u is NaN these return their second
    // argument.
    vec t = v_max(v_set1(-64.0f), v_min(v_set1(128.0f), v_mul(u, v_set1(-1.44269504088896341f))));
    vec r = v_rest(t);
    // Pairs of terms, as a multiply-add on ARM needs its sum copied first: fewer with constants as sums.
    vec square = v_mul(r, r);
    vec low = v_fma(r, v_set1(0.693147f), v_set1(1.0f));
    vec middle = v_fma(r, v_set1(0.05550721f), v_set1(0.24022244f));
    vec high = v_fma(r, v_set1(0.0013264724f), v_set1(0.0096715195f));
    vec p = v_fma(v_fma(high, square, middle), square, low);
    return v_div(x, v_add(v_set1(1), v_add_exponent(p, v_whole(t, r))));
}

ALWAYS_INLINE vec v_sigmoid(vec x) { return v_gate(v_set1(1), x); }

/// tanh |x| = 1 - 2 / (e^(2|x|) + 1), with the sign of x.
ALWAYS_INLINE vec v_tanh(vec x) {
    vec e = v_exp(v_mul(v_set1(2), v_abs(x)));
    return v_with_sign(v_sub(v_set1(1), v_div(v_set1(2), v_add(e, v_set1(1)))), x);
}

/// x times the normal distribution's share below x, P(x).
///
/// P(x) - 1/2 is odd: x times a polynomial of degree 12 in x^2 up to |x| = 5.1, where 1/2 is reached; the
/// greatest error there, 2.2e-7, is the least for that degree (fitted for this). The polynomial's variable is
/// brought to -1 ... 1, where its terms do not cancel.
ALWAYS_INLINE vec v_gelu(vec x) {
    // The constant first: where x is NaN these return their second argument.
    vec near = v_max(v_set1(-5.1f), v_min(v_set1(5.1f), x));
    vec v = v_fma(v_mul(near, near), v_set1(0.0768935f), v_set1(-1.0f));
    // Even and odd powers apart: chains half as long.
    vec square = v_mul(v, v);
    vec even = v_set1(0.000814692f), odd = v_set1(-0.00209367f);
    even = v_fma(even, square, v_set1(0.0020169737f));
    odd = v_fma(odd, square, v_set1(-0.0029118021f));
    even = v_fma(even, square, v_set1(0.007200828f));
    odd = v_fma(odd, square, v_set1(-0.012288354f));
    even = v_fma(even, square, v_set1(0.017332328f));
    odd = v_fma(odd, square, v_set1(-0.023922332f));
    even = v_fma(even, square, v_set1(0.031738345f));
    odd = v_fma(odd, square, v_set1(-0.04023202f));
    even = v_fma(even, square, v_set1(0.05078169f));
    odd = v_fma(odd, square, v_set1(-0.06900275f));
    even = v_fma(even, square, v_set1(0.1386053f));
    vec p = v_fma(odd, v, even);
    vec share = v_max(v_set1(-0.5f), v_min(v_set1(0.5f), v_mul(near, p)));
    return v_fma(x, share, v_mul(v_set1(0.5f), x));
}

/// x * 0.5 * (1 + tanh u) = x * sigmoid(2 u)
ALWAYS_INLINE vec v_gelu_tanh(vec x) {
    vec cube = v_mul(v_mul(x, x), x);
    vec u = v_mul(v_set1(2 * 0.79788456080286536f), v_fma(v_set1(0.044715f), cube, x));
    return v_gate(x, u);
}

ALWAYS_INLINE vec v_activate(vec x, enum activation activation) {
    switch (activation) {
        case ACTIVATION_NONE: return x;
        case ACTIVATION_RELU: return v_max(v_zero(), x);
        case ACTIVATION_RELU6: return v_min(v_set1(6), v_max(v_zero(), x));
        case ACTIVATION_GELU: return v_gelu(x);
        case ACTIVATION_GELU_TANH: return v_gelu_tanh(x);
        case ACTIVATION_GELU_QUICK: return v_gate(x, v_mul(v_set1(1.702f), x));
        case ACTIVATION_SILU: return v_gate(x, x);
        case ACTIVATION_TANH: return v_tanh(x);
        case ACTIVATION_SIGMOID: return v_sigmoid(x);
    }
    return x;
}

#endif
