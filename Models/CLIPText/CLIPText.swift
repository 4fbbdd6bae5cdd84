package import PipitGraph
package import PipitTensors

/// CLIP's text encoder (Radford et al. 2021), as `CLIPTextModel` and `CLIPTextModelWithProjection` in
/// transformers: what Stable Diffusion reads prompts with.
package struct CLIPText: Sendable {
  package let vocabularyCount: Int
  /// The most tokens that it reads.
  package let tokenLimit: Int
  package let layerCount: Int
  package let layer: CLIPTextLayer
  /// The end of a text, whose state stands for the whole.
  package let endOfText: PickRow.Rule
  /// The width of `text_embeds`; `nil` for the model without a projection.
  package let projection: Int?

  /// `eos_token_id` of configurations from before it was mended: there the end is the largest id.
  private static let legacyEnd = 2

  /// The settings of a `config.json`.
  package init(_ configuration: Configuration, hasProjection: Bool) throws {
    vocabularyCount = try configuration.integer(
      "vocab_size", in: 1...10_000_000, fallback: 49408)
    tokenLimit = try configuration.integer(
      "max_position_embeddings", in: 1...1_000_000, fallback: 77)
    layerCount = try configuration.integer("num_hidden_layers", in: 0...1000, fallback: 12)
    layer = try CLIPTextLayer(configuration)
    let end = try configuration.integer(
      "eos_token_id", in: 0...Int(Int32.max), fallback: 49407)
    endOfText = end == CLIPText.legacyEnd ? .largest : .first(of: Int32(end))
    projection =
      hasProjection
      ? try configuration.integer("projection_dim", in: 1...65536, fallback: 512) : nil
  }

  /// input_ids and, where `hasMask`, attention_mask `[batch, tokens]` i32 to last_hidden_state
  /// `[batch, tokens, hidden]`, and pooler_output `[batch, hidden]` or text_embeds `[batch, projection]`.
  package func graph(
    weights: any WeightSource, batch: Int, tokens: Int, hasMask: Bool = false
  ) throws -> Graph {
    guard tokens > 0, tokens <= tokenLimit else {
      throw ModelError.unsupported(
        setting: "tokens", value: "\(tokens)", expected: "1 to \(tokenLimit)")
    }
    let g = GraphBuilder(weights: weights)
    // Published checkpoints put the encoder's tensors under "text_model.", those of transformers 5 do not.
    let prefixed = Scope("text_model")
    let root = try g.has(prefixed / "embeddings.token_embedding.weight") ? prefixed : Scope()
    let ids = g.input("input_ids", [batch, tokens], .i32)
    let mask = hasMask ? g.input("attention_mask", [batch, tokens], .i32) : nil
    var x = try embed(g, ids, at: root / "embeddings")
    let keyBias = try mask.map { try g.add(.keyBias, [$0], "attention_mask") }
    for index in 0..<layerCount {
      x = try layer.build(g, x, keyBias: keyBias, at: root / "encoder.layers" / index)
    }
    x = try g.layerNorm(x, at: root / "final_layer_norm", epsilon: layer.epsilon)
    g.output("last_hidden_state", x)
    let pooled = try g.add(.pickRow(PickRow(endOfText)), [x, ids], "end of text")
    if let projection {
      let embeds = try g.linear(pooled, at: Scope("text_projection"), to: projection, bias: false)
      g.output("text_embeds", embeds)
    } else {
      g.output("pooler_output", pooled)
    }
    return g.graph
  }

  private func embed(_ g: GraphBuilder, _ ids: Value, at scope: Scope) throws -> Value {
    let words = try g.embedding(
      ids, at: scope / "token_embedding", count: vocabularyCount, width: layer.hidden)
    let table = try g.constant(
      scope / "position_embedding.weight", [tokenLimit, layer.hidden])
    return try g.add(words, try g.slice(table, axis: 0, 0..<ids.shape[1]))
  }
}

/// CLIP's pre-norm transformer layer with a causal mask, as `CLIPEncoderLayer` in transformers.
package struct CLIPTextLayer: Sendable {
  package let hidden: Int
  package let heads: Int
  package let intermediate: Int
  package let activation: Activation
  package let epsilon: Float

  package init(_ configuration: Configuration) throws {
    let width = try configuration.attentionWidth(
      hidden: "hidden_size", heads: "num_attention_heads")
    (hidden, heads) = (width.hidden, width.heads)
    intermediate = try configuration.integer("intermediate_size", in: 1...1_000_000)
    activation = try configuration.activation("hidden_act", fallback: "quick_gelu")
    epsilon = try configuration.epsilon("layer_norm_eps", fallback: 1e-5)
  }

  /// x `[batch, tokens, hidden]`, keyBias `[batch, tokens]`, to `[batch, tokens, hidden]`.
  func build(_ g: GraphBuilder, _ x: Value, keyBias: Value?, at scope: Scope) throws -> Value {
    let attention = scope / "self_attn"
    let normed = try g.layerNorm(x, at: scope / "layer_norm1", epsilon: epsilon)
    let attended = try g.attention(
      q: try g.linear(normed, at: attention / "q_proj", to: hidden),
      k: try g.linear(normed, at: attention / "k_proj", to: hidden),
      v: try g.linear(normed, at: attention / "v_proj", to: hidden),
      heads: heads, keyBias: keyBias, causal: true, at: attention)
    let middle = try g.add(try g.linear(attended, at: attention / "out_proj", to: hidden), x)
    let again = try g.layerNorm(middle, at: scope / "layer_norm2", epsilon: epsilon)
    let expanded = try g.activation(
      activation, try g.linear(again, at: scope / "mlp.fc1", to: intermediate))
    return try g.add(try g.linear(expanded, at: scope / "mlp.fc2", to: hidden), middle)
  }
}
