package import PipitTensors

/// y = a OP b, where b has a's shape or is repeated over leading or inner axes of a.
///
///     a [.., n]    b: a's shape, with some axes before a common suffix 1 or (leading ones) left out
///     output: a's shape
///
/// So b may be a number, a row, a picture for a batch of them, or a row for each picture, `[batch, 1, 1, n]`.
package struct Binary: Hashable, Sendable {
  package enum Operation: String, Hashable, Sendable, CaseIterable {
    case add, subtract, multiply, divide
  }
  package var operation: Operation

  package init(_ operation: Operation) { self.operation = operation }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 2 else { throw .inputCount(expected: 2...2, found: inputs.count) }
    guard Repetition(of: inputs[1], over: inputs[0]) != nil else {
      throw .invalid("\(inputs[1]) cannot be repeated over \(inputs[0])")
    }
    return inputs[0]
  }

  /// How b is repeated over a: for each of `outer` blocks, its next `inner` numbers `count` times.
  package struct Repetition: Hashable, Sendable {
    package let outer: Int
    package let count: Int
    package let inner: Int

    /// `nil` where b cannot be repeated over a.
    package init?(of b: Shape, over a: Shape) {
      var axes = Array(zip(a.extents.reversed(), b.extents.reversed()))
      for extra in b.extents.dropLast(axes.count) where extra != 1 { return nil }
      for extent in a.extents.dropLast(axes.count).reversed() { axes.append((extent, 1)) }
      let suffix = axes.prefix { $0 == $1 }
      let ones = axes.dropFirst(suffix.count).prefix { $1 == 1 }
      let outside = axes.dropFirst(suffix.count + ones.count)
      guard outside.allSatisfy({ $0 == $1 }) else { return nil }
      inner = suffix.reduce(1) { $0 * $1.0 }
      count = ones.reduce(1) { $0 * $1.0 }
      outer = outside.reduce(1) { $0 * $1.0 }
    }
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
