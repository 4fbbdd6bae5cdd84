/// Philox4x32-10 (Salmon et al. 2011): four random words of a key and a 128-bit counter, by ten rounds.
enum Philox {
  typealias Words = (UInt32, UInt32, UInt32, UInt32)

  /// The words for a key; `low` and `high` are the counter's halves.
  static func words(key: UInt64, low: UInt64, high: UInt64) -> Words {
    var x: Words = (
      UInt32(truncatingIfNeeded: low), UInt32(truncatingIfNeeded: low >> 32),
      UInt32(truncatingIfNeeded: high), UInt32(truncatingIfNeeded: high >> 32)
    )
    var k = (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32))
    for _ in 0..<10 {
      let first = UInt64(x.0) * 0xD251_1F53
      let second = UInt64(x.2) * 0xCD9E_8D57
      x = (
        UInt32(truncatingIfNeeded: second >> 32) ^ x.1 ^ k.0, UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ x.3 ^ k.1, UInt32(truncatingIfNeeded: first)
      )
      k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
    }
    return x
  }
}
