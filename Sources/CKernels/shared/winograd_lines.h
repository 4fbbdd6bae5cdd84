// Winograd's transforms of one line, by their number of points of evaluation:
//
//     4   F(3, 2)            0, infinity, 1, -1
//     5   F(4, 2), F(3, 3)   0, infinity, 1, -1, 2
//     6   F(4, 3)            0, infinity, 1, -1, 2, -2
//     7   F(4, 4)            0, infinity, 1, -1, 2, -2, 1/2
//     8   F(6, 3)            0, infinity, 1, -1, 2, -2, 1/2, -1/2
//
// Fewer points are the first of more, so that tiles of different sides share the filters of their points.

enum { WINOGRAD_POINTS = 8 };  // at most

ALWAYS_INLINE vec v_times(vec a, float b) { return v_mul(a, v_set1(b)); }
/// a + b * c
ALWAYS_INLINE vec v_plus(vec a, float b, vec c) { return v_fma(v_set1(b), c, a); }

/// A line of the image: `stride` vectors from number to number.
ALWAYS_INLINE void winograd_input(vec *d, const size_t stride, const size_t points) {
    vec d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride];
    if (points == 4) {
        d[0] = v_sub(d0, d2);
        d[stride] = v_sub(d3, d1);
        d[2 * stride] = v_add(d1, d2);
        d[3 * stride] = v_sub(d2, d1);
        return;
    }
    vec d4 = d[4 * stride];
    if (points == 5) {
        vec odd = v_plus(v_sub(d3, d2), -2, d1);
        d[0] = v_add(v_sub(v_add(d0, d0), d1), v_plus(d3, -2, d2));
        d[stride] = v_add(v_sub(v_add(d1, d1), d2), v_plus(d4, -2, d3));
        d[2 * stride] = odd;
        d[3 * stride] = v_plus(v_plus(d3, -3, d2), 2, d1);
        d[4 * stride] = v_sub(d3, d1);
        return;
    }
    vec d5 = d[5 * stride];
    if (points == 7) {
        vec even = v_plus(v_plus(d4, -5, d2), 4, d0), odd = v_plus(v_plus(d5, -5, d3), 4, d1);
        vec later = v_plus(v_plus(d[6 * stride], -5, d4), 4, d2);
        vec ends = v_sub(d1, d5), inner = v_sub(d4, d2);
        d[0] = v_plus(even, -2, odd);
        d[stride] = v_add(v_sub(later, odd), later);
        d[2 * stride] = v_plus(v_plus(v_plus(v_times(d3, 9), -4, v_sub(d1, d2)), -2, d5), -1, d4);
        d[3 * stride] = v_plus(v_plus(v_plus(v_times(d3, -7), -4, v_plus(d1, -3, d2)), 2, d5), -3, d4);
        d[4 * stride] = v_plus(v_plus(v_times(v_add(d1, d5), 2), 3, inner), -4, d3);
        d[5 * stride] = v_plus(v_times(ends, 2), 5, inner);
        d[6 * stride] = odd;
        return;
    }
    if (points == 8) {
        vec d6 = d[6 * stride], d7 = d[7 * stride], half3 = v_times(d3, -2.5f);
        vec even1 = v_plus(v_add(d2, d6), -4.25f, d4), odd1 = v_plus(v_add(d1, d5), -4.25f, d3);
        vec even2 = v_plus(v_plus(d6, 0.25f, d2), -1.25f, d4);
        vec odd2 = v_plus(v_plus(half3, 0.5f, d1), 2, d5);
        vec evenhalf = v_plus(v_plus(d6, 4, d2), -5, d4);
        vec oddhalf = v_plus(v_plus(half3, 2, d1), 0.5f, d5);
        d[0] = v_plus(v_sub(d0, d6), 5.25f, v_sub(d4, d2));
        d[stride] = v_plus(v_sub(d7, d1), 5.25f, v_sub(d3, d5));
        d[2 * stride] = v_add(even1, odd1);
        d[3 * stride] = v_sub(even1, odd1);
        d[4 * stride] = v_add(even2, odd2);
        d[5 * stride] = v_sub(even2, odd2);
        d[6 * stride] = v_add(evenhalf, oddhalf);
        d[7 * stride] = v_sub(evenhalf, oddhalf);
        return;
    }
    // In an order in which what is added to has no other use left: NEON's multiply-adds overwrite it.
    vec even1 = v_sub(d4, d2), odd1 = v_sub(d3, d1), twice = v_add(odd1, odd1);
    d[4 * stride] = v_add(even1, twice);
    d[5 * stride] = v_sub(even1, twice);
    d[0] = v_plus(even1, 4, v_sub(d0, d2));
    d[stride] = v_plus(v_sub(d5, d3), -4, odd1);
    vec even4 = v_plus(d4, -4, d2), odd4 = v_plus(d3, -4, d1);
    d[2 * stride] = v_add(even4, odd4);
    d[3 * stride] = v_sub(even4, odd4);
}

/// A line of the sums: `points` numbers to as many as a side of the tile has. The factors of the filters'
/// transform are here, for there are fewer sums than filters, but of 7 points.
ALWAYS_INLINE void winograd_output(vec *m, const size_t stride, const size_t points, const size_t taps) {
    vec m0 = m[0], last = m[stride], m1 = m[2 * stride], m2 = m[3 * stride];
    if (points == 4) {
        vec even = v_times(v_sub(m1, m2), 0.5f);
        m[stride] = v_times(v_add(m1, m2), 0.5f);
        m[0] = v_add(m0, even);
        m[2 * stride] = v_add(even, last);
        return;
    }
    vec m3 = m[4 * stride];
    if (points == 5 && taps == 3) {
        vec first = v_times(m1, -0.5f);
        vec even = v_plus(first, -1.0f / 6, m2), odd = v_plus(first, 1.0f / 6, m2);
        m[0] = v_plus(v_plus(even, 0.5f, m0), 1.0f / 3, m3);
        m[stride] = v_plus(odd, 2.0f / 3, m3);
        m[2 * stride] = v_add(v_plus(even, 4.0f / 3, m3), last);
        return;
    }
    if (points == 5) {
        vec first = v_times(m1, -0.5f);
        vec even = v_plus(first, 1.0f / 6, m2), odd = v_plus(first, -1.0f / 6, m2);
        m[0] = v_plus(v_plus(even, 0.5f, m0), 1.0f / 6, m3);
        m[stride] = v_plus(odd, 2.0f / 6, m3);
        m[2 * stride] = v_plus(even, 4.0f / 6, m3);
        m[3 * stride] = v_add(v_plus(odd, 8.0f / 6, m3), last);
        return;
    }
    vec m4 = m[5 * stride];
    if (points == 7) {
        vec even = v_add(m1, m2), odd = v_sub(m1, m2), even2 = v_add(m3, m4), odd2 = v_sub(m3, m4);
        vec half = m[6 * stride];
        m[0] = v_add(v_add(m0, even), v_add(even2, half));
        m[stride] = v_plus(v_plus(odd, 2, odd2), 0.5f, half);
        m[2 * stride] = v_plus(v_plus(even, 4, even2), 0.25f, half);
        m[3 * stride] = v_plus(v_plus(v_add(odd, last), 8, odd2), 0.125f, half);
        return;
    }
    if (points == 8) {
        vec m5 = m[6 * stride], m6 = m[7 * stride];
        vec even = v_times(v_add(m1, m2), -2.0f / 9), odd = v_times(v_sub(m1, m2), -2.0f / 9);
        vec even2 = v_add(m3, m4), odd2 = v_sub(m3, m4);
        vec evenhalf = v_add(m5, m6), oddhalf = v_sub(m5, m6);
        m[0] = v_plus(v_plus(v_add(m0, even), 1.0f / 45, even2), 16.0f / 45, evenhalf);
        m[stride] = v_plus(v_plus(odd, 2.0f / 45, odd2), 8.0f / 45, oddhalf);
        m[2 * stride] = v_plus(v_plus(even, 4.0f / 45, even2), 4.0f / 45, evenhalf);
        m[3 * stride] = v_plus(v_plus(odd, 8.0f / 45, odd2), 2.0f / 45, oddhalf);
        m[4 * stride] = v_plus(v_plus(even, 16.0f / 45, even2), 1.0f / 45, evenhalf);
        m[5 * stride] = v_plus(v_plus(v_add(last, odd), 32.0f / 45, odd2), 1.0f / 90, oddhalf);
        return;
    }
    vec even = v_times(v_add(m1, m2), -1.0f / 6), odd = v_times(v_sub(m1, m2), -1.0f / 6);
    vec even2 = v_add(m3, m4), odd2 = v_sub(m3, m4);
    m[0] = v_plus(v_plus(even, 0.25f, m0), 1.0f / 12, even2);
    m[stride] = v_plus(odd, 2.0f / 12, odd2);
    m[2 * stride] = v_plus(even, 4.0f / 12, even2);
    m[3 * stride] = v_add(v_plus(odd, 8.0f / 12, odd2), last);
}

/// A line of a filter, two to four taps, to `points` numbers, but for their factors, which the sums get:
///
///     4   1, 1, 1/2, -1/2
///     5   1/2, 1, -1/2, 1/6, 1/6 of two taps; 1/2, 1, -1/2, -1/6, 1/3 of three
///     6   1/4, 1, -1/6, -1/6, 1/12, 1/12
///     7   none
///     8   1, 1, -2/9, -2/9, 1/45, 1/45, 16/45, 16/45
ALWAYS_INLINE void winograd_filter(vec *g, const size_t stride, const vec *w, const size_t points) {
    g[0] = w[0];
    if (points == 5) {
        g[stride] = w[1];
        g[2 * stride] = v_add(w[0], w[1]);
        g[3 * stride] = v_sub(w[1], w[0]);
        g[4 * stride] = v_plus(w[0], 2, w[1]);
        return;
    }
    if (points == 7) {
        vec even = v_add(w[0], w[2]), odd = v_add(w[1], w[3]);
        vec even2 = v_plus(w[0], 4, w[2]), odd2 = v_plus(w[1], 4, w[3]);
        g[0] = v_times(w[0], 0.25f);
        g[stride] = v_times(w[3], 0.5f);
        g[2 * stride] = v_times(v_add(even, odd), 1.0f / 6);
        g[3 * stride] = v_times(v_sub(even, odd), 1.0f / 18);
        g[4 * stride] = v_times(v_plus(even2, 2, odd2), 1.0f / 72);
        g[5 * stride] = v_times(v_plus(even2, -2, odd2), 1.0f / 120);
        g[6 * stride] = v_times(v_plus(v_plus(v_plus(w[3], 2, w[2]), 4, w[1]), 8, w[0]), 4.0f / 45);
        return;
    }
    vec ends = v_add(w[0], w[2]), far = v_plus(v_times(w[0], 0.5f), 2, w[2]);
    g[stride] = w[2];
    g[2 * stride] = v_add(ends, w[1]);
    g[3 * stride] = v_sub(ends, w[1]);
    g[4 * stride] = v_add(far, w[1]);
    g[5 * stride] = v_sub(far, w[1]);
    if (points == 8) {
        vec near = v_plus(v_times(w[2], 0.5f), 2, w[0]);
        g[6 * stride] = v_add(near, w[1]);
        g[7 * stride] = v_sub(near, w[1]);
    }
}
