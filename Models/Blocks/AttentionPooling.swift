import PipitGraph
import PipitTensors

/// What learned queries find among the states of a text's tokens: attention whose queries are weights.
///
/// Tensors: `queries` `[queryCount, channels]`, `to_k`, `to_v`.
struct AttentionPooling: Sendable {
  let channels: Int
  let heads: Int
  let queryCount: Int

  /// states `[batch, tokens, ..]`, mask `[batch, tokens]` i32 to `[batch, queryCount * channels]`.
  func build(_ g: GraphBuilder, _ states: Value, mask: Value, at scope: Scope) throws -> Value {
    let batch = states.shape[0]
    let queries = try g.reshape(
      try g.constant(scope / "queries", [queryCount, channels]), to: [1, queryCount, channels])
    // Every element of the batch asks the same questions.
    let asked = try g.concatenate([Value](repeating: queries, count: batch), axis: 0)
    let attended = try g.attention(
      q: asked, k: try g.linear(states, at: scope / "to_k", to: channels),
      v: try g.linear(states, at: scope / "to_v", to: channels), heads: heads,
      keyBias: try g.add(.keyBias, [mask], "mask"), at: scope)
    return try g.reshape(attended, to: [batch, queryCount * channels])
  }
}

extension GraphBuilder {
  /// The mean of states `[batch, tokens, width]` over the tokens of the mask, all without one: `[batch, width]`.
  func meanState(_ states: Value, mask: Value?, at scope: Scope) throws -> Value {
    let weights = try mask.map { [try add(.maskWeights, [$0], "mask")] } ?? []
    return try add(
      .meanRows(MeanRows(hasWeights: !weights.isEmpty)), [states] + weights, (scope / "mean").path)
  }
}
