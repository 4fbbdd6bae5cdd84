import PipitGraph
package import PipitTensors

/// The settings of a `BertModel`'s `config.json`.
package struct BERTConfiguration: Sendable {
  package let vocabularyCount: Int
  package let positionCount: Int
  package let typeCount: Int
  package let layerCount: Int
  package let layer: TransformerLayer

  package init(_ configuration: Configuration) throws {
    try configuration.require("position_embedding_type", .string("absolute"))
    vocabularyCount = try configuration.integer("vocab_size", in: 1...10_000_000)
    positionCount = try configuration.integer("max_position_embeddings", in: 1...1_000_000)
    typeCount = try configuration.integer("type_vocab_size", in: 1...1000, fallback: 2)
    layerCount = try configuration.integer("num_hidden_layers", in: 0...1000)
    layer = try TransformerLayer(configuration)
  }
}

extension TransformerLayer {
  /// The settings that BERT's `config.json` has for its layers.
  package init(_ configuration: Configuration) throws {
    let width = try configuration.attentionWidth(
      hidden: "hidden_size", heads: "num_attention_heads")
    (hidden, heads) = (width.hidden, width.heads)
    intermediate = try configuration.integer("intermediate_size", in: 1...1_000_000)
    activation = try configuration.activation("hidden_act", fallback: "gelu")
    epsilon = try configuration.epsilon("layer_norm_eps", fallback: 1e-12)
  }
}
