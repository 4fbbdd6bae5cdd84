import PipitGraph
import PipitTensors

/// What a text transformer's first layer reads: word, position and, where there are any, type embeddings,
/// summed and normalized, as `BertEmbeddings` in transformers.
///
/// Tensors: `word_embeddings`, `position_embeddings`, `token_type_embeddings`, `LayerNorm`.
struct TextEmbeddings: Sendable {
  let vocabularyCount: Int
  let positionCount: Int
  /// Kinds of tokens; 0 for models that do not tell them apart.
  let typeCount: Int
  /// The padding that positions are counted past, as in RoBERTa; `nil` where they are those of the tokens.
  let paddingID: Int?
  let hidden: Int
  let epsilon: Float

  /// The most tokens that there are positions for.
  var tokenLimit: Int { positionCount - (paddingID.map { $0 + 1 } ?? 0) }

  init(_ configuration: Configuration, hidden: Int, epsilon: Float, typeCount: Int, paddingID: Int?)
    throws
  {
    vocabularyCount = try configuration.integer("vocab_size", in: 1...10_000_000)
    positionCount = try configuration.integer("max_position_embeddings", in: 1...1_000_000)
    self.typeCount = typeCount
    self.paddingID = paddingID
    self.hidden = hidden
    self.epsilon = epsilon
    guard tokenLimit > 0, (paddingID ?? 0) < vocabularyCount else {
      throw configuration.error(
        "pad_token_id", "less than vocab_size, and positions left above it", "\(paddingID ?? 0)")
    }
  }

  /// `[batch, tokens, hidden]`.
  func build(_ g: GraphBuilder, _ inputs: TextInputs, at scope: Scope) throws -> Value {
    var x = try g.embedding(
      inputs.ids, at: scope / "word_embeddings", count: vocabularyCount, width: hidden)
    var positions = try positions(g, inputs.ids, at: scope / "position_embeddings.weight")
    if let types = inputs.types {
      let rows = try g.embedding(
        types, at: scope / "token_type_embeddings", count: typeCount, width: hidden)
      x = try g.add(x, rows)
    } else if typeCount > 0 {
      // Added to the positions, so that where these are constant the sum is one too.
      let table = try g.constant(scope / "token_type_embeddings.weight", [typeCount, hidden])
      positions = try g.add(positions, try g.slice(table, axis: 0, 0..<1))
    }
    return try g.layerNorm(
      try g.add(x, positions), at: scope / "LayerNorm", epsilon: epsilon)
  }

  private func positions(_ g: GraphBuilder, _ ids: Value, at scope: Scope) throws -> Value {
    if let paddingID {
      let table = try g.weight(scope, [positionCount, hidden])
      let op = PositionEmbedding(table: table, paddingID: paddingID)
      return try g.add(.positionEmbedding(op), [ids], scope.path)
    }
    return try g.slice(
      try g.constant(scope, [positionCount, hidden]), axis: 0, 0..<ids.shape[1])
  }
}
