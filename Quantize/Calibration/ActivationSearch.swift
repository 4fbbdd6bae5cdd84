import PipitKernels
import PipitTensors

/// How the range of a layer's input was chosen.
enum RangeMethod: String, CaseIterable {
  /// From the smallest number seen to the largest.
  case minMax = "min-max"
  /// But for one number in ten thousand at each end.
  case percentile = "percentile 99.99"
  /// That of the least squared error of the numbers themselves.
  case leastSquares = "least squares"
}

/// Finds how a layer's input becomes integers: of the ranges that the methods give, the one with which the
/// layer's output, weights rounded too, is nearest to the float one.
struct ActivationSearch {
  let inputs: InputStatistics
  let weight: Weight
  let kernels: KernelTable
  let clipping: Clipping
  /// What the weight's columns are multiplied by; as they are where it is `nil`.
  var columnFactors: [Float]?

  /// Fixed numbers must be this much better than each token's own, whose range fits whatever comes: less noise
  /// by a decibel.
  private static let margin = 0.8

  /// The best of what calibration gives, and, for a linear layer, of each token's own range.
  func best() -> (activations: Weight.Activations, method: RangeMethod?) {
    let rows = roundedRows()
    var best: (activations: Weight.Activations, method: RangeMethod?, noise: Double)?
    if weight.shape.rank == 2 {
      let noise = noise(.dynamicPerToken, rows)
      best = (.dynamicPerToken, nil, noise * ActivationSearch.margin)
    }
    for method in RangeMethod.allCases {
      let activations = activations(method)
      let noise = noise(activations, rows)
      if noise < best?.noise ?? .infinity { best = (activations, method, noise) }
    }
    guard let best else { return (activations(.minMax), .minMax) }
    return (best.activations, best.method)
  }

  /// The squared error of the layer's output with each token's own range, or with fixed numbers where they are
  /// better.
  func leastNoise() -> Double {
    let rows = roundedRows()
    let choices = [.dynamicPerToken] + RangeMethod.allCases.map(activations)
    return choices.map { noise($0, rows) }.min() ?? 0
  }

  /// The squared error of the layer's output.
  func noise(_ activations: Weight.Activations) -> Double { noise(activations, roundedRows()) }

  private func activations(_ method: RangeMethod) -> Weight.Activations {
    let range = range(method)
    return .staticPerTensor(scale: range.scale, zeroPoint: range.zeroPoint)
  }

  /// The squared error of the layer's output.
  private func noise(_ activations: Weight.Activations, _ rows: [Row]) -> Double {
    var probe = OutputProbe(inputs, weight: weight, activations: activations)
    for row in rows {
      row.before.withUnsafeBufferPointer { before in
        row.after.withUnsafeBufferPointer { probe.add(row: row.index, before, $0) }
      }
    }
    return probe.error.noise
  }

  func range(_ method: RangeMethod) -> ActivationRange {
    let histogram = inputs.histogram
    switch method {
    case .minMax: return ActivationRange(low: histogram.minimum, high: histogram.maximum)
    case .percentile:
      let range = histogram.range(leavingOut: 0.0001)
      return ActivationRange(low: range.low, high: range.high)
    case .leastSquares: return leastSquares(histogram)
    }
  }

  /// First the upper end is drawn in as far as it pays, then the lower, then the upper again.
  private func leastSquares(_ histogram: Histogram) -> ActivationRange {
    var (low, high): (Float, Float) = (1, 1)
    func range(_ low: Float, _ high: Float) -> ActivationRange {
      ActivationRange(low: histogram.minimum * low, high: histogram.maximum * high)
    }
    func best(_ candidate: (Float) -> ActivationRange) -> Float {
      var best: (part: Float, error: Double) = (1, .infinity)
      for step in 0..<48 {
        let part = 1 - Float(step) / 50
        let error = histogram.error(candidate(part))
        if error < best.error { best = (part, error) }
      }
      return best.part
    }
    high = best { range(low, $0) }
    low = best { range($0, high) }
    high = best { range(low, $0) }
    return range(low, high)
  }

  private struct Row {
    let index: Int
    let before: [Float]
    let after: [Float]
  }

  /// The rows that a probe looks at, as they are and as they will be stored.
  private func roundedRows() -> [Row] {
    let probe = OutputProbe(inputs, weight: weight, activations: .float)
    let columns = weight.columns
    var error = StorageError()
    return (0..<weight.rows).filter(probe.wants).map { index in
      var before = [Float](repeating: 0, count: columns)
      before.withUnsafeMutableBufferPointer { row in
        guard let start = row.baseAddress else { return }
        kernels.expand(weight, rows: index..<index + 1, into: start)
        guard let columnFactors else { return }
        for column in row.indices { row[column] *= columnFactors[column] }
      }
      var stored = [Int8](repeating: 0, count: columns)
      let scale = before.withUnsafeBufferPointer { row in
        let scale = Rounding.scale(row, low: -127, high: 127, clipping: clipping) { $0 }
        stored.withUnsafeMutableBufferPointer { stored in
          guard let start = stored.baseAddress else { return }
          Rounding.quantize(row, scale: scale, low: -127, high: 127, into: start, error: &error)
        }
        return scale
      }
      return Row(index: index, before: before, after: stored.map { Float($0) * scale })
    }
  }
}
