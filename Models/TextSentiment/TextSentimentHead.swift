package import PipitGraph
package import PipitTensors

/// Pipit's own head over a frozen text encoder: two dense layers on the mean states after several of
/// the encoder's layers (what a text says fades towards the last, which serve retrieval).
///
/// Tensors: `classifier.dense`, `classifier.out_proj`.
package struct TextSentimentHead: Sendable {
  /// The encoder's width.
  package let hidden: Int
  /// The encoder's layers whose states are read: 0 the embeddings, 1 after the first layer, and so on.
  package let encoderLayers: [Int]
  package let classifierHidden: Int
  package let labels: [String]

  package init(_ configuration: Configuration) throws {
    hidden = try configuration.integer("hidden_size", in: 1...65536)
    encoderLayers = try configuration.integers("encoder_layers", in: 0...1000)
    guard (1...64).contains(encoderLayers.count) else {
      throw configuration.error("encoder_layers", "1 to 64 numbers", "\(encoderLayers.count)")
    }
    classifierHidden = try configuration.integer("classifier_hidden_size", in: 1...65536)
    labels = try configuration.labels()
  }

  /// The width of the input: the layers' mean states side by side.
  package var inputWidth: Int { hidden * encoderLayers.count }

  /// layer_means `[batch, layers * hidden]` to logits `[batch, labels]`.
  package func graph(weights: any WeightSource, batch: Int) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let means = g.input("layer_means", [batch, inputWidth])
    let dense = try g.activation(
      .tanh, try g.linear(means, at: Scope("classifier.dense"), to: classifierHidden))
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
