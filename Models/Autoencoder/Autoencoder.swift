package import PipitGraph
package import PipitTensors

/// Pipit's own convolutional autoencoder: patches, levels of residual blocks, no norms.
///
///     block(x) = x + conv2(act(conv1(act(x))))        both 3x3
package struct Autoencoder: Sendable {
  package let channels: Int
  package let sampleSize: Int
  package let patch: Int
  package let latentChannels: Int
  package let widths: [Int]
  package let blockCounts: [Int]
  package let activation: Activation
  package let scalingFactor: Float
  package let shiftFactor: Float

  package init(_ configuration: Configuration) throws {
    channels = try configuration.integer("in_channels", in: 3...3, fallback: 3)
    try configuration.require("out_channels", .integer(3))
    patch = try configuration.integer("patch_size", in: 1...16)
    widths = try configuration.integers("block_out_channels", in: 1...8192)
    guard !widths.isEmpty, widths.count <= 8 else {
      throw configuration.error("block_out_channels", "1 to 8 levels", "\(widths.count)")
    }
    let multiple = patch << (widths.count - 1)
    sampleSize = try configuration.integer("sample_size", in: 1...4096)
    guard sampleSize % multiple == 0 else {
      throw configuration.error("sample_size", "a multiple of \(multiple)", "\(sampleSize)")
    }
    latentChannels = try configuration.integer("latent_channels", in: 1...4096)
    blockCounts = try configuration.integers("layers_per_block", in: 0...100)
    guard blockCounts.count == widths.count else {
      throw configuration.error(
        "layers_per_block", "\(widths.count) numbers", "\(blockCounts.count)")
    }
    activation = try configuration.activation("act_fn", fallback: "silu")
    scalingFactor = Float(try configuration.number("scaling_factor", fallback: 1))
    shiftFactor = Float(try configuration.number("shift_factor", fallback: 0))
    guard scalingFactor != 0 else {
      throw configuration.error("scaling_factor", "a number that is not 0", "0")
    }
  }

  /// Pixels a side for one latent.
  package var reduction: Int { patch << (widths.count - 1) }

  /// sample `[batch, 3, height, width]` in -1 ... 1 to latent_parameters
  /// `[batch, latent_channels, height / reduction, width / reduction]`.
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
      try g.transpose(sample, [0, 2, 3, 1]), at: scope / "conv_in", to: widths[0], kernel: patch,
      stride: patch, padding: Conv2D.Padding(0))
    for level in widths.indices {
      let levelScope = scope / "levels" / level
      x = try blocks(g, x, level, at: levelScope)
      if level + 1 < widths.count {
        x = try g.conv2D(x, at: levelScope / "down", to: widths[level + 1], kernel: 3, stride: 2)
      }
    }
    x = try g.conv2D(
      try g.activation(activation, x), at: scope / "conv_out", to: latentChannels, kernel: 3)
    g.output("latent_parameters", try g.transpose(x, [0, 3, 1, 2]))
    return g.graph
  }

  /// latent_sample `[batch, latent_channels, height, width]` to sample
  /// `[batch, 3, height * reduction, width * reduction]`, about -1 ... 1, not clamped.
  package func decoderGraph(
    weights: any WeightSource, batch: Int, height: Int, width: Int
  ) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let scope = Scope("decoder")
    let latent = g.input("latent_sample", [batch, latentChannels, height, width])
    var x = try g.conv2D(
      try g.transpose(latent, [0, 2, 3, 1]), at: scope / "conv_in", to: widths[widths.count - 1],
      kernel: 3)
    for level in widths.indices.reversed() {
      let levelScope = scope / "levels" / level
      x = try blocks(g, x, level, at: levelScope)
      if level > 0 {
        x = try g.add(.upsample2x, [x], "upsample")
        x = try g.conv2D(x, at: levelScope / "up", to: widths[level - 1], kernel: 3)
      }
    }
    x = try g.conv2D(
      try g.activation(activation, x), at: scope / "conv_out", to: channels * patch * patch,
      kernel: 3)
    g.output("sample", try pixelShuffle(g, x))
    return g.graph
  }

  private func blocks(_ g: GraphBuilder, _ x: Value, _ level: Int, at scope: Scope) throws -> Value
  {
    var x = x
    for index in 0..<blockCounts[level] {
      let block = scope / "blocks" / index
      let inner = try g.conv2D(
        try g.activation(activation, x), at: block / "conv1", to: widths[level], kernel: 3)
      let outer = try g.conv2D(
        try g.activation(activation, inner), at: block / "conv2", to: widths[level], kernel: 3)
      x = try g.add(outer, x)
    }
    return x
  }

  /// `[batch, height, width, channels * patch * patch]` to `[batch, channels, height * patch, width * patch]`,
  /// channels ordered as in PyTorch's PixelShuffle.
  private func pixelShuffle(_ g: GraphBuilder, _ x: Value) throws -> Value {
    let (batch, height, width) = (x.shape[0], x.shape[1], x.shape[2])
    let split = try g.reshape(x, to: [batch, height, width, channels, patch, patch])
    let ordered = try g.transpose(split, [0, 3, 1, 4, 2, 5])
    return try g.reshape(ordered, to: [batch, channels, height * patch, width * patch])
  }
}
