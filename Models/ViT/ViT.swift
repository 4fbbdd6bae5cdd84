package import PipitGraph
package import PipitTensors

/// The vision transformer (Dosovitskiy et al. 2020), as `ViTForImageClassification` in transformers.
package struct ViT: ImageClassifier {
  package let channels: Int
  package let labels: [String]
  /// Pixels of the pictures that it was trained on, height and width: its positions fit no others.
  package let imageSize: [Int]
  private let patch: Int
  private let layerCount: Int
  private let hidden: Int
  private let heads: Int
  private let intermediate: Int
  private let activation: Activation
  private let epsilon: Float
  private let hasBias: Bool

  package init(_ configuration: Configuration) throws {
    channels = try configuration.integer("num_channels", in: 1...64, fallback: 3)
    let width = try configuration.attentionWidth(
      hidden: "hidden_size", heads: "num_attention_heads")
    (hidden, heads) = (width.hidden, width.heads)
    layerCount = try configuration.integer("num_hidden_layers", in: 0...1000, fallback: 12)
    intermediate = try configuration.integer(
      "intermediate_size", in: 1...1_000_000, fallback: 3072)
    activation = try configuration.activation("hidden_act", fallback: "gelu")
    epsilon = try configuration.epsilon("layer_norm_eps", fallback: 1e-12)
    hasBias = try configuration.bool("qkv_bias", fallback: true)
    imageSize = try configuration.integerOrList(
      "image_size", in: 1...16384, count: 2, fallback: 224)
    let patches = try configuration.integerOrList(
      "patch_size", in: 1...1024, count: 2, fallback: 16)
    guard patches[0] == patches[1], patches[0] <= min(imageSize[0], imageSize[1]) else {
      throw configuration.error(
        "patch_size", "the side of squares that fit into the picture", "\(patches)")
    }
    patch = patches[0]
    labels = try configuration.labels()
  }

  package var fixedSize: (height: Int, width: Int)? { (imageSize[0], imageSize[1]) }

  /// pixel_values `[batch, channels, height, width]` to logits `[batch, labels]`.
  package func graph(
    weights: any WeightSource, batch: Int, height: Int, width: Int
  ) throws -> Graph {
    guard [height, width] == imageSize else {
      throw ModelError.unsupported(
        setting: "picture size", value: "\(width)x\(height)",
        expected: "\(imageSize[1])x\(imageSize[0])")
    }
    let g = GraphBuilder(weights: weights)
    let pixels = g.input("pixel_values", [batch, channels, height, width])
    let root = Scope("vit")
    var x = try embed(g, try g.transpose(pixels, [0, 2, 3, 1]), at: root / "embeddings")
    for index in 0..<layerCount {
      x = try layer(g, x, at: root / "encoder.layer" / index)
    }
    // Nothing but the first token is read from here on.
    let first = try g.reshape(try g.slice(x, axis: 1, 0..<1), to: [batch, hidden])
    let normed = try g.layerNorm(first, at: root / "layernorm", epsilon: epsilon)
    g.output("logits", try g.linear(normed, at: Scope("classifier"), to: labels.count))
    return g.graph
  }

  /// A token for each patch, row by row, behind the token of the class; positions added.
  private func embed(_ g: GraphBuilder, _ x: Value, at scope: Scope) throws -> Value {
    let batch = x.shape[0]
    let patches = try g.conv2D(
      x, at: scope / "patch_embeddings.projection", to: hidden, kernel: patch, stride: patch,
      padding: Conv2D.Padding(0))
    let count = patches.shape[1] * patches.shape[2]
    let token = try g.weight(scope / "cls_token", [1, 1, hidden]).floats()
    let repeated = (0..<batch).flatMap { _ in token }
    let classes = try g.constant("cls_token", [batch, 1, hidden], repeated)
    let tokens = try g.concatenate(
      [classes, try g.reshape(patches, to: [batch, count, hidden])], axis: 1)
    return try g.add(
      tokens, try g.constant(scope / "position_embeddings", [1, count + 1, hidden]))
  }

  /// A pre-norm transformer layer: `ViTLayer` in transformers.
  private func layer(_ g: GraphBuilder, _ x: Value, at scope: Scope) throws -> Value {
    let attention = scope / "attention.attention"
    let normed = try g.layerNorm(x, at: scope / "layernorm_before", epsilon: epsilon)
    let attended = try g.attention(
      q: try g.linear(normed, at: attention / "query", to: hidden, bias: hasBias),
      k: try g.linear(normed, at: attention / "key", to: hidden, bias: hasBias),
      v: try g.linear(normed, at: attention / "value", to: hidden, bias: hasBias),
      heads: heads, at: attention)
    let projected = try g.linear(attended, at: scope / "attention.output.dense", to: hidden)
    let middle = try g.add(projected, x)
    let again = try g.layerNorm(middle, at: scope / "layernorm_after", epsilon: epsilon)
    let expanded = try g.activation(
      activation, try g.linear(again, at: scope / "intermediate.dense", to: intermediate))
    return try g.add(try g.linear(expanded, at: scope / "output.dense", to: hidden), middle)
  }
}
