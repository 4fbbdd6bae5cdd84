import PipitGraph
package import PipitTensors

extension TextTransformer {
  /// MPNet's encoder (Song et al. 2020), as `MPNetModel` in transformers: RoBERTa's without types, whose
  /// attention also knows how far apart two tokens are.
  package init(mpNet configuration: Configuration) throws {
    try configuration.require("is_decoder", .bool(false))
    try configuration.require("add_cross_attention", .bool(false))
    // The reference computes with 32 buckets and padding 1, whatever the settings say.
    try configuration.require(
      "relative_attention_num_buckets", .integer(RelativePositions.bucketCount))
    layer = TransformerLayer(
      try configuration.attentionWidth(hidden: "hidden_size", heads: "num_attention_heads"),
      intermediate: try configuration.integer("intermediate_size", in: 1...1_000_000),
      activation: try configuration.activation("hidden_act", fallback: "gelu"),
      epsilon: try configuration.epsilon("layer_norm_eps", fallback: 1e-12), names: .mpNet)
    layerCount = try configuration.integer("num_hidden_layers", in: 0...1000)
    embeddings = try TextEmbeddings(
      configuration, hidden: layer.hidden, epsilon: layer.epsilon, typeCount: 0, paddingID: 1)
    layers = Scope("encoder.layer")
    prefix = "mpnet"
    relativePositions = Scope("encoder.relative_attention_bias")
  }
}

extension TextClassifier {
  /// `MPNetForSequenceClassification`.
  package init(mpNet configuration: Configuration) throws {
    try self.init(
      try TextTransformer(mpNet: configuration), configuration,
      Head(dense: "classifier.dense", activation: .tanh, output: "classifier.out_proj"))
  }
}

extension TransformerLayer.Names {
  fileprivate static let mpNet = Self(
    query: "attention.attn.q", key: "attention.attn.k", value: "attention.attn.v",
    projection: "attention.attn.o", attentionNorm: "attention.LayerNorm",
    expansion: "intermediate.dense", contraction: "output.dense", outputNorm: "output.LayerNorm")
}

/// What scores gain by the distance of two tokens (T5's buckets, Raffel et al. 2019): near ones have a number
/// each, far ones share it with those of about their distance.
enum RelativePositions {
  static let bucketCount = 32

  /// The bucket of a key that lies so many tokens behind its query; half of them are for those before it.
  static func bucket(_ offset: Int) -> Int {
    let distance = min(abs(offset), 128)
    let first = offset > 0 ? bucketCount / 2 : 0
    guard distance >= 8 else { return first + distance }
    // From 8 on each bucket begins sqrt(2) times as far as the one before it.
    var bucket = 8
    while bucket < 15, distance * distance >= 64 << (bucket - 7) { bucket += 1 }
    return first + bucket
  }

  /// `[heads, 2 * tokens - 1]`, as attention takes it, from a table `[buckets, heads]`.
  static func bias(_ g: GraphBuilder, tokens: Int, heads: Int, at scope: Scope) throws -> Value {
    let table = try g.weight(scope / "weight", [bucketCount, heads]).floats()
    let offsets = 1 - tokens...tokens - 1
    let values = (0..<heads).flatMap { head in
      offsets.map { table[bucket($0) * heads + head] }
    }
    return try g.constant(scope.path, [heads, offsets.count], values)
  }
}
