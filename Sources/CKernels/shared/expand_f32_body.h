// Stored weights to f32 over the vocabulary of simd.h. What is left over goes through the same vector
// instructions on a padded copy, so that every level gives the same bits.

static void f32_from_f16(float *y, const uint16_t *x, size_t count) {
    ASSUME(y);
    ASSUME(x);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v_store(y + i, v_from_f16(x + i));
    }
    if (i < count) {
        uint16_t rest[LANES] = {0};
        memcpy(rest, x + i, (count - i) * sizeof rest[0]);
        v_store_n(y + i, v_from_f16(rest), count - i);
    }
}

static void f32_from_bf16(float *y, const uint16_t *x, size_t count) {
    ASSUME(y);
    ASSUME(x);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v_store(y + i, v_from_bf16(x + i));
    }
    if (i < count) {
        uint16_t rest[LANES] = {0};
        memcpy(rest, x + i, (count - i) * sizeof rest[0]);
        v_store_n(y + i, v_from_bf16(rest), count - i);
    }
}

static void f32_from_i8(float *y, const int8_t *x, size_t count, float scale) {
    ASSUME(y);
    ASSUME(x);
    vec factor = v_set1(scale);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        v_store(y + i, v_mul(v_from_i8(x + i), factor));
    }
    if (i < count) {
        int8_t rest[LANES] = {0};
        memcpy(rest, x + i, count - i);
        v_store_n(y + i, v_mul(v_from_i8(rest), factor), count - i);
    }
}

static void f32_from_i4(float *y, const uint8_t *x, const float *scale, size_t count,
                        size_t group) {
    ASSUME(group > 0 && group % 2 == 0);
    ASSUME(count % group == 0);
    for (size_t begin = 0; begin < count; begin += group) {
        vec factor = v_set1(scale[begin / group]);
        size_t i = begin;
        for (; i + LANES <= begin + group; i += LANES) {
            v_store(y + i, v_mul(v_from_nibbles(x + i / 2), factor));
        }
        if (i < begin + group) {
            uint8_t rest[LANES / 2] = {0};
            memcpy(rest, x + i / 2, (begin + group - i) / 2);
            v_store_n(y + i, v_mul(v_from_nibbles(rest), factor), begin + group - i);
        }
    }
}
