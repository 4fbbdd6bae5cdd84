/// MT19937 (Matsumoto & Nishimura 1998), seeded with one word as its authors' `init_genrand` does.
struct MersenneTwister: Sendable {
  private static let count = 624
  private static let middle = 397

  private var state: [UInt32]
  private var position = MersenneTwister.count

  init(seed: UInt32) {
    state = [seed]
    state.reserveCapacity(MersenneTwister.count)
    for index in 1..<MersenneTwister.count {
      let last = state[index - 1]
      state.append(1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(index))
    }
  }

  /// The next 32 random bits.
  mutating func next() -> UInt32 {
    if position == MersenneTwister.count { twist() }
    var word = state[position]
    position += 1
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C_5680
    word ^= (word << 15) & 0xEFC6_0000
    return word ^ (word >> 18)
  }

  /// The next 64 random bits, the high half drawn first.
  mutating func next64() -> UInt64 {
    let high = UInt64(next())
    return high << 32 | UInt64(next())
  }

  private mutating func twist() {
    let count = MersenneTwister.count
    for index in 0..<count {
      let mixed = (state[index] & 0x8000_0000) | (state[(index + 1) % count] & 0x7FFF_FFFF)
      let other = state[(index + MersenneTwister.middle) % count]
      state[index] = other ^ (mixed >> 1) ^ (mixed & 1 == 1 ? 0x9908_B0DF : 0)
    }
    position = 0
  }
}
