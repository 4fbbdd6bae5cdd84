package import PipitGraph
package import PipitTensors

/// TAESD and its family: tiny autoencoders of latents, as `AutoencoderTiny` in diffusers.
///
///     block(x) = relu(x + conv(act(conv(act(conv(x))))))        all 3x3
///
/// Files with the names of the original repository (`1.weight`, `3.conv.0.weight`), one for each
/// direction, are read as well, and blocks that have a pool branch there.
package struct AutoencoderTiny: Sendable {
  package let channels: Int
  package let outChannels: Int
  package let latentChannels: Int
  package let encoderWidth: Int
  package let decoderWidth: Int
  /// Blocks of each level, in the order in which they are run.
  package let encoderBlocks: [Int]
  package let decoderBlocks: [Int]
  package let activation: Activation
  /// How often each enlargement doubles the sides.
  package let doublings: Int
  package let scalingFactor: Float
  package let shiftFactor: Float

  package init(_ configuration: Configuration) throws {
    channels = try configuration.integer("in_channels", in: 1...64, fallback: 3)
    outChannels = try configuration.integer("out_channels", in: 1...64, fallback: 3)
    latentChannels = try configuration.integer("latent_channels", in: 1...4096, fallback: 4)
    (encoderWidth, encoderBlocks) = try AutoencoderTiny.levels(
      configuration, "encoder_block_out_channels", "num_encoder_blocks", blocks: [1, 3, 3, 3])
    (decoderWidth, decoderBlocks) = try AutoencoderTiny.levels(
      configuration, "decoder_block_out_channels", "num_decoder_blocks", blocks: [3, 3, 3, 1])
    activation = try configuration.activation("act_fn", fallback: "relu")
    try configuration.require("upsample_fn", .string("nearest"))
    let factor = try configuration.integer("upsampling_scaling_factor", in: 1...8, fallback: 2)
    guard factor.nonzeroBitCount == 1 else {
      throw configuration.error("upsampling_scaling_factor", "1, 2, 4 or 8", "\(factor)")
    }
    doublings = factor.trailingZeroBitCount
    scalingFactor = Float(try configuration.number("scaling_factor", fallback: 1))
    shiftFactor = Float(try configuration.number("shift_factor", fallback: 0))
    guard scalingFactor != 0, scalingFactor.isFinite, shiftFactor.isFinite else {
      throw configuration.error("scaling_factor", "a number that is not 0", "\(scalingFactor)")
    }
  }

  /// The width of all levels of one direction (the reference runs only where they are equal), and
  /// the blocks of each.
  private static func levels(
    _ configuration: Configuration, _ widthKey: String, _ blockKey: String, blocks: [Int]
  ) throws -> (width: Int, blocks: [Int]) {
    let widths = try configuration.integers(widthKey, in: 1...8192, fallback: [64, 64, 64, 64])
    guard let width = widths.first, widths.count <= 8, widths.allSatisfy({ $0 == width }) else {
      throw configuration.error(widthKey, "1 to 8 levels of one width", "\(widths)")
    }
    let counts = try configuration.integers(blockKey, in: 0...100, fallback: blocks)
    guard counts.count == widths.count else {
      throw configuration.error(blockKey, "\(widths.count) numbers", "\(counts.count)")
    }
    return (width, counts)
  }

  /// Pixels a side for one latent.
  package var reduction: Int { 1 << (doublings * (decoderBlocks.count - 1)) }

  /// sample `[batch, in_channels, height, width]` in -1 ... 1 to latent_parameters
  /// `[batch, latent_channels, height / 8, width / 8]` (rounded up; three levels of halving).
  package func encoderGraph(
    weights: any WeightSource, batch: Int, height: Int, width: Int
  ) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    var layers = Layers(try g.has(Scope("0.weight")) ? Scope() : Scope("encoder.layers"), from: 0)
    let sample = g.input("sample", [batch, channels, height, width])
    // The layers were trained on 0 ... 1; the zeros around the picture are zeros of that range.
    var x = try g.affine(try g.transpose(sample, [0, 2, 3, 1]), scale: 0.5, shift: 0.5)
    for (level, count) in encoderBlocks.enumerated() {
      x = try g.conv2D(
        x, at: layers.next(), to: encoderWidth, kernel: 3, stride: level == 0 ? 1 : 2,
        bias: level == 0)
      for _ in 0..<count { x = try block(g, x, at: layers.next()) }
    }
    x = try g.conv2D(x, at: layers.next(), to: latentChannels, kernel: 3)
    g.output("latent_parameters", try g.transpose(x, [0, 3, 1, 2]))
    return g.graph
  }

  /// latent_sample `[batch, latent_channels, height, width]` to sample
  /// `[batch, out_channels, height * reduction, width * reduction]`, about -1 ... 1, not clamped.
  package func decoderGraph(
    weights: any WeightSource, batch: Int, height: Int, width: Int
  ) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    // The original counts the clamp as its layer 0.
    var layers =
      try g.has(Scope("1.weight"))
      ? Layers(Scope(), from: 1) : Layers(Scope("decoder.layers"), from: 0)
    let latent = g.input("latent_sample", [batch, latentChannels, height, width])
    // 3 tanh(x / 3): what lies far outside the usual range is drawn in.
    var x = try g.affine(try g.transpose(latent, [0, 2, 3, 1]), scale: 1 / 3, shift: 0)
    x = try g.affine(try g.activation(.tanh, x), scale: 3, shift: 0)
    x = try g.conv2D(x, at: layers.next(), to: decoderWidth, kernel: 3)
    x = try g.activation(activation, x)
    layers.skip()
    for (level, count) in decoderBlocks.enumerated() {
      let isLast = level + 1 == decoderBlocks.count
      for _ in 0..<count { x = try block(g, x, at: layers.next()) }
      if !isLast {
        for _ in 0..<doublings { x = try g.add(.upsample2x, [x], "upsample") }
        layers.skip()
      }
      x = try g.conv2D(
        x, at: layers.next(), to: isLast ? outChannels : decoderWidth, kernel: 3, bias: isLast)
    }
    let picture = try g.transpose(x, [0, 3, 1, 2])
    g.output("sample", try g.affine(picture, scale: 2, shift: -1))
    return g.graph
  }

  private func block(_ g: GraphBuilder, _ x: Value, at scope: Scope) throws -> Value {
    let width = x.shape.columns
    var x = x
    if try g.has(scope / "pool.0.weight") { x = try pooled(g, x, at: scope / "pool") }
    var y = x
    for index in [0, 2, 4] {
      y = try g.conv2D(y, at: scope / "conv" / index, to: width, kernel: 3)
      if index < 4 { y = try g.activation(activation, y) }
    }
    return try g.activation(.relu, try g.add(y, x))
  }

  /// The pool branch of newer members of the family: a normalization over the whole picture.
  private func pooled(_ g: GraphBuilder, _ x: Value, at scope: Scope) throws -> Value {
    let width = x.shape.columns
    var y = try g.pointwise(x, at: scope / 0, to: 4 * width, bias: false)
    y = try g.groupNorm(y, at: scope / 1, groups: 4, epsilon: 1e-5)
    y = try g.pointwise(try g.activation(.relu, y), at: scope / 3, to: width, bias: false)
    return try g.add(y, x)
  }

  /// Scopes of a sequence whose layers are numbered, those without tensors too.
  private struct Layers {
    private let scope: Scope
    private var index: Int

    init(_ scope: Scope, from index: Int) {
      self.scope = scope
      self.index = index
    }

    mutating func next() -> Scope {
      defer { index += 1 }
      return scope / index
    }

    mutating func skip() { index += 1 }
  }
}
