package import PipitTensors

/// The mean over tokens, each counted by its weight.
///
///     input [batch, tokens, width]    weights [batch, tokens] when hasWeights    output [batch, width]
package struct MeanRows: Hashable, Sendable {
  package var hasWeights: Bool

  package init(hasWeights: Bool) { self.hasWeights = hasWeights }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    let expected = hasWeights ? 2 : 1
    guard inputs.count == expected else {
      throw .inputCount(expected: expected...expected, found: inputs.count)
    }
    guard inputs[0].rank == 3 else { throw .rank(input: 0, expected: 3...3, found: inputs[0].rank) }
    if hasWeights, inputs[1] != [inputs[0][0], inputs[0][1]] {
      throw .invalid("weights \(inputs[1]) are not [batch, tokens]")
    }
    return [inputs[0][0], inputs[0][2]]
  }
}

/// The maximum over square windows of an NHWC image; what lies outside is ignored.
package struct Pool: Hashable, Sendable {
  package var window: Int
  package var stride: Int
  package var padding: Int

  package init(window: Int, stride: Int, padding: Int) {
    precondition(window > 0 && stride > 0)
    precondition(padding >= 0 && padding < window)
    self.window = window
    self.stride = stride
    self.padding = padding
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    let input = inputs[0]
    guard input.rank == 4 else { throw .rank(input: 0, expected: 4...4, found: input.rank) }
    let height = input[1] + 2 * padding - window
    let width = input[2] + 2 * padding - window
    guard height >= 0, width >= 0 else { throw .invalid("window is larger than \(input)") }
    return [input[0], height / stride + 1, width / stride + 1, input[3]]
  }
}

/// Numbers as 8-bit integers, for products in one of three shapes: as they are; with `padding` zeros behind each row,
/// so that rows of few numbers fill whole groups of an integer product; or an image's pixels in pairs.
package struct Quantize: Hashable, Sendable {
  package var padding = 0
  /// Each two pixels of an image's row as one, `lead` (0 or 1) of zeros before the first; `nil` where they are not
  /// paired. A last one without another is beside a pixel of zeros.
  package var pairLead: Int?

  /// Whether the numbers lie as before.
  package var keepsShape: Bool { padding == 0 && pairLead == nil }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    let input = inputs[0]
    if let pairLead {
      guard input.rank == 4 else { throw .rank(input: 0, expected: 4...4, found: input.rank) }
      return [input[0], input[1], (pairLead + input[2] + 1) / 2, 2 * input[3]]
    }
    guard padding > 0 else { return input }
    guard input.rank > 0 else { throw .rank(input: 0, expected: 1...8, found: 0) }
    return Shape(input.extents.dropLast() + [input.columns + padding])
  }
}

/// The same numbers under another shape; costs nothing.
package struct Reshape: Hashable, Sendable {
  package var shape: Shape

  package init(to shape: Shape) { self.shape = shape }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    guard inputs[0].count == shape.count else {
      throw .invalid("\(inputs[0]) does not have the elements of \(shape)")
    }
    return shape
  }
}

/// Axes in another order: output axis i is input axis `axes[i]`.
package struct Transpose: Hashable, Sendable {
  package var axes: [Int]

  package init(axes: [Int]) {
    precondition(axes.sorted() == Array(axes.indices))
    self.axes = axes
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    guard inputs[0].rank == axes.count else {
      throw .rank(input: 0, expected: axes.count...axes.count, found: inputs[0].rank)
    }
    return Shape(axes.map { inputs[0][$0] })
  }
}

/// A range of one axis.
package struct Slice: Hashable, Sendable {
  package var axis: Int
  package var range: Range<Int>

  package init(axis: Int, range: Range<Int>) {
    precondition(axis >= 0)
    precondition(range.lowerBound >= 0)
    self.axis = axis
    self.range = range
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    guard axis < inputs[0].rank else {
      throw .rank(input: 0, expected: axis + 1...6, found: inputs[0].rank)
    }
    guard range.upperBound <= inputs[0][axis] else {
      throw .mismatch(input: 0, axis: axis, expected: range.upperBound, found: inputs[0][axis])
    }
    var extents = inputs[0].extents
    extents[axis] = range.count
    return Shape(extents)
  }
}

/// Inputs one behind the other along an axis; all other extents are equal.
package struct Concatenate: Hashable, Sendable {
  package var axis: Int

  package init(axis: Int) {
    precondition(axis >= 0)
    self.axis = axis
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard let first = inputs.first else { throw .inputCount(expected: 1...64, found: 0) }
    guard axis < first.rank else {
      throw .rank(input: 0, expected: axis + 1...6, found: first.rank)
    }
    var extents = first.extents
    extents[axis] = 0
    for (index, input) in inputs.enumerated() {
      guard input.rank == first.rank else {
        throw .rank(input: index, expected: first.rank...first.rank, found: input.rank)
      }
      for other in 0..<first.rank where other != axis && input[other] != first[other] {
        throw .mismatch(input: index, axis: other, expected: first[other], found: input[other])
      }
      extents[axis] += input[axis]
    }
    return Shape(extents)
  }
}
