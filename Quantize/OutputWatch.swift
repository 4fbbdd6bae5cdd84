import PipitTensors

/// Follows the rows of a layer's weight as they are stored, and tells what that does to the layer's output.
struct OutputWatch {
  private let inputs: InputStatistics?
  private var probe: OutputProbe?
  private let means: [Double]
  private let columns: Int
  private let rowsPerGroup: Int
  private var row = 0
  private var shift: [Double] = []
  /// What the rounding of weights does to outputs on samples, squared and over the sample's own squares: as it is,
  /// and with the shift taken away.
  private var noise = (plain: 0.0, shifted: 0.0)
  private var after: [Float]

  init(_ work: TensorQuantizer) {
    inputs = work.inputs
    columns = work.weight.columns
    means = work.inputs?.means ?? []
    after = [Float](repeating: 0, count: columns)
    guard let inputs else {
      rowsPerGroup = 1
      return
    }
    rowsPerGroup = max(1, work.weight.rows / max(1, inputs.depth / max(columns, 1)))
    probe = OutputProbe(inputs, weight: work.weight, activations: work.choice.activations)
  }

  /// The next row, and its numbers as they are stored.
  mutating func add(_ before: UnsafeBufferPointer<Float>, _ stored: (Int) -> Float) {
    guard let inputs else { return }
    defer { row += 1 }
    for column in 0..<columns { after[column] = stored(column) }
    let first = row / rowsPerGroup * columns
    guard first + columns <= inputs.depth else { return }
    var sum = 0.0
    for column in 0..<columns {
      sum += Double(after[column] - before[column]) * means[(first + column) / inputs.taps]
    }
    shift.append(sum)
    guard probe?.wants(row: row) == true else { return }
    compare(before, inputs, first, Float(sum))
    after.withUnsafeBufferPointer { probe?.add(row: row, before, $0) }
  }

  private mutating func compare(
    _ before: UnsafeBufferPointer<Float>, _ inputs: InputStatistics, _ first: Int, _ shift: Float
  ) {
    inputs.samples.withUnsafeBufferPointer { samples in
      for sample in 0..<inputs.sampleCount {
        let begin = sample * inputs.depth + first
        var (error, energy): (Float, Float) = (0, 0)
        for column in 0..<columns {
          error += (after[column] - before[column]) * samples[begin + column]
          energy += samples[begin + column] * samples[begin + column]
        }
        guard energy > 0 else { continue }
        noise.plain += Double(error * error / energy)
        noise.shifted += Double((error - shift) * (error - shift) / energy)
      }
    }
  }

  /// A few inputs far from all others make a mean that is nobody's: then outputs are better off without the shift.
  func outcome(_ error: StorageError) -> TensorQuantizer.Outcome {
    let isBetter = shift.count == row && row > 0 && noise.shifted < noise.plain
    return TensorQuantizer.Outcome(error: error, output: probe?.error, shift: isBetter ? shift : nil)
  }
}
