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

/// Rows of a table of learned positions that count only the tokens that are not padding
/// (`make_positions` of fairseq, as RoBERTa has it).
///
///     ids [batch, tokens] i32    table [count, width]    output [batch, tokens, width]
///
/// The n-th token, from 1, whose id is not `paddingID` has row `paddingID + n`; padding has row `paddingID`.
package struct PositionEmbedding: Sendable {
  package var table: Weight
  package var paddingID: Int

  package init(table: Weight, paddingID: Int) {
    precondition(table.shape.rank == 2)
    precondition(paddingID >= 0)
    self.table = table
    self.paddingID = paddingID
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    let ids = inputs[0]
    guard ids.rank == 2 else { throw .rank(input: 0, expected: 2...2, found: ids.rank) }
    guard table.rows > paddingID, ids[1] <= table.rows - paddingID - 1 else {
      throw .invalid("\(ids[1]) tokens have no positions in \(table.rows) rows from \(paddingID)")
    }
    return [ids[0], ids[1], table.columns]
  }
}

/// The state of one token of each text, found by its id.
///
///     states [batch, tokens, width]    ids [batch, tokens] i32    output [batch, width]
package struct PickRow: Hashable, Sendable {
  package enum Rule: Hashable, Sendable {
    /// The first token of an id; the first of all if none has it.
    case first(of: Int32)
    /// The first token that has the largest id of its text.
    case largest
  }
  package var rule: Rule

  package init(_ rule: Rule) { self.rule = rule }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 2 else { throw .inputCount(expected: 2...2, found: inputs.count) }
    let states = inputs[0]
    guard states.rank == 3 else { throw .rank(input: 0, expected: 3...3, found: states.rank) }
    guard inputs[1] == [states[0], states[1]], states[1] > 0 else {
      throw .invalid("ids \(inputs[1]) are not [batch, tokens] of \(states)")
    }
    return [states[0], states[2]]
  }

  /// The position of the row among the ids of one text.
  package func position(in ids: some RandomAccessCollection<Int32>) -> Int {
    precondition(!ids.isEmpty)
    var position = 0
    var largest = Int32.min
    for (index, id) in ids.enumerated() {
      switch rule {
      case .first(let wanted):
        if id == wanted { return index }
      case .largest:
        if index == 0 || id > largest { (position, largest) = (index, id) }
      }
    }
    return position
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
