package import PipitGraph
package import PipitTensors

/// A text transformer with a head that names what a text is, as the `...ForSequenceClassification` of
/// transformers: a dense layer over the first token's state, an activation, a dense layer to the labels.
package struct TextClassifier: Sendable {
  package let encoder: TextTransformer
  package let labels: [String]
  /// Whether each label is true or false by itself: probabilities are sigmoids of the logits, else their softmax.
  package let isMultiLabel: Bool
  private let head: Head

  /// Where the head's tensors lie, and its activation.
  struct Head: Sendable {
    let dense: String
    let activation: Activation
    let output: String
  }

  init(_ encoder: TextTransformer, _ configuration: Configuration, _ head: Head) throws {
    self.encoder = encoder
    self.head = head
    labels = try configuration.labels()
    isMultiLabel =
      try configuration.string("problem_type", fallback: "") == "multi_label_classification"
  }

  /// `input_ids` and what else the shape says to logits `[batch, labels]`.
  package func graph(weights: any WeightSource, _ shape: TextShape) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let states = try encoder.states(g, try encoder.inputs(g, shape))
    let first = try g.firstToken(states)
    let dense = try g.activation(
      head.activation, try g.linear(first, at: Scope(head.dense), to: encoder.hidden))
    g.output("logits", try g.linear(dense, at: Scope(head.output), to: labels.count))
    return g.graph
  }
}
