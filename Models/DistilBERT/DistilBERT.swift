import PipitGraph
package import PipitTensors

extension TextTransformer {
  /// DistilBERT's encoder (Sanh et al. 2019), as `DistilBertModel` in transformers: BERT's without types.
  package init(distilBERT configuration: Configuration) throws {
    // The reference fixes the epsilon of its norms.
    let epsilon: Float = 1e-12
    let width = try configuration.attentionWidth(hidden: "dim", heads: "n_heads")
    layer = TransformerLayer(
      width, intermediate: try configuration.integer("hidden_dim", in: 1...1_000_000),
      activation: try configuration.activation("activation", fallback: "gelu"), epsilon: epsilon,
      names: .distilBERT)
    layerCount = try configuration.integer("n_layers", in: 0...1000)
    embeddings = try TextEmbeddings(
      configuration, hidden: width.hidden, epsilon: epsilon, typeCount: 0, paddingID: nil)
    layers = Scope("transformer.layer")
    prefix = "distilbert"
  }
}

extension TransformerLayer.Names {
  fileprivate static let distilBERT = Self(
    query: "attention.q_lin", key: "attention.k_lin", value: "attention.v_lin",
    projection: "attention.out_lin", attentionNorm: "sa_layer_norm", expansion: "ffn.lin1",
    contraction: "ffn.lin2", outputNorm: "output_layer_norm")
}

extension TextClassifier {
  /// `DistilBertForSequenceClassification`.
  package init(distilBERT configuration: Configuration) throws {
    try self.init(
      try TextTransformer(distilBERT: configuration), configuration,
      Head(dense: "pre_classifier", activation: .relu, output: "classifier"))
  }
}
