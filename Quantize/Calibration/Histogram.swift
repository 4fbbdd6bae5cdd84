/// How often numbers occur, over a range that grows with them: bins over -limit ..< limit, which is a
/// power of two; when a number lies outside, neighbouring bins become one.
struct Histogram {
  /// On each side of zero.
  static let binsPerSide = 2048

  private(set) var counts = [Int](repeating: 0, count: 2 * binsPerSide)
  private(set) var limit: Float = 0x1p-40
  private(set) var total = 0
  private(set) var minimum: Float = 0
  private(set) var maximum: Float = 0

  var binWidth: Float { limit / Float(Histogram.binsPerSide) }

  /// Takes finite numbers; others are left out.
  mutating func add(_ values: UnsafeBufferPointer<Float>) {
    var (low, high) = (minimum, maximum)
    for value in values {
      low = value < low && value.isFinite ? value : low
      high = value > high && value.isFinite ? value : high
    }
    (minimum, maximum) = (low, high)
    while max(-low, high) >= limit { double() }
    let factor = Float(Histogram.binsPerSide) / limit
    let last = Float(2 * Histogram.binsPerSide - 1)
    counts.withUnsafeMutableBufferPointer { counts in
      for value in values where value.isFinite {
        let bin = min(max(value * factor + Float(Histogram.binsPerSide), 0), last)
        counts[Int(bin)] += 1
      }
    }
    total += values.count
  }

  /// Twice the range: each bin takes two of before.
  private mutating func double() {
    let side = Histogram.binsPerSide
    var merged = [Int](repeating: 0, count: 2 * side)
    for bin in 0..<side { merged[side / 2 + bin] = counts[2 * bin] + counts[2 * bin + 1] }
    counts = merged
    limit *= 2
  }

  /// The range from the smallest to the largest number, but for `fraction` of them at each end.
  func range(leavingOut fraction: Double) -> (low: Float, high: Float) {
    let left = Int(Double(total) * fraction)
    func edge(_ bins: some Sequence<Int>, _ place: (Int) -> Float) -> Float {
      var seen = 0
      for bin in bins {
        seen += counts[bin]
        if seen > left { return place(bin) }
      }
      return 0
    }
    let side = Histogram.binsPerSide
    let low = edge(0..<2 * side) { Float($0 - side) * binWidth }
    let high = edge((0..<2 * side).reversed()) { Float($0 + 1 - side) * binWidth }
    return (max(min(low, 0), minimum), min(max(high, 0), maximum))
  }

  /// The mean squared error that 8 bits over a range give the numbers.
  func error(_ range: ActivationRange) -> Double {
    var sum = 0.0
    for bin in counts.indices where counts[bin] > 0 {
      let value = (Float(bin - Histogram.binsPerSide) + 0.5) * binWidth
      let difference = Double(value - range.rounded(value))
      // Where bins are narrower than steps the place in the bin decides; on average a twelfth of a step.
      let isInside = value >= range.low && value <= range.high
      let square =
        isInside ? Double(range.scale) * Double(range.scale) / 12 : difference * difference
      sum += square * Double(counts[bin])
    }
    return sum / Double(max(total, 1))
  }
}

/// The range that 8 bits are spread over: stored = clamp(round(value / scale) + zeroPoint, -128...127), and
/// zero is one of the numbers that are represented exactly.
struct ActivationRange: Equatable {
  let scale: Float
  let zeroPoint: Int8

  init(scale: Float, zeroPoint: Int8) {
    self.scale = scale
    self.zeroPoint = zeroPoint
  }

  /// The range from `low` (at most 0) to `high` (at least 0).
  init(low: Float, high: Float) {
    let (low, high) = (min(low, 0), max(high, 0))
    let step = (high - low) / 255
    scale = step > 0 && step.isFinite ? max(step, 0x1p-100) : 1
    zeroPoint = Int8(Rounding.rounded((-128 - low / scale).rounded(), -128, 127))
  }

  var low: Float { (-128 - Float(zeroPoint)) * scale }
  var high: Float { (127 - Float(zeroPoint)) * scale }

  /// What a number becomes.
  @inline(__always)
  func rounded(_ value: Float) -> Float {
    let zero = Float(zeroPoint)
    let stored = min(max((value / scale).rounded(.toNearestOrEven) + zero, -128), 127)
    return (stored - zero) * scale
  }
}
