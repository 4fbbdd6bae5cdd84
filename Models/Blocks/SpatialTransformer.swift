package import PipitGraph
import PipitTensors

/// The transformer over the positions of a picture that looks at a text besides (Rombach et al.
/// 2022), as `Transformer2DModel` in diffusers.
package struct SpatialTransformer: Hashable, Sendable {
  package let groups: Int
  package let heads: Int
  package let layerCount: Int

  /// The reference fixes both.
  private static let groupEpsilon: Float = 1e-6
  private static let layerEpsilon: Float = 1e-5

  /// x `[batch, height, width, channels]` to the same shape; `context` gives keys and values of the text.
  func build(
    _ g: GraphBuilder, _ x: Value, context: TextContext, at scope: Scope
  ) throws -> Value {
    let width = x.shape.columns
    let normed = try g.groupNorm(
      x, at: scope / "norm", groups: groups, epsilon: SpatialTransformer.groupEpsilon)
    let tokens = try g.reshape(normed, to: [x.shape[0], x.shape[1] * x.shape[2], width])
    // Whether the projections are 1x1 convolutions or linear layers shows in their weights only.
    var y = try g.pointwise(tokens, at: scope / "proj_in", to: width)
    for index in 0..<layerCount {
      y = try layer(g, y, context: context, at: scope / "transformer_blocks" / index)
    }
    y = try g.pointwise(y, at: scope / "proj_out", to: width)
    return try g.add(try g.reshape(y, to: x.shape), x)
  }

  /// Self-attention, cross-attention and a gated feed-forward part, each with a norm before it and
  /// its input added behind: `BasicTransformerBlock` in diffusers.
  private func layer(
    _ g: GraphBuilder, _ x: Value, context: TextContext, at scope: Scope
  ) throws -> Value {
    let width = x.shape.columns
    func norm(_ x: Value, _ name: String) throws -> Value {
      try g.layerNorm(x, at: scope / name, epsilon: SpatialTransformer.layerEpsilon)
    }
    var inner = try norm(x, "norm1")
    let own = try TextContext.projections(g, inner, to: width, at: scope / "attn1")
    var y = try g.add(try attend(g, inner, own, at: scope / "attn1"), x)
    inner = try norm(y, "norm2")
    let text = try context.keysAndValues(g, to: width, at: scope / "attn2")
    y = try g.add(try attend(g, inner, text, at: scope / "attn2"), y)
    inner = try g.linear(try norm(y, "norm3"), at: scope / "ff.net.0.proj", to: 8 * width)
    let gated = try g.add(.gatedGELU, [inner], "geglu")
    return try g.add(try g.linear(gated, at: scope / "ff.net.2", to: width), y)
  }

  private func attend(
    _ g: GraphBuilder, _ x: Value, _ other: (keys: Value, values: Value), at scope: Scope
  ) throws -> Value {
    let width = x.shape.columns
    let attended = try g.attention(
      q: try g.linear(x, at: scope / "to_q", to: width, bias: false), k: other.keys,
      v: other.values, heads: heads, at: scope)
    return try g.linear(attended, at: scope / "to_out.0", to: width)
  }
}

/// What cross-attention sees of a text.
package enum TextContext {
  /// The states of the text, `[batch, tokens, width]`, which each layer projects itself.
  case states(Value)
  /// Keys and values computed before, as inputs of the graph: `[batch, tokens, channels]` named
  /// `SCOPE.keys` and `SCOPE.values`.
  case inputs(batch: Int, tokens: Int)

  func keysAndValues(
    _ g: GraphBuilder, to width: Int, at scope: Scope
  ) throws -> (keys: Value, values: Value) {
    switch self {
    case .states(let states):
      return try TextContext.projections(g, states, to: width, at: scope)
    case .inputs(let batch, let tokens):
      let shape: Shape = [batch, tokens, width]
      return (
        keys: g.input((scope / "keys").path, shape),
        values: g.input((scope / "values").path, shape)
      )
    }
  }

  static func projections(
    _ g: GraphBuilder, _ states: Value, to width: Int, at scope: Scope
  ) throws -> (keys: Value, values: Value) {
    (
      keys: try g.linear(states, at: scope / "to_k", to: width, bias: false),
      values: try g.linear(states, at: scope / "to_v", to: width, bias: false)
    )
  }
}
