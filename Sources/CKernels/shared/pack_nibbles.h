// Packing of 4-bit weights, the same on every level.

static size_t nibble_at(const uint8_t *x, size_t index) {
    return index % 2 == 0 ? x[index / 2] & 15 : x[index / 2] >> 4;
}

/// Packs `count` <= tile_columns rows of nibbles, [count, depth] with weight_stride, into one panel.
static void pack_nibbles(uint8_t *panel, const uint8_t *weight, size_t weight_stride, size_t count,
                         size_t depth, size_t tile_columns) {
    for (size_t d = 0; d < depth; d++) {
        for (size_t column = 0; column < tile_columns; column += 2) {
            size_t low = 8, high = 8;  // zeros
            if (column < count) {
                low = nibble_at(weight, column * weight_stride + d);
            }
            if (column + 1 < count) {
                high = nibble_at(weight, (column + 1) * weight_stride + d);
            }
            panel[(d * tile_columns + column) / 2] = (uint8_t)(low | high << 4);
        }
    }
}
