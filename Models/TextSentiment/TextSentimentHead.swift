package import PipitGraph
package import PipitTensors

/// Pipit's own head over a frozen text encoder: two dense layers on what an attention finds among the states of
/// a text's tokens, and on their mean, after several of the encoder's layers (what a text feels fades towards the
/// last, which serve retrieval).
///
/// Tensors: `pooling.queries`, `pooling.to_k`, `pooling.to_v`, `classifier.dense`, `classifier.out_proj`.
package struct TextSentimentHead: Sendable {
  /// The encoder's width.
  package let hidden: Int
  /// The encoder's layers whose states are read: 0 the embeddings, 1 after the first layer, and so on.
  package let encoderLayers: [Int]
  package let poolingChannels: Int
  package let poolingHeads: Int
  package let classifierHidden: Int
  package let labels: [String]

  package init(_ configuration: Configuration) throws {
    hidden = try configuration.integer("hidden_size", in: 1...65536)
    encoderLayers = try configuration.integers("encoder_layers", in: 0...1000)
    guard (1...64).contains(encoderLayers.count) else {
      throw configuration.error("encoder_layers", "1 to 64 numbers", "\(encoderLayers.count)")
    }
    poolingChannels = try configuration.integer("pooling_channels", in: 1...16384)
    poolingHeads = try configuration.integer("pooling_heads", in: 1...256)
    guard poolingChannels % poolingHeads == 0,
      poolingChannels / poolingHeads <= Attention.widestHead
    else {
      throw configuration.error(
        "pooling_heads", "a divisor of pooling_channels \(poolingChannels)", "\(poolingHeads)")
    }
    classifierHidden = try configuration.integer("classifier_hidden_size", in: 1...65536)
    labels = try configuration.labels()
  }

  /// The width of the input: the layers' states side by side.
  package var inputWidth: Int { hidden * encoderLayers.count }

  /// layer_states `[batch, tokens, layers * hidden]`, attention_mask `[batch, tokens]` i32 to logits
  /// `[batch, labels]`.
  package func graph(weights: any WeightSource, batch: Int, tokens: Int) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let states = g.input("layer_states", [batch, tokens, inputWidth])
    let mask = g.input("attention_mask", [batch, tokens], .i32)
    let scope = Scope("pooling")
    let pooling = AttentionPooling(channels: poolingChannels, heads: poolingHeads, queryCount: 1)
    let found = try g.concatenate(
      [
        try g.meanState(states, mask: mask, at: scope),
        try pooling.build(g, states, mask: mask, at: scope),
      ], axis: 1)
    let dense = try g.activation(
      .tanh, try g.linear(found, at: Scope("classifier.dense"), to: classifierHidden))
    g.output("logits", try g.linear(dense, at: Scope("classifier.out_proj"), to: labels.count))
    return g.graph
  }
}

extension Configuration {
  /// The names of a classifier's labels in order, from `id2label`, or numbers up to `num_labels`.
  package func labels() throws -> [String] {
    guard let names = try object("id2label") else {
      return (0..<(try integer("num_labels", in: 1...100_000, fallback: 2))).map { "LABEL_\($0)" }
    }
    let count = names.values.count
    guard (1...100_000).contains(count) else {
      throw error("id2label", "1 to 100000 labels", "\(count)")
    }
    return try (0..<count).map { try names.string(String($0)) }
  }
}
