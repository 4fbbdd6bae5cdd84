package import PipitGraph
package import PipitTensors

/// The settings of `UNet2DConditionModel`; names in the file are those of diffusers.
package struct UNet2DConditionConfiguration: Sendable {
  /// What is between the way down and the way up.
  package enum Middle: Sendable { case none, residual, attention }

  package let channels: Int
  package let outChannels: Int
  /// Latents a side that the model was trained on, height and width.
  package let sampleSize: [Int]
  /// Widths of the levels, the one with the largest pictures first; so are the lists below.
  package let widths: [Int]
  package let blocksPerLevel: [Int]
  package let hasAttentionDown: [Bool]
  /// In the order of the way up: the level with the smallest pictures first.
  package let hasAttentionUp: [Bool]
  package let middle: Middle
  package let heads: [Int]
  package let transformerLayers: [Int]
  package let contextWidths: [Int]
  package let groups: Int
  package let epsilon: Float
  package let activation: Activation
  package let downsamplePadding: Int
  package let timeWidth: Int
  /// Width of the embedding of the guidance (LCM), `nil` where the model has none.
  package let guidanceWidth: Int?
  package let cosineFirst: Bool
  package let frequencyShift: Int
  package let inputKernel: Int
  package let outputKernel: Int

  package init(_ configuration: Configuration) throws {
    try UNet2DConditionConfiguration.refuseOthers(configuration)
    channels = try configuration.integer("in_channels", in: 1...4096, fallback: 4)
    outChannels = try configuration.integer("out_channels", in: 1...4096, fallback: 4)
    sampleSize = try configuration.integerOrList(
      "sample_size", in: 1...4096, count: 2, fallback: 64)
    widths = try configuration.integers(
      "block_out_channels", in: 1...16384, fallback: [320, 640, 1280, 1280])
    let levels = widths.count
    guard (1...8).contains(levels) else {
      throw configuration.error("block_out_channels", "1 to 8 levels", "\(levels)")
    }
    func perLevel(_ key: String, _ limit: Int, _ fallback: Int) throws -> [Int] {
      try configuration.integerOrList(key, in: 1...limit, count: levels, fallback: fallback)
    }
    blocksPerLevel = try perLevel("layers_per_block", 32, 2)
    transformerLayers = try perLevel("transformer_layers_per_block", 64, 1)
    contextWidths = try perLevel("cross_attention_dim", 65536, 1280)
    // The reference's name for the number of heads.
    heads = try perLevel("attention_head_dim", 4096, 8)
    hasAttentionDown = try UNet2DConditionConfiguration.attention(
      configuration, "down_block_types", ["DownBlock2D", "CrossAttnDownBlock2D"],
      fallback: (0..<levels).map { $0 < levels - 1 })
    hasAttentionUp = try UNet2DConditionConfiguration.attention(
      configuration, "up_block_types", ["UpBlock2D", "CrossAttnUpBlock2D"],
      fallback: (0..<levels).map { $0 > 0 })
    middle = try UNet2DConditionConfiguration.middle(configuration)
    groups = try configuration.integer("norm_num_groups", in: 1...16384, fallback: 32)
    epsilon = try configuration.epsilon("norm_eps", fallback: 1e-5)
    activation = try configuration.activation("act_fn", fallback: "silu")
    downsamplePadding = try configuration.integer("downsample_padding", in: 0...1, fallback: 1)
    timeWidth = try configuration.integer(
      "time_embedding_dim", in: 1...65536, fallback: 4 * widths[0])
    guidanceWidth =
      configuration.has("time_cond_proj_dim")
      ? try configuration.integer("time_cond_proj_dim", in: 1...65536) : nil
    cosineFirst = try configuration.bool("flip_sin_to_cos", fallback: true)
    frequencyShift = try configuration.integer("freq_shift", in: 0...1, fallback: 0)
    inputKernel = try configuration.oddKernel("conv_in_kernel")
    outputKernel = try configuration.oddKernel("conv_out_kernel")
    try checkWidths(configuration)
  }

  private func checkWidths(_ configuration: Configuration) throws {
    if let width = widths.first(where: { $0 % groups != 0 }) {
      throw configuration.error("norm_num_groups", "a divisor of \(width)", "\(groups)")
    }
    guard widths[0] % 2 == 0, widths[0] > 2 * frequencyShift else {
      throw configuration.error("block_out_channels", "an even first width", "\(widths[0])")
    }
    let last = widths.count - 1
    for level in widths.indices {
      let inMiddle = level == last && middle == .attention
      guard hasAttentionDown[level] || hasAttentionUp[last - level] || inMiddle else { continue }
      let (width, count) = (widths[level], heads[level])
      guard width % count == 0, width / count <= Attention.widestHead else {
        throw configuration.error(
          "attention_head_dim",
          "heads that share \(width) channels, at most \(Attention.widestHead) each", "\(count)")
      }
    }
  }

  private static func attention(
    _ configuration: Configuration, _ key: String, _ types: [String], fallback: [Bool]
  ) throws -> [Bool] {
    guard configuration.has(key) else { return fallback }
    let names = try configuration.strings(key)
    guard names.count == fallback.count else {
      throw configuration.error(
        key, "\(fallback.count) names, one for each of block_out_channels", "\(names.count)")
    }
    return try names.map { name in
      guard let index = types.firstIndex(of: name) else {
        throw configuration.error(key, types.joined(separator: " or "), "'\(name)'")
      }
      return index == 1
    }
  }

  private static func middle(_ configuration: Configuration) throws -> Middle {
    // Null is not the same as absent here: small models have no middle.
    if configuration.values["mid_block_type"] == .null { return .none }
    let name = try configuration.string("mid_block_type", fallback: "UNetMidBlock2DCrossAttn")
    switch name {
    case "UNetMidBlock2DCrossAttn": return .attention
    case "UNetMidBlock2D": return .residual
    default:
      throw configuration.error(
        "mid_block_type", "UNetMidBlock2DCrossAttn, UNetMidBlock2D or null", "'\(name)'")
    }
  }

  /// Settings that would change the arithmetic in ways that are not implemented.
  private static func refuseOthers(_ configuration: Configuration) throws {
    for key in [
      "addition_embed_type", "class_embed_type", "cross_attention_norm", "encoder_hid_dim",
      "encoder_hid_dim_type", "num_attention_heads", "num_class_embeds",
      "reverse_transformer_layers_per_block", "time_embedding_act_fn", "timestep_post_act",
    ] {
      try configuration.refuse(key)
    }
    for key in [
      "center_input_sample", "class_embeddings_concat", "dual_cross_attention",
      "mid_block_only_cross_attention", "resnet_skip_time_act",
    ] {
      try configuration.require(key, .bool(false))
    }
    for key in ["mid_block_scale_factor", "resnet_out_scale_factor"] {
      guard try configuration.number(key, fallback: 1) == 1 else {
        throw configuration.error(
          key, "1 (nothing else is supported)", configuration.values[key]?.text ?? "")
      }
    }
    try configuration.require("attention_type", .string("default"))
    try configuration.require("resnet_time_scale_shift", .string("default"))
    try configuration.require("time_embedding_type", .string("positional"))
    if configuration.values["norm_num_groups"] == .null {
      throw configuration.error("norm_num_groups", "a number of groups", "null")
    }
    switch configuration.values["only_cross_attention"] {
    case .array(let levels)? where levels.allSatisfy({ $0 == .bool(false) }): break
    default: try configuration.require("only_cross_attention", .bool(false))
    }
  }
}

extension Configuration {
  /// One whole number for all of `count` places, or a list of `count`.
  func integerOrList(
    _ key: String, in range: ClosedRange<Int>, count: Int, fallback: Int
  ) throws -> [Int] {
    guard case .array = values[key] else {
      let one = try integer(key, in: range, fallback: fallback)
      return [Int](repeating: one, count: count)
    }
    let list = try integers(key, in: range)
    guard list.count == count else { throw error(key, "\(count) numbers", "\(list.count)") }
    return list
  }

  /// The side of a square kernel that has a middle.
  fileprivate func oddKernel(_ key: String) throws -> Int {
    let side = try integer(key, in: 1...15, fallback: 3)
    guard side % 2 == 1 else { throw error(key, "an odd number", "\(side)") }
    return side
  }
}
