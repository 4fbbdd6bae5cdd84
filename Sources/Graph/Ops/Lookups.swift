package import PipitTensors

/// Rows of a table, chosen by ids.
///
///     ids  [.., n] i32    table [count, width]    output [.., n, width]
///
/// Ids outside the table are an error of whoever runs the graph (the program checks its inputs).
package struct Embedding: Sendable {
  package var table: Weight

  package init(table: Weight) {
    precondition(table.shape.rank == 2)
    self.table = table
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    return Shape(inputs[0].extents + [table.columns])
  }
}

/// The sinusoidal embedding of time steps (Ho et al. 2020; `Timesteps` in diffusers).
///
///     timesteps [batch] f32    output [batch, width]
///
/// Frequencies are exp(-ln(10000) * i / (width / 2 - shift)); cosines come first if `cosineFirst`.
package struct TimestepEmbedding: Hashable, Sendable {
  package var width: Int
  package var cosineFirst: Bool
  package var frequencyShift: Float

  package init(width: Int, cosineFirst: Bool, frequencyShift: Float) {
    precondition(width > 0 && width % 2 == 0)
    self.width = width
    self.cosineFirst = cosineFirst
    self.frequencyShift = frequencyShift
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    guard inputs[0].rank == 1 else { throw .rank(input: 0, expected: 1...1, found: inputs[0].rank) }
    return [inputs[0][0], width]
  }
}
