package import PipitTensors

/// y = a OP b, where b has a's shape or is repeated over a's leading axes.
///
///     a [.., n]    b: a's shape, or a suffix of it with leading axes of 1 left out or in    output: a's shape
package struct Binary: Hashable, Sendable {
  package enum Operation: String, Hashable, Sendable, CaseIterable {
    case add, subtract, multiply, divide
  }
  package var operation: Operation

  package init(_ operation: Operation) { self.operation = operation }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 2 else { throw .inputCount(expected: 2...2, found: inputs.count) }
    guard Binary.repeats(inputs[1], over: inputs[0]) else {
      throw .invalid("\(inputs[1]) cannot be repeated over \(inputs[0])")
    }
    return inputs[0]
  }

  /// Whether `b`, without its leading ones, is a suffix of `a`.
  package static func repeats(_ b: Shape, over a: Shape) -> Bool {
    let suffix = Array(b.extents.drop { $0 == 1 })
    return suffix.count <= a.rank && Array(a.extents.suffix(suffix.count)) == suffix
  }
}

/// y = x * scale + shift with two numbers.
package struct Affine: Hashable, Sendable {
  package var scale: Float
  package var shift: Float

  package init(scale: Float, shift: Float) {
    self.scale = scale
    self.shift = shift
  }
}

/// Adaptive layer norm's y = x * (1 + scale) + shift (Perez et al. 2018; Peebles & Xie 2023).
///
///     x [batch, tokens, width]    scale, shift [batch, .., offset + width]    output [batch, tokens, width]
///
/// scale and shift are read from columns of the second and third input (often the same, wider value).
package struct Modulate: Hashable, Sendable {
  package var scaleOffset: Int
  package var shiftOffset: Int

  package init(scaleOffset: Int, shiftOffset: Int) {
    self.scaleOffset = scaleOffset
    self.shiftOffset = shiftOffset
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 3 else { throw .inputCount(expected: 3...3, found: inputs.count) }
    try checkPerBatch(inputs, 1, offset: scaleOffset)
    try checkPerBatch(inputs, 2, offset: shiftOffset)
    return inputs[0]
  }
}

/// y = residual + gate * x, the gate one row for each element of the batch.
///
///     x [batch, tokens, width]    gate [batch, .., offset + width]    residual [batch, tokens, width]
package struct GateAdd: Hashable, Sendable {
  package var gateOffset: Int

  package init(gateOffset: Int) { self.gateOffset = gateOffset }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 3 else { throw .inputCount(expected: 3...3, found: inputs.count) }
    try checkPerBatch(inputs, 1, offset: gateOffset)
    guard inputs[2] == inputs[0] else {
      throw .invalid("residual \(inputs[2]) is not \(inputs[0])")
    }
    return inputs[0]
  }
}

/// Checks that input `index` holds, for each element of the batch, one row with `offset` + width columns.
private func checkPerBatch(_ inputs: [Shape], _ index: Int, offset: Int) throws(ShapeError) {
  guard inputs[0].rank == 3 else { throw .rank(input: 0, expected: 3...3, found: inputs[0].rank) }
  let rows = inputs[index].rows
  guard rows == inputs[0][0] || rows == 1 else {
    throw .mismatch(input: index, axis: 0, expected: inputs[0][0], found: rows)
  }
  guard offset >= 0, inputs[index].columns >= offset + inputs[0].columns else {
    throw .mismatch(
      input: index, axis: inputs[index].rank - 1, expected: offset + inputs[0].columns,
      found: inputs[index].columns)
  }
}
