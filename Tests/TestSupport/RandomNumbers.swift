/// A small generator with a seed, so that a failing test fails again (SplitMix64).
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}

/// `count` numbers, the same for the same seed.
package func randoms(
  _ count: Int, seed: UInt64, in range: ClosedRange<Float> = -1...1
) -> [Float] {
  var generator = SeededGenerator(seed: seed)
  let width = range.upperBound - range.lowerBound
  return (0..<count).map { _ in
    let unit = Float(generator.next() >> 40) * 0x1p-24
    return range.lowerBound + unit * width
  }
}

/// The greatest difference of two results; infinite where only one is NaN or the counts differ.
package func maxError(_ actual: [Float], _ expected: [Float]) -> Float {
  guard actual.count == expected.count else { return .infinity }
  var worst: Float = 0
  for (a, b) in zip(actual, expected) where a != b && !(a.isNaN && b.isNaN) {
    let difference = abs(a - b)
    worst = max(worst, difference.isNaN ? .infinity : difference)
  }
  return worst
}
