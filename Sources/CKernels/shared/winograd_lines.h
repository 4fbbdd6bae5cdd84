// Winograd's transforms of one line, by their number of points of evaluation:
//
//     5   F(4, 2)   0, 1, -1, 2, infinity
//     6   F(4, 3)   0, 1, -1, 2, -2, infinity
//     8   F(6, 3)   0, 1, -1, 2, -2, 1/2, -1/2, infinity

enum { WINOGRAD_POINTS = 8 };  // at most

ALWAYS_INLINE size_t winograd_side(const size_t points) { return points == 8 ? 6 : 4; }

ALWAYS_INLINE vec v_times(vec a, float b) { return v_mul(a, v_set1(b)); }
/// a + b * c
ALWAYS_INLINE vec v_plus(vec a, float b, vec c) { return v_fma(v_set1(b), c, a); }

/// A line of the image: `stride` vectors from number to number.
ALWAYS_INLINE void winograd_input(vec *d, const size_t stride, const size_t points) {
    vec d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride], d4 = d[4 * stride];
    if (points == 5) {
        vec odd = v_plus(v_sub(d3, d2), -2, d1);
        d[0] = v_add(v_sub(v_add(d0, d0), d1), v_plus(d3, -2, d2));
        d[stride] = odd;
        d[2 * stride] = v_plus(v_plus(d3, -3, d2), 2, d1);
        d[3 * stride] = v_sub(d3, d1);
        d[4 * stride] = v_add(v_sub(v_add(d1, d1), d2), v_plus(d4, -2, d3));
        return;
    }
    vec d5 = d[5 * stride];
    if (points == 8) {
        vec d6 = d[6 * stride], d7 = d[7 * stride], half3 = v_times(d3, -2.5f);
        vec even1 = v_plus(v_add(d2, d6), -4.25f, d4), odd1 = v_plus(v_add(d1, d5), -4.25f, d3);
        vec even2 = v_plus(v_plus(d6, 0.25f, d2), -1.25f, d4);
        vec odd2 = v_plus(v_plus(half3, 0.5f, d1), 2, d5);
        vec evenhalf = v_plus(v_plus(d6, 4, d2), -5, d4);
        vec oddhalf = v_plus(v_plus(half3, 2, d1), 0.5f, d5);
        d[0] = v_plus(v_sub(d0, d6), 5.25f, v_sub(d4, d2));
        d[stride] = v_add(even1, odd1);
        d[2 * stride] = v_sub(even1, odd1);
        d[3 * stride] = v_add(even2, odd2);
        d[4 * stride] = v_sub(even2, odd2);
        d[5 * stride] = v_add(evenhalf, oddhalf);
        d[6 * stride] = v_sub(evenhalf, oddhalf);
        d[7 * stride] = v_plus(v_sub(d7, d1), 5.25f, v_sub(d3, d5));
        return;
    }
    // In an order in which what is added to has no other use left: NEON's multiply-adds overwrite it.
    vec even1 = v_sub(d4, d2), odd1 = v_sub(d3, d1), twice = v_add(odd1, odd1);
    d[3 * stride] = v_add(even1, twice);
    d[4 * stride] = v_sub(even1, twice);
    d[0] = v_plus(even1, 4, v_sub(d0, d2));
    d[5 * stride] = v_plus(v_sub(d5, d3), -4, odd1);
    vec even4 = v_plus(d4, -4, d2), odd4 = v_plus(d3, -4, d1);
    d[stride] = v_add(even4, odd4);
    d[2 * stride] = v_sub(even4, odd4);
}

/// A line of the sums: `points` numbers to as many as a side of the tile has. The factors of the filters'
/// transform are here, for there are fewer sums than filters.
ALWAYS_INLINE void winograd_output(vec *m, const size_t stride, const size_t points) {
    vec m0 = m[0], m1 = m[stride], m2 = m[2 * stride], m3 = m[3 * stride], m4 = m[4 * stride];
    if (points == 5) {
        vec first = v_times(m1, -0.5f);
        vec even = v_plus(first, 1.0f / 6, m2), odd = v_plus(first, -1.0f / 6, m2);
        m[0] = v_plus(v_plus(even, 0.5f, m0), 1.0f / 6, m3);
        m[stride] = v_plus(odd, 2.0f / 6, m3);
        m[2 * stride] = v_plus(even, 4.0f / 6, m3);
        m[3 * stride] = v_add(v_plus(odd, 8.0f / 6, m3), m4);
        return;
    }
    vec m5 = m[5 * stride];
    if (points == 8) {
        vec m6 = m[6 * stride], m7 = m[7 * stride];
        vec even = v_times(v_add(m1, m2), -2.0f / 9), odd = v_times(v_sub(m1, m2), -2.0f / 9);
        vec even2 = v_add(m3, m4), odd2 = v_sub(m3, m4);
        vec evenhalf = v_add(m5, m6), oddhalf = v_sub(m5, m6);
        m[0] = v_plus(v_plus(v_add(m0, even), 1.0f / 90, even2), 8.0f / 45, evenhalf);
        m[stride] = v_plus(v_plus(odd, 2.0f / 90, odd2), 4.0f / 45, oddhalf);
        m[2 * stride] = v_plus(v_plus(even, 4.0f / 90, even2), 2.0f / 45, evenhalf);
        m[3 * stride] = v_plus(v_plus(odd, 8.0f / 90, odd2), 1.0f / 45, oddhalf);
        m[4 * stride] = v_plus(v_plus(even, 16.0f / 90, even2), 1.0f / 90, evenhalf);
        m[5 * stride] = v_plus(v_plus(v_add(m7, odd), 32.0f / 90, odd2), 1.0f / 180, oddhalf);
        return;
    }
    vec even = v_times(v_add(m1, m2), -1.0f / 6), odd = v_times(v_sub(m1, m2), -1.0f / 6);
    vec even2 = v_add(m3, m4), odd2 = v_sub(m3, m4);
    m[0] = v_plus(v_plus(even, 0.25f, m0), 1.0f / 24, even2);
    m[stride] = v_plus(odd, 2.0f / 24, odd2);
    m[2 * stride] = v_plus(even, 4.0f / 24, even2);
    m[3 * stride] = v_add(v_plus(odd, 8.0f / 24, odd2), m5);
}

/// A line of a filter, three taps, to `points` numbers, but for their factors, which the sums get:
///
///     5   1/2, -1/2, 1/6, 1/6, 1
///     6   1/4, -1/6, -1/6, 1/24, 1/24, 1
///     8   1, -2/9, -2/9, 1/90, 1/90, 8/45, 8/45, 1
///
/// Of an enlarged image the taps that fall on the same stored pixel add up, which two depends on the phase.
ALWAYS_INLINE void winograd_filter(vec *g, const size_t stride, vec w0, vec w1, vec w2,
                                   const size_t points, size_t phase) {
    if (points == 5) {
        vec u0 = phase == 0 ? w0 : v_add(w0, w1);
        vec u1 = phase == 0 ? v_add(w1, w2) : w2;
        g[0] = u0;
        g[stride] = v_add(u0, u1);
        g[2 * stride] = v_sub(u1, u0);
        g[3 * stride] = v_plus(u0, 2, u1);
        g[4 * stride] = u1;
        return;
    }
    vec ends = v_add(w0, w2), far = v_plus(w0, 4, w2), twice = v_add(w1, w1);
    g[0] = w0;
    g[stride] = v_add(ends, w1);
    g[2 * stride] = v_sub(ends, w1);
    g[3 * stride] = v_add(far, twice);
    g[4 * stride] = v_sub(far, twice);
    if (points == 8) {
        vec near = v_plus(w2, 4, w0);
        g[5 * stride] = v_add(near, twice);
        g[6 * stride] = v_sub(near, twice);
    }
    g[(points - 1) * stride] = w2;
}
