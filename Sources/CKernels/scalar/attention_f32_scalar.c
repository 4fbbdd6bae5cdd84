// The specification of attention: a query at a time, its keys in tiles, as all levels have them.
#include "../internal.h"
#include "simd.h"
#include "../shared/activation_body.h"
#include "row_sums_scalar.h"

enum { GREATEST_DIMENSION = 512 };

/// What a query has seen so far.
struct query {
    float numbers[GREATEST_DIMENSION];  // times the scale and log2(e)
    float output[GREATEST_DIMENSION];   // not yet divided by the sum
    float highest, sum;
};

/// The score of query i and key j; -infinity where the key is hidden.
static float attention_score(const struct attention_f32_args *args, const struct query *query, size_t i,
                             size_t j) {
    const float *k = args->k + j * args->k_stride;
    float score = 0;
    for (size_t d = 0; d < args->head_dimension; d++) {
        score = fmaf(query->numbers[d], k[d], score);
    }
    if (args->key_bias) {
        score = fmaf(args->key_bias[j], LOG2_E, score);
    }
    if (args->score_bias) {
        ptrdiff_t place = (ptrdiff_t)i * args->score_bias_stride + (ptrdiff_t)j;
        score = fmaf(args->score_bias[place], LOG2_E, score);
    }
    return args->causal && j > i ? -INFINITY : score;
}

/// Takes keys [first, first + count) in.
static void attention_see(const struct attention_f32_args *args, struct query *query, size_t i,
                          size_t first, size_t count) {
    float weights[ATTENTION_KEY_TILE], lanes[SUM_LANES] = {0};
    float before = query->highest;
    for (size_t j = 0; j < count; j++) {
        weights[j] = attention_score(args, query, i, first + j);
        query->highest = weights[j] > query->highest ? weights[j] : query->highest;
    }
    // While no key has been seen any finite number in the maximum's place gives weights of zero.
    float center = query->highest == -INFINITY ? 0 : query->highest;
    for (size_t j = 0; j < count; j++) {
        weights[j] = v_exp2_of_negative(weights[j] - center);
        lanes[j % SUM_LANES] += weights[j];
    }
    if (query->highest == before) {
        query->sum += sum_of_lanes(lanes);
    } else {
        float correction = before == -INFINITY ? 0 : v_exp2_of_negative(before - query->highest);
        query->sum = fmaf(query->sum, correction, sum_of_lanes(lanes));
        for (size_t d = 0; d < args->head_dimension; d++) {
            query->output[d] *= correction;
        }
    }
    for (size_t j = 0; j < count; j++) {
        for (size_t d = 0; d < args->head_dimension; d++) {
            float value = args->v[(first + j) * args->v_stride + d];
            query->output[d] = fmaf(weights[j], value, query->output[d]);
        }
    }
}

void attention_f32_scalar(const struct attention_f32_args *args, float *scratch, size_t query_begin,
                          size_t query_end) {
    (void)scratch;
    ASSUME(args->head_dimension > 0 && args->head_dimension <= GREATEST_DIMENSION);
    size_t keys = args->key_count;
    float scale = args->scale * LOG2_E;
    for (size_t i = query_begin; i < query_end; i++) {
        struct query query = {.highest = -INFINITY};
        for (size_t d = 0; d < args->head_dimension; d++) {
            query.numbers[d] = args->q[i * args->q_stride + d] * scale;
        }
        for (size_t first = 0; first < keys && !(args->causal && first > i); first += ATTENTION_KEY_TILE) {
            size_t left = keys - first;
            attention_see(args, &query, i, first, left < ATTENTION_KEY_TILE ? left : ATTENTION_KEY_TILE);
        }
        float factor = query.sum == 0 ? 0 : 1 / query.sum;
        for (size_t d = 0; d < args->head_dimension; d++) {
            args->y[i * args->y_stride + d] = query.output[d] * factor;
        }
    }
}
