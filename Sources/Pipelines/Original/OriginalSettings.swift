package import PipitTensors

/// The settings of a checkpoint in the original layout, told from the shapes of its tensors. What shapes do
/// not tell is as in the published models: heads, norms, activations, the noise schedule.
package struct OriginalSettings {
  /// Settings as their `config.json` would have them.
  package typealias Values = [String: JSONValue]

  private let shapes: [String: Shape]

  package static let unetPrefix = "model.diffusion_model."
  package static let autoencoderPrefix = "first_stage_model."
  package static let clipPrefix = "cond_stage_model.transformer."
  package static let openCLIPPrefix = "cond_stage_model.model."

  /// - Parameter shapes: Of all tensors of the file, by name.
  package init(shapes: [String: Shape]) { self.shapes = shapes }

  private func has(_ name: String) -> Bool { shapes[name] != nil }

  /// How many of `name(0)`, `name(1)` … there are.
  private func count(_ name: (Int) -> String) -> Int {
    var count = 0
    while count < 1000, has(name(count)) { count += 1 }
    return count
  }

  /// An extent of a tensor; `nil` if it is not there.
  private func extent(_ name: String, _ axis: Int) -> Int? {
    shapes[name].flatMap { axis < $0.rank ? $0[axis] : nil }
  }

  // MARK: Text encoder

  package var isOpenCLIP: Bool { has(Self.openCLIPPrefix + "positional_embedding") }

  /// Of `CLIPTextModel`; `nil` if the file has none.
  package func textEncoder() -> Values? {
    isOpenCLIP ? openCLIP() : clip()
  }

  private func clip() -> Values? {
    let root = Self.clipPrefix + "text_model."
    let embeddings = root + "embeddings."
    guard let hidden = extent(embeddings + "token_embedding.weight", 1) else { return nil }
    return text(
      hidden: hidden, vocabulary: extent(embeddings + "token_embedding.weight", 0),
      positions: extent(embeddings + "position_embedding.weight", 0),
      layers: count { root + "encoder.layers.\($0).layer_norm1.weight" },
      intermediate: extent(root + "encoder.layers.0.mlp.fc1.weight", 0),
      activation: "quick_gelu")
  }

  /// Stable Diffusion 2.x reads the states before the last layer.
  private func openCLIP() -> Values? {
    let root = Self.openCLIPPrefix
    guard let hidden = extent(root + "token_embedding.weight", 1) else { return nil }
    return text(
      hidden: hidden, vocabulary: extent(root + "token_embedding.weight", 0),
      positions: extent(root + "positional_embedding", 0),
      layers: count { root + "transformer.resblocks.\($0).ln_1.weight" } - 1,
      intermediate: extent(root + "transformer.resblocks.0.mlp.c_fc.weight", 0),
      activation: "gelu")
  }

  private func text(
    hidden: Int, vocabulary: Int?, positions: Int?, layers: Int, intermediate: Int?,
    activation: String
  ) -> Values {
    [
      "architectures": .array([.string("CLIPTextModel")]), "hidden_size": .integer(hidden),
      "vocab_size": .integer(vocabulary ?? 0), "max_position_embeddings": .integer(positions ?? 0),
      "num_hidden_layers": .integer(max(layers, 0)), "num_attention_heads": .integer(max(1, hidden / 64)),
      "intermediate_size": .integer(intermediate ?? 0), "hidden_act": .string(activation),
    ]
  }

  // MARK: Denoiser

  private func input(_ index: Int, _ rest: String) -> String {
    "\(Self.unetPrefix)input_blocks.\(index).\(rest)"
  }

  /// The number of residual blocks of the first level, which is that of all.
  package var blocksPerLevel: Int {
    count { input($0 + 1, "0.out_layers.3.weight") }
  }

  /// Of `UNet2DConditionModel`; `nil` if the file has none.
  package func denoiser(isVPrediction: Bool) -> Values? {
    guard let channels = extent(input(0, "0.weight"), 1) else { return nil }
    let step = blocksPerLevel + 1
    var widths: [Int] = []
    var attention: [Bool] = []
    while widths.count < 8, let width = extent(input(widths.count * step + 1, "0.out_layers.3.weight"), 0) {
      attention.append(has(input(widths.count * step + 1, "1.proj_in.weight")))
      widths.append(width)
    }
    let first = attention.firstIndex(of: true) ?? 0
    let transformer = input(first * step + 1, "1.")
    let isLinear = shapes[transformer + "proj_in.weight"]?.rank == 2
    let context = extent(transformer + "transformer_blocks.0.attn2.to_k.weight", 1)
    let up = attention.reversed().map { $0 ? "CrossAttnUpBlock2D" : "UpBlock2D" }
    let down = attention.map { $0 ? "CrossAttnDownBlock2D" : "DownBlock2D" }
    var values: Values = [
      "_class_name": .string("UNet2DConditionModel"), "in_channels": .integer(channels),
      "out_channels": .integer(extent(Self.unetPrefix + "out.2.weight", 0) ?? channels),
      "block_out_channels": .integers(widths), "layers_per_block": .integer(blocksPerLevel),
      "down_block_types": .strings(down), "up_block_types": .strings(up),
      "cross_attention_dim": .integer(context ?? 0),
      // Stable Diffusion 1.x has eight heads, 2.x heads of 64 channels.
      "attention_head_dim": isLinear ? .integers(widths.map { max(1, $0 / 64) }) : .integer(8),
      "use_linear_projection": .bool(isLinear), "sample_size": .integer(isVPrediction ? 96 : 64),
      "transformer_layers_per_block": .integer(
        count { "\(transformer)transformer_blocks.\($0).norm1.weight" }),
    ]
    if let guidance = extent(Self.unetPrefix + "time_embed.cond_proj.weight", 1) {
      values["time_cond_proj_dim"] = .integer(guidance)
    }
    return values
  }

  /// Whether the text's width is that of Stable Diffusion 2.x, whose models predict noise or velocities.
  package var canBeVPrediction: Bool { isOpenCLIP }

  // MARK: Autoencoder

  package var autoencoderLevels: Int {
    count { "\(Self.autoencoderPrefix)decoder.up.\($0).block.0.conv1.weight" }
  }

  /// Of `AutoencoderKL`; `nil` if the file has none.
  package func autoencoder() -> Values? {
    let decoder = Self.autoencoderPrefix + "decoder."
    guard let latents = extent(decoder + "conv_in.weight", 1) else { return nil }
    let levels = autoencoderLevels
    let widths = (0..<levels).map { extent("\(decoder)up.\($0).block.0.conv2.weight", 0) ?? 0 }
    let blocks = count { "\(decoder)up.0.block.\($0).conv1.weight" }
    return [
      "_class_name": .string("AutoencoderKL"), "latent_channels": .integer(latents),
      "block_out_channels": .integers(widths), "layers_per_block": .integer(max(blocks - 1, 0)),
      "down_block_types": .strings(widths.map { _ in "DownEncoderBlock2D" }),
      "up_block_types": .strings(widths.map { _ in "UpDecoderBlock2D" }),
      "scaling_factor": .number(0.18215), "norm_num_groups": .integer(32),
      "use_quant_conv": .bool(has(Self.autoencoderPrefix + "quant_conv.weight")),
      "use_post_quant_conv": .bool(has(Self.autoencoderPrefix + "post_quant_conv.weight")),
      "mid_block_add_attention": .bool(has(decoder + "mid.attn_1.q.weight")),
    ]
  }

  // MARK: Noise schedule

  /// That of the published models, by the sampler that the engine has for it.
  package static func scheduler(isVPrediction: Bool) -> Values {
    [
      "_class_name": .string("DPMSolverMultistepScheduler"), "num_train_timesteps": .integer(1000),
      "beta_start": .number(0.00085), "beta_end": .number(0.012),
      "beta_schedule": .string("scaled_linear"), "steps_offset": .integer(1),
      "prediction_type": .string(isVPrediction ? "v_prediction" : "epsilon"),
    ]
  }
}

extension JSONValue {
  fileprivate static func integers(_ values: [Int]) -> JSONValue {
    .array(values.map { .integer($0) })
  }

  fileprivate static func strings(_ values: [String]) -> JSONValue {
    .array(values.map { .string($0) })
  }
}
