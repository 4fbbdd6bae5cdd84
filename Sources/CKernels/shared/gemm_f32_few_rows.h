// Products of few rows with weights that are not f32: each vector of weights is expanded in a register and
// multiplied there, for expanding into memory costs as much as such a product itself.

enum {
    /// Rows that are worth it: their sums fit the registers, beside a broadcast number for each row, which NEON's
    /// tile does without.
    FEW_ROWS = LANES == 4 ? 4 : 6,
    /// Depth that is left to the register tile, which knows the epilogues.
    LAST_DEPTH = 16,
};

/// sums[r, c] += a[r, d] * weight[d, c] over `depth` from the number `index` of the panel's values on; for each sum
/// in the order and with the roundings of the register tile. `factors` are of TILE_COLUMNS or NULL.
ALWAYS_INLINE void multiply_in_registers(float *sums, const float *a, const void *values,
                                         size_t index, size_t depth, const float *factors,
                                         const size_t rows, const enum weight_format format) {
    const size_t vectors = TILE_COLUMNS / LANES;
    vec sum[FEW_ROWS][TILE_COLUMNS / LANES], factor[TILE_COLUMNS / LANES];
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        factor[v] = factors ? v_load(factors + v * LANES) : v_set1(1);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            sum[r][v] = v_load(sums + r * TILE_COLUMNS + v * LANES);
        }
    }
    for (const float *end = a + depth; a < end; a++, index += TILE_COLUMNS) {
        __builtin_prefetch((const char *)values + packed_bytes(index, format) + 4 * PREFETCH_AHEAD);
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vec w = v_packed(values, index + v * LANES, format);
            w = factors ? v_mul(w, factor[v]) : w;
            UNROLL
            for (size_t r = 0; r < rows; r++) {
                sum[r][v] = v_fma(v_set1(a[r * GATHERED_STRIDE]), w, sum[r][v]);
            }
        }
    }
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            v_store(sums + r * TILE_COLUMNS + v * LANES, sum[r][v]);
        }
    }
}

ALWAYS_INLINE void multiply_rows(float *sums, const float *a, const void *values, size_t index,
                                 size_t depth, const float *factors, size_t rows,
                                 const enum weight_format format) {
    switch (rows) {
        case 1: multiply_in_registers(sums, a, values, index, depth, factors, 1, format); return;
        case 2: multiply_in_registers(sums, a, values, index, depth, factors, 2, format); return;
        case 3: multiply_in_registers(sums, a, values, index, depth, factors, 3, format); return;
        case 4: multiply_in_registers(sums, a, values, index, depth, factors, 4, format); return;
        case 5: multiply_in_registers(sums, a, values, index, depth, factors, 5, format); return;
        default: multiply_in_registers(sums, a, values, index, depth, factors, 6, format); return;
    }
}

static void multiply_format(float *sums, const float *a, const struct packed_weight *weight,
                            size_t index, size_t depth, const float *factors, size_t rows) {
    const void *values = weight->values;
    switch (weight->format) {
        case WEIGHT_F16: multiply_rows(sums, a, values, index, depth, factors, rows, WEIGHT_F16); return;
        case WEIGHT_BF16: multiply_rows(sums, a, values, index, depth, factors, rows, WEIGHT_BF16); return;
        case WEIGHT_I8: multiply_rows(sums, a, values, index, depth, factors, rows, WEIGHT_I8); return;
        default: multiply_rows(sums, a, values, index, depth, factors, rows, WEIGHT_I4); return;
    }
}

/// As multiply_in_registers, over depth [wanted.begin, wanted.end) of one panel; a begins at wanted.begin.
static void multiply_few_rows(float *sums, const float *a, const struct packed_weight *weight,
                              size_t depth, size_t panel, struct range wanted, size_t rows) {
    size_t first = panel * depth;
    if (!weight->factors) {
        multiply_format(sums, a, weight, (first + wanted.begin) * TILE_COLUMNS,
                        wanted.end - wanted.begin, NULL, rows);
        return;
    }
    size_t groups = depth / weight->factor_depth;
    for (size_t begin = wanted.begin, end; begin < wanted.end; begin = end) {
        size_t group = begin / weight->factor_depth;
        end = smaller((group + 1) * weight->factor_depth, wanted.end);
        multiply_format(sums, a + (begin - wanted.begin), weight, (first + begin) * TILE_COLUMNS,
                        end - begin, weight->factors + (panel * groups + group) * TILE_COLUMNS, rows);
    }
}
