// The one order in which numbers are summed that no chain of multiply-adds sums, on every level: number i of a row
// belongs to lane i % SUM_LANES, which adds its numbers one after the other; then lanes add up by halves down to
// four, and these by neighbours, as NEON's instructions do. Wider vectors are fewer, that is all.
#ifndef PIPIT_ROW_SUMS_H
#define PIPIT_ROW_SUMS_H

enum { SUM_VECTORS = SUM_LANES / LANES };

/// The sum of all lanes. `v_sum` does the last steps, from LANES on.
ALWAYS_INLINE float v_sum_lanes(vec lanes[SUM_VECTORS]) {
    UNROLL
    for (size_t count = SUM_VECTORS / 2; count > 0; count /= 2) {
        UNROLL
        for (size_t v = 0; v < count; v++) {
            lanes[v] = v_add(lanes[v], lanes[v + count]);
        }
    }
    return v_sum(lanes[0]);
}

#endif
