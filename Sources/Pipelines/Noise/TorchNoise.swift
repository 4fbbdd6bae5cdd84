/// The numbers of `torch.randn(count)` on a CPU after `manual_seed(seed)`, to 1e-6.
///
/// PyTorch has two ways: from 16 numbers on, blocks of sixteen in single precision, and below, one number
/// after the other in double precision. The blocks follow the arithmetic of its vector code, which x86
/// runs; its plain code, which ARM runs, rounds the angle elsewhere and is up to 3e-6 away.
///
/// Source: PyTorch's `DistributionTemplates.h` for CPU and `DistributionsHelper.h`.
package struct TorchNoise: NoiseSource {
  private var generator: MersenneTwister
  /// The second number of a pair whose first was asked for alone.
  private var pending: Double?

  /// PyTorch's generator takes the low 32 bits of a seed.
  package init(seed: UInt64) { generator = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed)) }

  package mutating func next(_ count: Int) -> [Float] {
    guard count >= 16 else { return (0..<count).map { _ in Float(single()) } }
    var numbers = (0..<count).map { _ in uniform() }
    for start in stride(from: 0, through: count - 16, by: 16) {
      TorchNoise.transform(&numbers, start)
    }
    if count % 16 != 0 {
      // The last sixteen are drawn anew, over some that are already there.
      for index in count - 16..<count { numbers[index] = uniform() }
      TorchNoise.transform(&numbers, count - 16)
    }
    return numbers
  }

  /// A number in 0 ..< 1 with 24 bits.
  private mutating func uniform() -> Float { Float(generator.next() & 0xFF_FFFF) / 16_777_216 }

  /// A number in 0 ..< 1 with 53 bits.
  private mutating func uniformDouble() -> Double {
    Double(generator.next64() & ((1 << 53) - 1)) / 9_007_199_254_740_992
  }

  /// Sixteen uniform numbers become normal ones: Box-Muller on the pairs eight apart.
  private static func transform(_ numbers: inout [Float], _ start: Int) {
    for index in start..<start + 8 {
      let radius = (-2 * (1 - numbers[index]).logarithm).squareRoot()
      let angle = Float(2 * Double.pi) * numbers[index + 8]
      numbers[index] = radius * angle.cosine
      numbers[index + 8] = radius * angle.sine
    }
  }

  private mutating func single() -> Double {
    if let number = pending {
      pending = nil
      return number
    }
    let angle = 2 * Double.pi * uniformDouble()
    let radius = (-2 * (-uniformDouble()).logarithmOfOnePlus).squareRoot()
    pending = radius * angle.sine
    return radius * angle.cosine
  }
}
