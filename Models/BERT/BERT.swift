import PipitGraph
package import PipitTensors

extension TextTransformer {
  /// BERT's encoder (Devlin et al. 2018), as `BertModel` in transformers.
  package init(bert configuration: Configuration) throws {
    try configuration.requireEncoder()
    layer = try TransformerLayer(configuration)
    layerCount = try configuration.integer("num_hidden_layers", in: 0...1000)
    embeddings = try TextEmbeddings(
      configuration, hidden: layer.hidden, epsilon: layer.epsilon,
      typeCount: try configuration.integer("type_vocab_size", in: 1...1000, fallback: 2),
      paddingID: nil)
    layers = Scope("encoder.layer")
    prefix = "bert"
  }
}

extension TextClassifier {
  /// `BertForSequenceClassification`: the pooler (dense, tanh) of the first token, and one layer.
  package init(bert configuration: Configuration) throws {
    try self.init(
      try TextTransformer(bert: configuration), configuration,
      Head(dense: "bert.pooler.dense", activation: .tanh, output: "classifier"))
  }
}
