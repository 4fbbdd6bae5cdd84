/// Standard normal numbers from a seed: Philox4x32-10 (Salmon et al. 2011) and the Box-Muller transform.
///
/// A counter-based generator: the same seed gives the same numbers on every machine, whatever was
/// drawn before.
package struct GaussianNoise: NoiseSource {
  private let seed: UInt64
  private let stream: UInt64
  private var counter: UInt64 = 0

  /// `stream` keeps the pictures of one seed apart.
  package init(seed: UInt64, stream: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
  }

  /// The next `count` numbers.
  package mutating func next(_ count: Int) -> [Float] {
    var numbers: [Float] = []
    numbers.reserveCapacity(count + 3)
    while numbers.count < count {
      let (a, b, c, d) = Philox.words(key: seed, low: counter, high: stream)
      counter += 1
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
}
