package import PipitGraph
package import PipitTensors

/// Pipit's own head over a frozen text encoder: transformer layers, the mean over tokens, two dense layers.
///
/// Tensors: `encoder.layer.N.*` as in BERT, `classifier.dense`, `classifier.out_proj`.
package struct TextSentimentHead: Sendable {
  package let layer: TransformerLayer
  package let layerCount: Int
  package let classifierHidden: Int
  package let labels: [String]

  package init(_ configuration: Configuration) throws {
    layer = try TransformerLayer(configuration)
    layerCount = try configuration.integer("num_hidden_layers", in: 0...1000)
    classifierHidden = try configuration.integer("classifier_hidden_size", in: 1...65536)
    labels = try configuration.labels()
  }

  /// last_hidden_state `[batch, tokens, hidden]` f32 and attention_mask `[batch, tokens]` i32 to logits
  /// `[batch, labels]`.
  package func graph(weights: any WeightSource, batch: Int, tokens: Int) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    var x = g.input("last_hidden_state", [batch, tokens, layer.hidden])
    let mask = g.input("attention_mask", [batch, tokens], .i32)
    if layerCount > 0 {
      let keyBias = try g.add(.keyBias, [mask], "attention_mask")
      for index in 0..<layerCount {
        x = try layer.build(g, x, keyBias: keyBias, at: Scope("encoder.layer") / index)
      }
    }
    let tokenWeights = try g.add(.maskWeights, [mask], "mask")
    let mean = try g.add(.meanRows(MeanRows(hasWeights: true)), [x, tokenWeights], "pooling")
    let dense = try g.activation(
      .tanh, try g.linear(mean, at: Scope("classifier.dense"), to: classifierHidden))
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
