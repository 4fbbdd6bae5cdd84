import PipitGraph
package import PipitTensors

extension TextTransformer {
  /// RoBERTa's encoder (Liu et al. 2019) and XLM-R's (Conneau et al. 2019), as `RobertaModel` and
  /// `XLMRobertaModel` in transformers: BERT's, with positions counted past the padding.
  package init(roberta configuration: Configuration) throws {
    try configuration.requireEncoder()
    layer = try TransformerLayer(configuration)
    layerCount = try configuration.integer("num_hidden_layers", in: 0...1000)
    embeddings = try TextEmbeddings(
      configuration, hidden: layer.hidden, epsilon: layer.epsilon,
      typeCount: try configuration.integer("type_vocab_size", in: 1...1000, fallback: 2),
      paddingID: try configuration.integer("pad_token_id", in: 0...1_000_000, fallback: 1))
    layers = Scope("encoder.layer")
    prefix = "roberta"
  }
}

extension TextClassifier {
  /// `RobertaForSequenceClassification` and `XLMRobertaForSequenceClassification`.
  package init(roberta configuration: Configuration) throws {
    try self.init(
      try TextTransformer(roberta: configuration), configuration,
      Head(dense: "classifier.dense", activation: .tanh, output: "classifier.out_proj"))
  }
}
