package import PipitGraph
package import PipitTensors

/// The post-norm transformer layer of BERT (Devlin et al. 2018), as `BertLayer` in transformers.
package struct TransformerLayer: Sendable {
  package let hidden: Int
  package let heads: Int
  package let intermediate: Int
  package let activation: Activation
  package let epsilon: Float
  private let names: Names

  /// Where the layer's tensors lie in its scope.
  struct Names: Sendable {
    let query, key, value, projection, attentionNorm: String
    let expansion, contraction, outputNorm: String

    static let bert = Names(
      query: "attention.self.query", key: "attention.self.key", value: "attention.self.value",
      projection: "attention.output.dense", attentionNorm: "attention.output.LayerNorm",
      expansion: "intermediate.dense", contraction: "output.dense", outputNorm: "output.LayerNorm")
  }

  /// The settings that BERT's `config.json` has for its layers.
  package init(_ configuration: Configuration) throws {
    let width = try configuration.attentionWidth(
      hidden: "hidden_size", heads: "num_attention_heads")
    self.init(
      width, intermediate: try configuration.integer("intermediate_size", in: 1...1_000_000),
      activation: try configuration.activation("hidden_act", fallback: "gelu"),
      epsilon: try configuration.epsilon("layer_norm_eps", fallback: 1e-12), names: .bert)
  }

  init(
    _ width: (hidden: Int, heads: Int), intermediate: Int, activation: Activation, epsilon: Float,
    names: Names
  ) {
    (hidden, heads) = width
    self.intermediate = intermediate
    self.activation = activation
    self.epsilon = epsilon
    self.names = names
  }

  /// x `[batch, tokens, hidden]`, keyBias `[batch, tokens]`, relativeBias `[heads, 2 * tokens - 1]`, to
  /// `[batch, tokens, hidden]`.
  func build(
    _ g: GraphBuilder, _ x: Value, keyBias: Value?, relativeBias: Value? = nil, at scope: Scope
  ) throws -> Value {
    let attended = try g.attention(
      q: try g.linear(x, at: scope / names.query, to: hidden),
      k: try g.linear(x, at: scope / names.key, to: hidden),
      v: try g.linear(x, at: scope / names.value, to: hidden),
      heads: heads, keyBias: keyBias, relativeBias: relativeBias, at: scope / "attention")
    let projected = try g.linear(attended, at: scope / names.projection, to: hidden)
    let middle = try g.layerNorm(
      try g.add(projected, x), at: scope / names.attentionNorm, epsilon: epsilon)
    let expanded = try g.activation(
      activation, try g.linear(middle, at: scope / names.expansion, to: intermediate))
    let output = try g.linear(expanded, at: scope / names.contraction, to: hidden)
    return try g.layerNorm(
      try g.add(output, middle), at: scope / names.outputNorm, epsilon: epsilon)
  }
}
