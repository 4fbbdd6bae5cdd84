package import PipitGraph
package import PipitTensors

/// The encoder of BERT, as `BertModel` in transformers.
package struct BERT: Sendable {
  package let configuration: BERTConfiguration

  package init(_ configuration: BERTConfiguration) { self.configuration = configuration }

  /// input_ids, attention_mask `[batch, tokens]` i32 (and token_type_ids where `withTypes`) to
  /// last_hidden_state `[batch, tokens, hidden]`; with `pooled` also embedding `[batch, hidden]`: the mean over
  /// the tokens of the mask, of length 1.
  package func graph(
    weights: any WeightSource, batch: Int, tokens: Int, withTypes: Bool = false,
    pooled: Bool = false
  ) throws -> Graph {
    guard tokens > 0, tokens <= configuration.positionCount else {
      throw ModelError.unsupported(
        setting: "tokens", value: "\(tokens)", expected: "1 to \(configuration.positionCount)")
    }
    let g = GraphBuilder(weights: weights)
    // Checkpoints of classifiers keep the encoder's tensors under "bert.".
    let root = Scope(
      try g.has(Scope("bert.embeddings.word_embeddings.weight")) ? "bert" : "")
    let ids = g.input("input_ids", [batch, tokens], .i32)
    let mask = g.input("attention_mask", [batch, tokens], .i32)
    let types = withTypes ? g.input("token_type_ids", [batch, tokens], .i32) : nil
    let hidden = try encode(g, ids: ids, mask: mask, types: types, at: root)
    g.output("last_hidden_state", hidden)
    if pooled {
      let weights = try g.add(.maskWeights, [mask], "mask")
      let mean = try g.add(.meanRows(MeanRows(hasWeights: true)), [hidden, weights], "pooling")
      g.output(
        "embedding", try g.add(.l2Normalize(L2Normalize(epsilon: 1e-12)), [mean], "normalize"))
    }
    return g.graph
  }

  private func encode(
    _ g: GraphBuilder, ids: Value, mask: Value, types: Value?, at root: Scope
  ) throws -> Value {
    var x = try embed(g, ids: ids, types: types, at: root / "embeddings")
    let keyBias = try g.add(.keyBias, [mask], "attention_mask")
    for index in 0..<configuration.layerCount {
      x = try configuration.layer.build(
        g, x, keyBias: keyBias, at: root / "encoder.layer" / index)
    }
    return x
  }

  private func embed(
    _ g: GraphBuilder, ids: Value, types: Value?, at scope: Scope
  ) throws -> Value {
    let hidden = configuration.layer.hidden
    let tokens = ids.shape[1]
    let words = try g.embedding(
      ids, at: scope / "word_embeddings", count: configuration.vocabularyCount, width: hidden)
    var positions = try g.slice(
      try g.constant(
        scope / "position_embeddings.weight", [configuration.positionCount, hidden]),
      axis: 0, 0..<tokens)
    let typeTable = scope / "token_type_embeddings.weight"
    var x: Value
    if let types {
      let rows = try g.embedding(
        types, at: scope / "token_type_embeddings", count: configuration.typeCount, width: hidden)
      x = try g.add(words, rows)
    } else {
      let first = try g.slice(
        try g.constant(typeTable, [configuration.typeCount, hidden]), axis: 0, 0..<1)
      positions = try g.add(positions, first)
      x = words
    }
    x = try g.add(x, positions)
    return try g.layerNorm(x, at: scope / "LayerNorm", epsilon: configuration.layer.epsilon)
  }
}
