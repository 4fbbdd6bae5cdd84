import PipitTensors

/// Compares some outputs of a layer, on inputs that calibration kept, with what they are when weights and
/// inputs are rounded.
struct OutputProbe {
  /// Outputs that are looked at, evenly spread.
  private static let rowLimit = 64

  private let inputs: InputStatistics
  /// The samples as the layer sees them when its input becomes integers.
  private let rounded: [Float]
  private let rowStep: Int
  private let rowsPerGroup: Int
  private let columns: Int
  private(set) var error = StorageError()

  /// `weight` is the layer's; `columns` of it may be fewer than the input has where there are groups.
  init(_ inputs: InputStatistics, weight: Weight, activations: Weight.Activations) {
    self.inputs = inputs
    columns = weight.columns
    rowStep = max(1, weight.rows / OutputProbe.rowLimit)
    rowsPerGroup = max(1, weight.rows / max(1, inputs.depth / max(weight.columns, 1)))
    rounded = OutputProbe.round(inputs, activations)
  }

  private static func round(_ inputs: InputStatistics, _ activations: Weight.Activations) -> [Float] {
    switch activations {
    case .float: return inputs.samples
    case .staticPerTensor(let scale, let zeroPoint):
      let range = ActivationRange(scale: scale, zeroPoint: zeroPoint)
      return inputs.samples.map(range.rounded)
    case .dynamicPerToken:
      var rounded = inputs.samples
      for sample in 0..<inputs.sampleCount {
        let row = sample * inputs.depth..<(sample + 1) * inputs.depth
        let range = ActivationRange(low: rounded[row].min() ?? 0, high: rounded[row].max() ?? 0)
        for index in row { rounded[index] = range.rounded(rounded[index]) }
      }
      return rounded
    }
  }

  /// Whether a row of the weight is one that is looked at.
  func wants(row: Int) -> Bool { row % rowStep == 0 }

  /// Takes a row of the weight as it was and as it is stored.
  mutating func add(
    row: Int, _ before: UnsafeBufferPointer<Float>, _ after: UnsafeBufferPointer<Float>
  ) {
    precondition(before.count == columns && after.count == columns)
    let first = row / rowsPerGroup * columns
    guard first + columns <= inputs.depth else { return }
    for sample in 0..<inputs.sampleCount {
      let begin = sample * inputs.depth + first
      let exact = inputs.samples.withUnsafeBufferPointer {
        dot(before, UnsafeBufferPointer(rebasing: $0[begin..<begin + columns]))
      }
      let stored = rounded.withUnsafeBufferPointer {
        dot(after, UnsafeBufferPointer(rebasing: $0[begin..<begin + columns]))
      }
      error.add(exact, stored)
    }
  }
}

/// The sum of products, in eight sums side by side.
private func dot(_ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>) -> Float {
  var sums = SIMD8<Float>()
  var index = 0
  let (left, right) = (UnsafeRawBufferPointer(a), UnsafeRawBufferPointer(b))
  while index + 8 <= a.count {
    sums +=
      left.loadUnaligned(fromByteOffset: 4 * index, as: SIMD8<Float>.self)
      * right.loadUnaligned(fromByteOffset: 4 * index, as: SIMD8<Float>.self)
    index += 8
  }
  var sum = sums.sum()
  while index < a.count {
    sum += a[index] * b[index]
    index += 1
  }
  return sum
}
