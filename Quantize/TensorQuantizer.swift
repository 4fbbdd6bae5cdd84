import PipitFormats
import PipitKernels
import PipitTensors

/// One tensor on its way from a checkpoint to another: what becomes of it, and the work itself.
struct TensorQuantizer {
  let weight: Weight
  let choice: SchemeChoice
  let clipping: Clipping
  let kernels: KernelTable
  /// The file that it comes from, for error messages.
  let path: String
  /// What was seen of the layer's input; `nil` where no data was run.
  let inputs: InputStatistics?
  /// What its rows (a vector's elements) and columns are multiplied by before they are stored.
  var rowFactors: [Float]?
  var columnFactors: [Float]?

  /// What the work did.
  struct Outcome {
    /// Of the tensor's numbers.
    var error = StorageError()
    /// Of the layer's output on inputs that were seen.
    var output: StorageError?
    /// What the rounding of weights adds to each output on average, for the bias to take away.
    var shift: [Double]?
  }

  /// Numbers that are looked at in one go: memory does not grow with the tensor.
  private static let blockCount = 1 << 18

  /// What the tensor becomes.
  var outputs: [SafetensorsPlan.Tensor] {
    typealias Tensor = SafetensorsPlan.Tensor
    let (name, shape) = (weight.name, weight.shape)
    switch choice.scheme {
    case .keep:
      guard case .dense(let type) = weight.storage else { preconditionFailure("\(name) is packed") }
      return [Tensor(name: name, elementType: type, shape: shape)]
    case .f16: return [Tensor(name: name, elementType: .f16, shape: shape)]
    case .w8, .w8a8:
      let ones = [Int](repeating: 1, count: shape.rank - 1)
      var tensors = [
        Tensor(name: name, elementType: .i8, shape: shape),
        Tensor(name: name + "_scale", elementType: .f32, shape: Shape([shape[0]] + ones)),
      ]
      if case .staticPerTensor = choice.activations {
        tensors.append(Tensor(name: inputName + "scale", elementType: .f32, shape: [1]))
        tensors.append(Tensor(name: inputName + "zero_point", elementType: .i8, shape: [1]))
      }
      return tensors
    case .w4(let group):
      let (rows, columns) = (weight.rows, weight.columns)
      return [
        Tensor(name: name + "_packed", elementType: .i32, shape: [rows, columns / 8]),
        Tensor(name: name + "_scale", elementType: .f16, shape: [rows, columns / group]),
        Tensor(name: name + "_shape", elementType: .i64, shape: [2]),
      ]
    }
  }

  /// What the tensors that belong to the layer's input begin with.
  private var inputName: String { weight.name.dropLast("weight".count) + "input_" }

  var isMatrix: Bool { weight.shape.rank >= 2 }

  /// The name of the bias that a layer with this weight has.
  var biasName: String? {
    weight.name.hasSuffix(".weight") ? weight.name.dropLast("weight".count) + "bias" : nil
  }

  var outputByteCount: Int { outputs.reduce(0) { $0 + $1.byteCount } }

  /// Takes the bytes of an output tensor, in order.
  typealias Sink = (_ bytes: UnsafeRawBufferPointer, _ name: String) throws -> Void

  /// Does the work; `shift` is taken away from a bias.
  func run(shift: [Double]? = nil, _ sink: Sink) throws -> Outcome {
    switch choice.scheme {
    case .keep:
      if rowFactors != nil || shift != nil, try corrected(shift, sink) { return Outcome() }
      guard rowFactors == nil else {
        throw wrong("numbers that can be scaled with the layer behind them (or --keep for that)", "others")
      }
      try copy(sink)
      return Outcome()
    case .f16: return Outcome(error: try half(sink))
    case .w8, .w8a8: return try bytes(sink)
    case .w4(let group): return try nibbles(group, sink)
    }
  }

  // MARK: Schemes

  private func copy(_ sink: Sink) throws {
    if weight.expandsToFloat { try forEachBlock { _, _ in } }
    var begin = 0
    while begin < weight.bytes.count {
      let end = min(weight.bytes.count, begin + TensorQuantizer.blockCount)
      try sink(UnsafeRawBufferPointer(rebasing: weight.bytes[begin..<end]), weight.name)
      begin = end
    }
  }

  /// Stores a vector with its factors, a bias without the shift that the rounding of its layer's weights makes;
  /// false where that cannot be done.
  private func corrected(_ shift: [Double]?, _ sink: Sink) throws -> Bool {
    guard case .dense(let type) = weight.storage else { return false }
    if let shift, weight.shape.count != shift.count { return false }
    var values: [Float] = []
    try forEachBlock { block, _ in values += Array(block) }
    if let shift { for index in values.indices { values[index] -= Float(shift[index]) } }
    guard values.allSatisfy(\.isFinite) else { return false }
    switch type {
    case .f32: try values.withUnsafeBytes { try sink($0, weight.name) }
    case .f16:
      let halves = values.map(floatToHalf)
      guard halves.allSatisfy({ $0 & 0x7C00 != 0x7C00 }) else { return false }
      try halves.withUnsafeBytes { try sink($0, weight.name) }
    default: return false
    }
    return true
  }

  private func half(_ sink: Sink) throws -> StorageError {
    var error = StorageError()
    try forEachBlock { block, first in
      let halves = block.map(floatToHalf)
      if let index = halves.firstIndex(where: { $0 & 0x7C00 == 0x7C00 }) {
        throw wrong("numbers that half precision holds (or --keep)", "\(block[index])")
      }
      error.add(block) { halfToFloat(halves[$0]) }
      try halves.withUnsafeBytes { try sink($0, weight.name) }
    }
    return error
  }

  private func bytes(_ sink: Sink) throws -> Outcome {
    var watch = OutputWatch(self)
    var error = StorageError()
    var scales: [Float] = []
    let columns = weight.columns
    let feedback = feedback
    try forEachBlock(rowCount: columns) { block, _ in
      var values = [Int8](repeating: 0, count: block.count)
      try values.withUnsafeMutableBufferPointer { values in
        guard let values = values.baseAddress else { return }
        for begin in stride(from: 0, to: block.count, by: columns) {
          let row = UnsafeBufferPointer(rebasing: block[begin..<begin + columns])
          let scale = Rounding.scale(row, low: -127, high: 127, clipping: clipping) { $0 }
          guard scale > 0 else { throw wrong("numbers above 1e-36", "smaller ones") }
          if let feedback {
            Rounding.quantize(
              row, low: -127, high: 127, into: values + begin, error: &error, feedback: feedback
            ) { _ in scale }
          } else {
            Rounding.quantize(
              row, scale: scale, low: -127, high: 127, into: values + begin, error: &error)
          }
          watch.add(row) { Float(values[begin + $0]) * scale }
          scales.append(scale)
        }
      }
      try values.withUnsafeBytes { try sink($0, weight.name) }
    }
    try scales.withUnsafeBytes { try sink($0, weight.name + "_scale") }
    if case .staticPerTensor(let scale, let zeroPoint) = choice.activations {
      try withUnsafeBytes(of: scale) { try sink($0, inputName + "scale") }
      try withUnsafeBytes(of: zeroPoint) { try sink($0, inputName + "zero_point") }
    }
    return watch.outcome(error)
  }

  private func nibbles(_ group: Int, _ sink: Sink) throws -> Outcome {
    var watch = OutputWatch(self)
    var error = StorageError()
    let feedback = feedback
    try forEachBlock(rowCount: weight.columns) { block, _ in
      var values = [Int8](repeating: 0, count: block.count)
      var scales: [UInt16] = []
      try values.withUnsafeMutableBufferPointer { values in
        guard let values = values.baseAddress else { return }
        for begin in stride(from: 0, to: block.count, by: group) {
          let row = UnsafeBufferPointer(rebasing: block[begin..<begin + group])
          let scale = Rounding.scale(row, low: -8, high: 7, clipping: clipping) { scale in
            // 2^-24 is the smallest number of half precision above zero.
            halfToFloat(floatToHalf(max(scale, 0x1p-24)))
          }
          guard scale.isFinite else {
            throw wrong("numbers whose scales half precision holds (or --keep)", "\(row[0])")
          }
          if feedback == nil {
            Rounding.quantize(row, scale: scale, low: -8, high: 7, into: values + begin, error: &error)
          }
          scales.append(floatToHalf(scale))
        }
        for begin in stride(from: 0, to: block.count, by: weight.columns) {
          let first = begin / group
          if let feedback {
            Rounding.quantize(
              UnsafeBufferPointer(rebasing: block[begin..<begin + weight.columns]), low: -8, high: 7,
              into: values + begin, error: &error, feedback: feedback
            ) { halfToFloat(scales[first + $0 / group]) }
          }
          watch.add(UnsafeBufferPointer(rebasing: block[begin..<begin + weight.columns])) {
            Float(values[begin + $0]) * halfToFloat(scales[first + $0 / group])
          }
        }
      }
      let packed = stride(from: 0, to: values.count, by: 2).map { index in
        UInt8(values[index] + 8) | UInt8(values[index + 1] + 8) << 4
      }
      try packed.withUnsafeBytes { try sink($0, weight.name + "_packed") }
      try scales.withUnsafeBytes { try sink($0, weight.name + "_scale") }
    }
    let shape = weight.shape.extents.map { Int64($0) }
    try shape.withUnsafeBytes { try sink($0, weight.name + "_shape") }
    return watch.outcome(error)
  }

  /// How errors are made up for within a row: where the layer's inputs were multiplied with each other.
  private var feedback: ErrorFeedback? {
    guard let inputs, inputs.taps == 1, inputs.depth == weight.columns else { return nil }
    return inputs.feedback
  }

  // MARK: Reading

  /// Calls `body` with the tensor's numbers, some whole rows of `rowCount` at a time, after seeing that they
  /// are numbers.
  private func forEachBlock(
    rowCount: Int = 1, _ body: (_ block: UnsafeBufferPointer<Float>, _ first: Int) throws -> Void
  ) throws {
    let total = weight.shape.count
    let flat = weight.flat
    let step = max(1, TensorQuantizer.blockCount / max(rowCount, 1)) * rowCount
    let memory = UnsafeMutablePointer<Float>.allocate(capacity: max(1, min(step, total)))
    defer { memory.deallocate() }
    var first = 0
    while first < total {
      let end = min(total, first + step)
      kernels.expand(flat, rows: first..<end, into: memory)
      scale(memory, first..<end)
      let block = UnsafeBufferPointer(start: memory, count: end - first)
      if let index = block.firstOddity {
        throw wrong("finite numbers", "\(block[index]) at element \(first + index)")
      }
      try body(block, first)
      first = end
    }
  }

  /// Multiplies elements by the factors of their rows and columns.
  private func scale(_ values: UnsafeMutablePointer<Float>, _ range: Range<Int>) {
    let columns = weight.columns
    if let rowFactors {
      for index in range { values[index - range.lowerBound] *= rowFactors[index / columns] }
    }
    if let columnFactors {
      for index in range { values[index - range.lowerBound] *= columnFactors[index % columns] }
    }
  }

  private func wrong(_ expected: String, _ found: String) -> FormatError {
    FormatError(path: path, part: "tensor '\(weight.name)'", expected: expected, found: found)
  }
}

extension Weight {
  /// The same numbers one below the other.
  fileprivate var flat: Weight {
    Weight(name: name, shape: [shape.count], storage: storage, bytes: bytes, owner: owner)
  }
}
