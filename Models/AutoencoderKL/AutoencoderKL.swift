package import PipitGraph
package import PipitTensors

/// The autoencoder of latent diffusion (Rombach et al. 2022), as `AutoencoderKL` in diffusers.
package struct AutoencoderKL: Sendable {
  package let channels: Int
  package let outChannels: Int
  package let latentChannels: Int
  /// Widths of the levels, the one with the largest pictures first.
  package let widths: [Int]
  package let blocksPerLevel: Int
  package let hasQuantConv: Bool
  package let hasPostQuantConv: Bool
  package let hasAttention: Bool
  package let scalingFactor: Float
  package let shiftFactor: Float
  private let block: ResidualBlock
  /// The reference gives `act_fn` to the blocks only; before the last convolutions it is silu.
  private let head: ResidualBlock

  /// The reference fixes the epsilon of every norm.
  private static let epsilon: Float = 1e-6

  package init(_ configuration: Configuration) throws {
    channels = try configuration.integer("in_channels", in: 1...64, fallback: 3)
    outChannels = try configuration.integer("out_channels", in: 1...64, fallback: 3)
    latentChannels = try configuration.integer("latent_channels", in: 1...4096, fallback: 4)
    widths = try configuration.integers("block_out_channels", in: 1...8192, fallback: [64])
    guard !widths.isEmpty, widths.count <= 8 else {
      throw configuration.error("block_out_channels", "1 to 8 levels", "\(widths.count)")
    }
    blocksPerLevel = try configuration.integer("layers_per_block", in: 1...100, fallback: 1)
    let activation = try configuration.activation("act_fn", fallback: "silu")
    let groups = try configuration.integer("norm_num_groups", in: 1...8192, fallback: 32)
    if let width = widths.first(where: { $0 % groups != 0 }) {
      throw configuration.error("norm_num_groups", "a divisor of \(width)", "\(groups)")
    }
    block = ResidualBlock(groups: groups, epsilon: AutoencoderKL.epsilon, activation: activation)
    head = ResidualBlock(groups: groups, epsilon: AutoencoderKL.epsilon, activation: .silu)
    try configuration.requireAll("down_block_types", "DownEncoderBlock2D", count: widths.count)
    try configuration.requireAll("up_block_types", "UpDecoderBlock2D", count: widths.count)
    try configuration.require("norm_type", .string("group"))
    hasQuantConv = try configuration.bool("use_quant_conv", fallback: true)
    hasPostQuantConv = try configuration.bool("use_post_quant_conv", fallback: true)
    hasAttention = try configuration.bool("mid_block_add_attention", fallback: true)
    guard !hasAttention || widths[widths.count - 1] <= Attention.widestHead else {
      throw configuration.error(
        "block_out_channels", "at most \(Attention.widestHead) channels in the level of attention",
        "\(widths[widths.count - 1])")
    }
    try configuration.refuse("latents_mean")
    try configuration.refuse("latents_std")
    scalingFactor = Float(try configuration.number("scaling_factor", fallback: 0.18215))
    shiftFactor = Float(try configuration.number("shift_factor", fallback: 0))
    guard scalingFactor != 0, scalingFactor.isFinite, shiftFactor.isFinite else {
      throw configuration.error("scaling_factor", "a number that is not 0", "\(scalingFactor)")
    }
  }

  /// Pixels a side for one latent.
  package var reduction: Int { 1 << (widths.count - 1) }

  /// sample `[batch, in_channels, height, width]` in -1 ... 1 to latent_parameters
  /// `[batch, 2 * latent_channels, height / reduction, width / reduction]`: means, then logarithms
  /// of variances.
  package func encoderGraph(
    weights: any WeightSource, batch: Int, height: Int, width: Int
  ) throws -> Graph {
    guard height > 0, width > 0, height % reduction == 0, width % reduction == 0 else {
      throw ModelError.unsupported(
        setting: "picture size", value: "\(width)x\(height)", expected: "multiples of \(reduction)")
    }
    let g = GraphBuilder(weights: weights)
    let scope = Scope("encoder")
    let sample = g.input("sample", [batch, channels, height, width])
    var x = try g.conv2D(
      try g.transpose(sample, [0, 2, 3, 1]), at: scope / "conv_in", to: widths[0], kernel: 3)
    for (level, width) in widths.enumerated() {
      let levelScope = scope / "down_blocks" / level
      for index in 0..<blocksPerLevel {
        x = try block.build(g, x, to: width, at: levelScope / "resnets" / index)
      }
      if level + 1 < widths.count { x = try block.downsample(g, x, padding: 0, at: levelScope) }
    }
    x = try middle(g, x, at: scope / "mid_block")
    x = try head.norm(g, x, at: scope / "conv_norm_out")
    x = try g.conv2D(x, at: scope / "conv_out", to: 2 * latentChannels, kernel: 3)
    if hasQuantConv { x = try g.pointwise(x, at: Scope("quant_conv"), to: 2 * latentChannels) }
    g.output("latent_parameters", try g.transpose(x, [0, 3, 1, 2]))
    return g.graph
  }

  /// latent_sample `[batch, latent_channels, height, width]` to sample
  /// `[batch, out_channels, height * reduction, width * reduction]`, about -1 ... 1, not clamped.
  package func decoderGraph(
    weights: any WeightSource, batch: Int, height: Int, width: Int
  ) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let scope = Scope("decoder")
    let latent = g.input("latent_sample", [batch, latentChannels, height, width])
    var x = try g.transpose(latent, [0, 2, 3, 1])
    if hasPostQuantConv { x = try g.pointwise(x, at: Scope("post_quant_conv"), to: latentChannels) }
    x = try g.conv2D(x, at: scope / "conv_in", to: widths[widths.count - 1], kernel: 3)
    x = try middle(g, x, at: scope / "mid_block")
    for (level, width) in widths.reversed().enumerated() {
      let levelScope = scope / "up_blocks" / level
      for index in 0...blocksPerLevel {
        x = try block.build(g, x, to: width, at: levelScope / "resnets" / index)
      }
      if level + 1 < widths.count { x = try block.upsample(g, x, at: levelScope) }
    }
    x = try head.norm(g, x, at: scope / "conv_norm_out")
    x = try g.conv2D(x, at: scope / "conv_out", to: outChannels, kernel: 3)
    g.output("sample", try g.transpose(x, [0, 3, 1, 2]))
    return g.graph
  }

  private func middle(_ g: GraphBuilder, _ x: Value, at scope: Scope) throws -> Value {
    let width = x.shape.columns
    var x = try block.build(g, x, to: width, at: scope / "resnets.0")
    if hasAttention { x = try attention(g, x, at: scope / "attentions.0") }
    return try block.build(g, x, to: width, at: scope / "resnets.1")
  }

  /// One head over all positions, with a norm before and the input added behind.
  private func attention(_ g: GraphBuilder, _ x: Value, at scope: Scope) throws -> Value {
    let width = x.shape.columns
    let normed = try g.groupNorm(
      x, at: scope / "group_norm", groups: block.groups, epsilon: AutoencoderKL.epsilon)
    let tokens = try g.reshape(normed, to: [x.shape[0], x.shape[1] * x.shape[2], width])
    // Checkpoints from before diffusers 0.18 have other names.
    let isOld = try g.has(scope / "query.weight")
    let names = isOld ? ["query", "key", "value", "proj_attn"] : ["to_q", "to_k", "to_v", "to_out.0"]
    let attended = try g.attention(
      q: try g.pointwise(tokens, at: scope / names[0], to: width),
      k: try g.pointwise(tokens, at: scope / names[1], to: width),
      v: try g.pointwise(tokens, at: scope / names[2], to: width), heads: 1, at: scope)
    let projected = try g.pointwise(attended, at: scope / names[3], to: width)
    return try g.add(try g.reshape(projected, to: x.shape), x)
  }
}

extension Configuration {
  /// Refuses a list of block types unless each of them is the one given.
  func requireAll(_ key: String, _ type: String, count: Int) throws {
    let types = try strings(key, fallback: [String](repeating: type, count: count))
    guard types.count == count else {
      throw error(key, "\(count) names, one for each of block_out_channels", "\(types.count)")
    }
    if let other = types.first(where: { $0 != type }) {
      throw error(key, "\(type) (nothing else is supported)", "'\(other)'")
    }
  }

  /// Refuses a setting that must be absent or null.
  func refuse(_ key: String) throws {
    guard has(key), let value = values[key] else { return }
    throw error(key, "null (nothing else is supported)", value.text)
  }
}
