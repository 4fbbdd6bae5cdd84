package import PipitGraph
package import PipitTensors

/// Pipit's own denoiser: a rectified flow (Liu et al. 2022) on the principal components of a VAE's latents,
/// predicted by a residual MLP whose blocks are modulated by caption and time (adaLN, Peebles & Xie 2023).
package struct FlowMLP: Sendable {
  /// The latents' shape, channels first as in the reference.
  package let latentShape: [Int]
  package let coordinates: Int
  package let width: Int
  package let layerCount: Int
  package let expansion: Int
  package let captionChannels: Int
  package let captionQueries: Int
  package let captionHeads: Int
  /// Vectors that the caption's own is drawn to; 0 leaves it as it is.
  package let memorySize: Int
  package let timeChannels: Int
  package let epsilon: Float

  package init(_ configuration: Configuration) throws {
    latentShape = try configuration.integers("latent_shape", in: 1...4096)
    guard latentShape.count == 3 else {
      throw configuration.error("latent_shape", "[channels, height, width]", "\(latentShape)")
    }
    coordinates = try configuration.integer("coordinates", in: 1...65536)
    width = try configuration.integer("width", in: 1...16384)
    layerCount = try configuration.integer("num_layers", in: 1...1000)
    expansion = try configuration.integer("expansion", in: 1...64)
    captionChannels = try configuration.integer("caption_channels", in: 1...16384)
    captionQueries = try configuration.integer("caption_queries", in: 1...1024)
    captionHeads = try configuration.integer("caption_heads", in: 1...256)
    guard captionChannels % captionHeads == 0, captionChannels / captionHeads <= 512 else {
      throw configuration.error(
        "caption_heads", "a divisor of caption_channels \(captionChannels)", "\(captionHeads)")
    }
    memorySize = try configuration.integer("memory_size", in: 0...1_048_576, fallback: 0)
    timeChannels = try configuration.integer("time_channels", in: 2...16384)
    guard timeChannels % 2 == 0 else {
      throw configuration.error("time_channels", "an even number", "\(timeChannels)")
    }
    epsilon = Float(try configuration.number("norm_eps", fallback: 1e-6))
    guard epsilon > 0 else {
      throw configuration.error("norm_eps", "a positive number", "\(epsilon)")
    }
  }

  /// sample `[batch, coordinates]`, timestep `[batch]` (sigma * 1000), condition `[batch, width]` (what
  /// `captionGraph` makes of the caption) to out_sample `[batch, coordinates]`.
  ///
  /// The caption's part is a graph of its own since it is the same for every step.
  package func stepGraph(weights: any WeightSource, batch: Int) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let sample = g.input("sample", [batch, coordinates])
    let timestep = g.input("timestep", [batch])
    let condition = g.input("condition", [batch, width])
    g.output(
      "out_sample", try denoise(g, sample: sample, timestep: timestep, condition: condition))
    return g.graph
  }

  /// encoder_hidden_states `[batch, tokens, caption_channels]`, encoder_attention_mask `[batch, tokens]` i32
  /// to condition `[batch, width]`.
  package func captionGraph(weights: any WeightSource, batch: Int, tokens: Int) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let states = g.input("encoder_hidden_states", [batch, tokens, captionChannels])
    let mask = g.input("encoder_attention_mask", [batch, tokens], .i32)
    g.output("condition", try caption(g, states: states, mask: mask))
    return g.graph
  }

  /// The whole network in one graph, with the reference's inputs and outputs.
  package func graph(weights: any WeightSource, batch: Int, tokens: Int) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let sample = g.input("sample", [batch, coordinates])
    let timestep = g.input("timestep", [batch])
    let states = g.input("encoder_hidden_states", [batch, tokens, captionChannels])
    let mask = g.input("encoder_attention_mask", [batch, tokens], .i32)
    let condition = try caption(g, states: states, mask: mask)
    g.output(
      "out_sample", try denoise(g, sample: sample, timestep: timestep, condition: condition))
    return g.graph
  }

  private func caption(_ g: GraphBuilder, states: Value, mask: Value) throws -> Value {
    let scope = Scope("caption")
    let pooling = AttentionPooling(
      channels: captionChannels, heads: captionHeads, queryCount: captionQueries)
    let answers = try pooling.build(g, states, mask: mask, at: scope)
    let mean = try g.meanState(states, mask: mask, at: scope)
    return try remembered(
      g, try perceptron(g, try g.concatenate([answers, mean], axis: 1), at: scope))
  }

  /// The mean of the memory's vectors by how near each is, in two matrices and a softmax (a Hopfield layer,
  /// Ramsauer et al. 2021): a prompt in new words becomes one that the denoiser has learned to draw.
  private func remembered(_ g: GraphBuilder, _ x: Value) throws -> Value {
    guard memorySize > 0 else { return x }
    let scope = Scope("memory")
    let near = try g.linear(x, at: scope / "keys", to: memorySize)
    return try g.linear(
      try g.add(.softmax, [near], scope.path), at: scope / "values", to: width, bias: false)
  }

  /// fc2(silu(fc1(x))), both to `width`.
  private func perceptron(_ g: GraphBuilder, _ x: Value, at scope: Scope) throws -> Value {
    let inner = try g.activation(.silu, try g.linear(x, at: scope / "fc1", to: width))
    return try g.linear(inner, at: scope / "fc2", to: width)
  }

  private func denoise(
    _ g: GraphBuilder, sample: Value, timestep: Value, condition: Value
  ) throws -> Value {
    let batch = sample.shape[0]
    let embedding = try g.add(
      .timestepEmbedding(
        TimestepEmbedding(width: timeChannels, cosineFirst: true, frequencyShift: 0)),
      [timestep], "time")
    let time = try perceptron(g, embedding, at: Scope("time"))
    let modulator = try g.activation(.silu, try g.add(condition, time))
    // The modulating operations work on tokens; here each sample is one.
    var x = try g.reshape(
      try g.linear(sample, at: Scope("proj_in"), to: width), to: [batch, 1, width])
    for index in 0..<layerCount {
      x = try block(g, x, modulator: modulator, at: Scope("blocks") / index)
    }
    let parts = try g.linear(modulator, at: Scope("modulation_out"), to: 2 * width)
    let normed = try g.layerNorm(x, at: Scope("norm_out"), epsilon: epsilon, affine: false)
    let modulated = try g.add(
      .modulate(Modulate(scaleOffset: width, shiftOffset: 0)), [normed, parts, parts], "norm_out")
    return try g.linear(
      try g.reshape(modulated, to: [batch, width]), at: Scope("proj_out"), to: coordinates)
  }

  private func block(
    _ g: GraphBuilder, _ x: Value, modulator: Value, at scope: Scope
  ) throws -> Value {
    let parts = try g.linear(modulator, at: scope / "modulation", to: 3 * width)
    let normed = try g.layerNorm(x, at: scope / "norm", epsilon: epsilon, affine: false)
    let y = try g.add(
      .modulate(Modulate(scaleOffset: width, shiftOffset: 0)), [normed, parts, parts],
      (scope / "norm").path)
    let inner = try g.activation(
      .silu, try g.linear(y, at: scope / "fc1", to: expansion * width))
    let outer = try g.linear(inner, at: scope / "fc2", to: width)
    return try g.add(.gateAdd(GateAdd(gateOffset: 2 * width)), [outer, parts, x], scope.path)
  }

  // MARK: Principal components

  /// The map between coordinates and latents, kept as numbers: it is applied once a picture.
  package struct Components: Sendable {
    /// `[coordinates, latents]`
    package let basis: [Float]
    package let mean: [Float]
    package let deviation: [Float]
  }

  package func components(weights: any WeightSource) throws -> Components {
    let g = GraphBuilder(weights: weights)
    let count = latentShape.reduce(1, *)
    return Components(
      basis: try g.weight(Scope("basis"), [coordinates, count]).floats(),
      mean: try g.weight(Scope("mean"), [count]).floats(),
      deviation: try g.weight(Scope("deviation"), [coordinates]).floats())
  }
}
