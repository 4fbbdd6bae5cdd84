// Attention of one head by tiles of keys with a running maximum (Milakov & Gimelshein 2018; Dao et al.
// 2022), over the vocabulary of simd.h. Scores are computed against a transposed copy of the tile's
// keys, so that the lanes of a vector are keys and no sum across lanes is needed.

enum { QUERIES = ATTENTION_QUERY_TILE, KEYS = ATTENTION_KEY_TILE };

/// The parts of the caller's scratch memory.
struct attention_scratch {
    float *keys;     // [head_dimension, KEYS]: the tile's keys, transposed
    float *scores;   // [QUERIES, KEYS]
    float *outputs;  // [QUERIES, head_dimension], not yet divided by the sums
    float *highest;  // [QUERIES]
    float *sums;     // [QUERIES]
};

ALWAYS_INLINE struct attention_scratch attention_split(float *scratch, size_t dimension) {
    struct attention_scratch s;
    s.keys = scratch;
    s.scores = s.keys + dimension * KEYS;
    s.outputs = s.scores + QUERIES * KEYS;
    s.highest = s.outputs + QUERIES * dimension;
    s.sums = s.highest + QUERIES;
    return s;
}

static void attention_pack_keys(const struct attention_f32_args *args, float *keys, size_t first,
                                size_t count) {
    size_t dimension = args->head_dimension;
    for (size_t d = 0; d < dimension; d++) {
        const float *k = args->k + first * args->k_stride + d;
        float *row = keys + d * KEYS;
        for (size_t j = 0; j < count; j++) {
            row[j] = k[j * args->k_stride];
        }
        for (size_t j = count; j < KEYS; j++) {
            row[j] = 0;
        }
    }
}

/// scores[i, j] = scale * sum over d of q[i, d] * keys[d, j] for `rows` queries.
ALWAYS_INLINE void attention_scores(const struct attention_f32_args *args, const float *q,
                                    const float *keys, float *scores, size_t rows) {
    vec scale = v_set1(args->scale);
    for (size_t j = 0; j < KEYS; j += 2 * LANES) {
        vec a[4], b[4];
        for (size_t i = 0; i < rows; i++) {
            a[i] = b[i] = v_zero();
        }
        for (size_t d = 0; d < args->head_dimension; d++) {
            vec k0 = v_load(keys + d * KEYS + j), k1 = v_load(keys + d * KEYS + j + LANES);
            for (size_t i = 0; i < rows; i++) {
                vec x = v_set1(q[i * args->q_stride + d]);
                a[i] = v_fma(x, k0, a[i]);
                b[i] = v_fma(x, k1, b[i]);
            }
        }
        for (size_t i = 0; i < rows; i++) {
            v_store(scores + i * KEYS + j, v_mul(a[i], scale));
            v_store(scores + i * KEYS + j + LANES, v_mul(b[i], scale));
        }
    }
}

/// Adds the bias of keys and hides the keys that a query must not see.
static void attention_mask(const struct attention_f32_args *args, float *scores, size_t query,
                           size_t first, size_t count) {
    if (args->key_bias) {
        for (size_t j = 0; j < count; j++) {
            scores[j] += args->key_bias[first + j];
        }
    }
    size_t visible = count;
    if (args->causal && first + count > query + 1) {
        visible = query + 1 > first ? query + 1 - first : 0;
    }
    for (size_t j = visible; j < KEYS; j++) {
        scores[j] = -INFINITY;
    }
}

/// Turns scores into weights e^(score - maximum) and brings what was summed before to the new maximum.
static void attention_weights(struct attention_scratch *s, size_t i, size_t dimension) {
    float *scores = s->scores + i * KEYS;
    vec highest = v_load(scores);
    for (size_t j = LANES; j < KEYS; j += LANES) {
        highest = v_max(highest, v_load(scores + j));
    }
    float before = s->highest[i], now = v_highest(highest);
    now = now > before ? now : before;
    // While no key has been seen the maximum is -infinity, and so is every score: any finite number
    // in its place gives weights of zero.
    vec center = v_set1(now == -INFINITY ? 0 : now);
    vec sum = v_zero();
    for (size_t j = 0; j < KEYS; j += LANES) {
        vec e = v_exp(v_sub(v_load(scores + j), center));
        v_store(scores + j, e);
        sum = v_add(sum, e);
    }
    float correction = before == -INFINITY ? 0 : expf(before - now);
    s->sums[i] = s->sums[i] * correction + v_sum(sum);
    s->highest[i] = now;
    float *output = s->outputs + i * dimension;
    if (correction != 1) {
        for (size_t d = 0; d < dimension; d++) {
            output[d] *= correction;
        }
    }
}

/// outputs[i, :] += sum over j of weights[i, j] * v[j, :] for `rows` queries.
ALWAYS_INLINE void attention_accumulate(const struct attention_f32_args *args, const float *v,
                                        const float *weights, float *outputs, size_t rows,
                                        size_t count) {
    size_t dimension = args->head_dimension;
    for (size_t d = 0; d < dimension; d += LANES) {
        size_t n = dimension - d < LANES ? dimension - d : LANES;
        vec sum[4];
        for (size_t i = 0; i < rows; i++) {
            float *output = outputs + i * dimension + d;
            sum[i] = n == LANES ? v_load(output) : v_load_n(output, n);
        }
        for (size_t j = 0; j < count; j++) {
            const float *value = v + j * args->v_stride + d;
            vec x = n == LANES ? v_load(value) : v_load_n(value, n);
            for (size_t i = 0; i < rows; i++) {
                sum[i] = v_fma(v_set1(weights[i * KEYS + j]), x, sum[i]);
            }
        }
        for (size_t i = 0; i < rows; i++) {
            float *output = outputs + i * dimension + d;
            if (n == LANES) {
                v_store(output, sum[i]);
            } else {
                v_store_n(output, sum[i], n);
            }
        }
    }
}

/// All queries of a tile against one tile of keys.
static void attention_tile(const struct attention_f32_args *args, struct attention_scratch *s,
                           size_t query, size_t query_count, size_t key, size_t key_count) {
    const float *q = args->q + query * args->q_stride;
    const float *v = args->v + key * args->v_stride;
    size_t dimension = args->head_dimension;
    for (size_t i = 0; i < query_count; i += 4) {
        if (query_count - i >= 4) {
            attention_scores(args, q + i * args->q_stride, s->keys, s->scores + i * KEYS, 4);
        } else {
            for (size_t row = i; row < query_count; row++) {
                attention_scores(args, q + row * args->q_stride, s->keys, s->scores + row * KEYS, 1);
            }
        }
    }
    for (size_t i = 0; i < query_count; i++) {
        attention_mask(args, s->scores + i * KEYS, query + i, key, key_count);
        attention_weights(s, i, dimension);
    }
    for (size_t i = 0; i < query_count; i += 4) {
        if (query_count - i >= 4) {
            attention_accumulate(args, v, s->scores + i * KEYS, s->outputs + i * dimension, 4,
                                 key_count);
        } else {
            for (size_t row = i; row < query_count; row++) {
                attention_accumulate(args, v, s->scores + row * KEYS, s->outputs + row * dimension,
                                     1, key_count);
            }
        }
    }
}

static void attention_f32(const struct attention_f32_args *args, float *scratch,
                          size_t query_begin, size_t query_end) {
    ASSUME(args->head_dimension > 0 && args->head_dimension <= 512);
    ASSUME(query_end <= args->query_count);
    size_t dimension = args->head_dimension;
    struct attention_scratch s = attention_split(scratch, dimension);
    for (size_t query = query_begin; query < query_end; query += QUERIES) {
        size_t query_count = query_end - query < QUERIES ? query_end - query : QUERIES;
        for (size_t i = 0; i < query_count; i++) {
            s.highest[i] = -INFINITY;
            s.sums[i] = 0;
        }
        memset(s.outputs, 0, query_count * dimension * sizeof(float));
        for (size_t key = 0; key < args->key_count; key += KEYS) {
            if (args->causal && key >= query + query_count) {
                break;
            }
            size_t key_count = args->key_count - key < KEYS ? args->key_count - key : KEYS;
            attention_pack_keys(args, s.keys, key, key_count);
            attention_tile(args, &s, query, query_count, key, key_count);
        }
        for (size_t i = 0; i < query_count; i++) {
            float factor = s.sums[i] == 0 ? 0 : 1 / s.sums[i];
            float *y = args->y + (query + i) * args->y_stride;
            for (size_t d = 0; d < dimension; d++) {
                y[d] = s.outputs[i * dimension + d] * factor;
            }
        }
    }
}
