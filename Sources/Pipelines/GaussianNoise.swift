/// Standard normal numbers from a seed: Philox4x32-10 (Salmon et al. 2011) and the Box-Muller transform.
///
/// A counter-based generator: the same seed gives the same numbers on every machine, whatever was
/// drawn before.
package struct GaussianNoise {
  private let key: (UInt32, UInt32)
  private let stream: UInt64
  private var counter: UInt64 = 0

  /// `stream` keeps the pictures of one seed apart.
  package init(seed: UInt64, stream: UInt64 = 0) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    self.stream = stream
  }

  /// The next `count` numbers.
  package mutating func next(_ count: Int) -> [Float] {
    var numbers: [Float] = []
    numbers.reserveCapacity(count + 3)
    while numbers.count < count {
      let (a, b, c, d) = block()
      numbers.append(contentsOf: GaussianNoise.pair(a, b))
      numbers.append(contentsOf: GaussianNoise.pair(c, d))
    }
    return Array(numbers.prefix(count))
  }

  /// Two independent normal numbers from two uniform ones.
  private static func pair(_ a: UInt32, _ b: UInt32) -> [Float] {
    let radius = (-2 * ((Double(a) + 0.5) / 4294967296).logarithm).squareRoot()
    let angle = 2 * Double.pi * ((Double(b) + 0.5) / 4294967296)
    return [Float(radius * angle.cosine), Float(radius * angle.sine)]
  }

  /// Four random words: ten rounds over the counter.
  private mutating func block() -> (UInt32, UInt32, UInt32, UInt32) {
    var x = (
      UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32),
      UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)
    )
    counter += 1
    var k = key
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
