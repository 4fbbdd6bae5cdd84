// The machine's limits as this level can reach them, over the vocabulary of simd.h.

enum { PEAK_CHAINS = 12, PEAK_STEPS = 256 };

static size_t peak_f32(size_t rounds, float *result) {
    ASSUME(rounds > 0);
    ASSUME(result);
    vec sums[PEAK_CHAINS];
    for (size_t i = 0; i < PEAK_CHAINS; i++) {
        sums[i] = v_set1((float)i);
    }
    // Products below one, so that sums stay finite; the compiler must not know their value.
    vec a = v_set1(*result), b = v_set1(0.5f);
    for (size_t round = 0; round < rounds * PEAK_STEPS; round++) {
        _Pragma("clang loop unroll(full)")
        for (size_t i = 0; i < PEAK_CHAINS; i++) {
            sums[i] = v_fma(sums[i], a, b);
        }
    }
    vec sum = v_zero();
    for (size_t i = 0; i < PEAK_CHAINS; i++) {
        sum = v_add(sum, sums[i]);
    }
    *result = v_sum(sum);
    return rounds * PEAK_STEPS * PEAK_CHAINS * LANES * 2;
}

static float read_f32(const float *x, size_t count) {
    ASSUME(x);
    ASSUME(count % 64 == 0);
    vec sums[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (size_t i = 0; i < count; i += 4 * LANES) {
        for (size_t j = 0; j < 4; j++) {
            sums[j] = v_add(sums[j], v_load(x + i + j * LANES));
        }
    }
    return v_sum(v_add(v_add(sums[0], sums[1]), v_add(sums[2], sums[3])));
}
