package import PipitGraph
import PipitTensors

/// The post-norm transformer layer of BERT (Devlin et al. 2018), as `BertLayer` in transformers.
package struct TransformerLayer: Sendable {
  package let hidden: Int
  package let heads: Int
  package let intermediate: Int
  package let activation: Activation
  package let epsilon: Float

  /// x `[batch, tokens, hidden]`, keyBias `[batch, tokens]`, to `[batch, tokens, hidden]`.
  func build(_ g: GraphBuilder, _ x: Value, keyBias: Value, at scope: Scope) throws -> Value {
    let attention = scope / "attention"
    let attended = try g.attention(
      q: try g.linear(x, at: attention / "self.query", to: hidden),
      k: try g.linear(x, at: attention / "self.key", to: hidden),
      v: try g.linear(x, at: attention / "self.value", to: hidden),
      heads: heads, keyBias: keyBias, at: attention)
    let projected = try g.linear(attended, at: attention / "output.dense", to: hidden)
    let middle = try g.layerNorm(
      try g.add(projected, x), at: attention / "output.LayerNorm", epsilon: epsilon)
    let expanded = try g.activation(
      activation, try g.linear(middle, at: scope / "intermediate.dense", to: intermediate))
    let output = try g.linear(expanded, at: scope / "output.dense", to: hidden)
    return try g.layerNorm(
      try g.add(output, middle), at: scope / "output.LayerNorm", epsilon: epsilon)
  }
}
