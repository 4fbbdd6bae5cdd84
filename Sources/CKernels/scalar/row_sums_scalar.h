// The order of sums over rows (see shared/row_sums.h), spelt out.

/// The sum of SUM_LANES lanes.
ALWAYS_INLINE float sum_of_lanes(const float *lanes) {
    float fours[4];
    for (size_t i = 0; i < 4; i++) {
        fours[i] = (lanes[i] + lanes[i + 8]) + (lanes[i + 4] + lanes[i + 12]);
    }
    return (fours[0] + fours[1]) + (fours[2] + fours[3]);
}
