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
    hidden = try configuration.integer("hidden_size", in: 1...65536)
    heads = try configuration.integer("num_attention_heads", in: 1...1024)
    guard hidden % heads == 0, hidden / heads <= 512 else {
      throw configuration.error(
        "num_attention_heads", "a divisor of hidden_size \(hidden), heads at most 512 wide",
        "\(heads)")
    }
    intermediate = try configuration.integer("intermediate_size", in: 1...1_000_000)
    activation = try configuration.activation("hidden_act", fallback: "gelu")
    epsilon = Float(try configuration.number("layer_norm_eps", fallback: 1e-12))
    guard epsilon > 0 else {
      throw configuration.error("layer_norm_eps", "a positive number", "\(epsilon)")
    }
  }
}
