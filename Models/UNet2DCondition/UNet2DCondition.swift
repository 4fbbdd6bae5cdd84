package import PipitGraph
package import PipitTensors

/// The denoiser of Stable Diffusion 1.x and 2.x and of the models made smaller from it, as
/// `UNet2DConditionModel` in diffusers.
///
/// On the way down each block's result is kept; on the way up it is put behind the channels of the
/// block of the same level (Ronneberger et al. 2015).
package struct UNet2DCondition: Sendable {
  package let configuration: UNet2DConditionConfiguration
  private let block: ResidualBlock

  package init(_ configuration: UNet2DConditionConfiguration) {
    self.configuration = configuration
    block = ResidualBlock(
      groups: configuration.groups, epsilon: configuration.epsilon,
      activation: configuration.activation)
  }

  /// The extents of one run.
  package struct Extents: Hashable, Sendable {
    package var batch: Int
    package var height: Int
    package var width: Int
    /// Tokens of the text.
    package var tokens: Int
    /// Time steps: one for the whole batch, or one for each element. `[]` is one as well.
    package var timesteps: Shape
    /// Whether the embedding of the guidance is given.
    package var hasGuidance = false
    /// Whether the text comes as the keys and values of `contextGraph` instead of as its states.
    package var hasKeysAndValues = false

    package init(batch: Int, height: Int, width: Int, tokens: Int, timesteps: Shape) {
      self.batch = batch
      self.height = height
      self.width = width
      self.tokens = tokens
      self.timesteps = timesteps
    }
  }

  /// sample `[batch, in_channels, height, width]`, timestep `[1]` or `[batch]`, encoder_hidden_states
  /// `[batch, tokens, cross_attention_dim]`, and timestep_cond `[batch, time_cond_proj_dim]` where there
  /// is guidance, to out_sample `[batch, out_channels, height, width]`.
  package func graph(weights: any WeightSource, _ extents: Extents) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let sample = g.input(
      "sample", [extents.batch, configuration.channels, extents.height, extents.width])
    let time = try timeEmbedding(g, extents)
    var pass = Pass(
      g: g, model: self, context: try context(g, extents), time: time,
      x: try g.conv2D(
        try g.transpose(sample, [0, 2, 3, 1]), at: Scope("conv_in"), to: configuration.widths[0],
        kernel: configuration.inputKernel))
    try pass.down()
    try pass.middle()
    try pass.up()
    let normed = try block.norm(g, pass.x, at: Scope("conv_norm_out"))
    let out = try g.conv2D(
      normed, at: Scope("conv_out"), to: configuration.outChannels,
      kernel: configuration.outputKernel)
    g.output("out_sample", try g.transpose(out, [0, 3, 1, 2]))
    return g.graph
  }

  /// encoder_hidden_states `[batch, tokens, cross_attention_dim]` to the keys and values of every
  /// cross-attention, `[batch, tokens, channels]`, named as the inputs of a graph that
  /// `hasKeysAndValues`: what a prompt needs once for all steps.
  package func contextGraph(
    weights: any WeightSource, batch: Int, tokens: Int
  ) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let states = try textStates(g, batch: batch, tokens: tokens)
    for (scope, width) in crossAttentions() {
      let projected = try TextContext.projections(g, states, to: width, at: scope)
      g.output((scope / "keys").path, projected.keys)
      g.output((scope / "values").path, projected.values)
    }
    return g.graph
  }

  /// Where the cross-attentions are, and their widths.
  private func crossAttentions() -> [(scope: Scope, width: Int)] {
    var all: [(Scope, Int)] = []
    func append(_ scope: Scope, _ level: Int, count: Int) {
      for index in 0..<count {
        for layer in 0..<configuration.transformerLayers[level] {
          let attention = scope / "attentions" / index
          all.append(
            (attention / "transformer_blocks" / layer / "attn2", configuration.widths[level]))
        }
      }
    }
    let last = configuration.widths.count - 1
    for level in 0...last where configuration.hasAttentionDown[level] {
      append(Scope("down_blocks") / level, level, count: configuration.blocksPerLevel[level])
    }
    if configuration.middle == .attention { append(Scope("mid_block"), last, count: 1) }
    for index in 0...last where configuration.hasAttentionUp[index] {
      let level = last - index
      append(Scope("up_blocks") / index, level, count: configuration.blocksPerLevel[level] + 1)
    }
    return all
  }

  private func context(_ g: GraphBuilder, _ extents: Extents) throws -> TextContext {
    if extents.hasKeysAndValues {
      return .inputs(batch: extents.batch, tokens: extents.tokens)
    }
    return .states(try textStates(g, batch: extents.batch, tokens: extents.tokens))
  }

  private func textStates(_ g: GraphBuilder, batch: Int, tokens: Int) throws -> Value {
    let width = configuration.contextWidths[0]
    guard configuration.contextWidths.allSatisfy({ $0 == width }) else {
      throw ModelError.unsupported(
        setting: "cross_attention_dim", value: "\(configuration.contextWidths)",
        expected: "one number for all levels")
    }
    return g.input("encoder_hidden_states", [batch, tokens, width])
  }

  /// The activated embedding of the time step that every residual block projects, `[n, 1, 1, width]`.
  private func timeEmbedding(_ g: GraphBuilder, _ extents: Extents) throws -> Value {
    let scope = Scope("time_embedding")
    let sines = TimestepEmbedding(
      width: configuration.widths[0], cosineFirst: configuration.cosineFirst,
      frequencyShift: Float(configuration.frequencyShift))
    let count = extents.timesteps.count
    guard count == 1 || count == extents.batch else {
      throw ModelError.unsupported(
        setting: "timestep", value: "\(extents.timesteps)", expected: "1 or \(extents.batch) numbers")
    }
    let steps = try g.reshape(g.input("timestep", extents.timesteps), to: [count])
    var x = try g.add(.timestepEmbedding(sines), [steps], "time_proj")
    if extents.hasGuidance, let width = configuration.guidanceWidth {
      let guidance = g.input("timestep_cond", [extents.batch, width])
      x = try g.add(
        try g.linear(guidance, at: scope / "cond_proj", to: configuration.widths[0], bias: false), x)
    }
    x = try g.linear(x, at: scope / "linear_1", to: configuration.timeWidth)
    x = try g.activation(configuration.activation, x)
    x = try g.linear(x, at: scope / "linear_2", to: configuration.timeWidth)
    x = try g.activation(configuration.activation, x)
    return try g.reshape(x, to: [x.shape[0], 1, 1, configuration.timeWidth])
  }

  /// The picture on its way down and up, and what is kept of it.
  private struct Pass {
    let g: GraphBuilder
    let model: UNet2DCondition
    let context: TextContext
    let time: Value
    var x: Value
    var kept: [Value] = []

    private var settings: UNet2DConditionConfiguration { model.configuration }
    private var last: Int { settings.widths.count - 1 }

    mutating func down() throws {
      kept = [x]
      for level in 0...last {
        let scope = Scope("down_blocks") / level
        for index in 0..<settings.blocksPerLevel[level] {
          try residual(level, index, at: scope)
          if settings.hasAttentionDown[level] { try attention(level, index, at: scope) }
          kept.append(x)
        }
        if level < last {
          x = try model.block.downsample(
            g, x, padding: settings.downsamplePadding, at: scope)
          kept.append(x)
        }
      }
    }

    mutating func middle() throws {
      guard settings.middle != .none else { return }
      let scope = Scope("mid_block")
      try residual(last, 0, at: scope)
      if settings.middle == .attention {
        try attention(last, 0, at: scope)
        try residual(last, 1, at: scope)
      }
    }

    mutating func up() throws {
      for index in 0...last {
        let level = last - index
        let scope = Scope("up_blocks") / index
        for blockIndex in 0...settings.blocksPerLevel[level] {
          x = try g.concatenate([x, kept.removeLast()], axis: 3)
          try residual(level, blockIndex, at: scope)
          if settings.hasAttentionUp[index] { try attention(level, blockIndex, at: scope) }
        }
        if level > 0, let next = kept.last {
          x = try model.block.upsample(
            g, x, size: (height: next.shape[1], width: next.shape[2]), at: scope)
        }
      }
    }

    private mutating func residual(_ level: Int, _ index: Int, at scope: Scope) throws {
      x = try model.block.build(
        g, x, time: time, to: settings.widths[level], at: scope / "resnets" / index)
    }

    private mutating func attention(_ level: Int, _ index: Int, at scope: Scope) throws {
      let transformer = SpatialTransformer(
        groups: settings.groups, heads: settings.heads[level],
        layerCount: settings.transformerLayers[level])
      x = try transformer.build(g, x, context: context, at: scope / "attentions" / index)
    }
  }
}
