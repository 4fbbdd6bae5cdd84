import PipitTensors

extension SmallModelTests {
  /// Folders made by Goldens/make_image_goldens.py.
  static let imageCases: [String] =
    ["taesd-1", "taesd-2", "taesd-3", "kl-1", "kl-2", "kl-3"].flatMap {
      [$0 + "-decoder", $0 + "-encoder"]
    } + ["taesd-4-decoder", "unet-1", "unet-2", "unet-3", "unet-4", "unet-5"]
}

extension Sample {
  static let imageSamples: [Sample] = [tinyAutoencoder, latentAutoencoder, unet]

  private static func integers(_ values: [Int]) -> JSONValue {
    .array(values.map { JSONValue.integer($0) })
  }

  private static func strings(_ values: [String]) -> JSONValue {
    .array(values.map { JSONValue.string($0) })
  }

  private static let tinyAutoencoder = Sample(
    name: "AutoencoderTiny",
    settings: [
      "in_channels": .integer(3), "out_channels": .integer(3), "latent_channels": .integer(4),
      "encoder_block_out_channels": integers([8, 8]), "num_encoder_blocks": integers([1, 1]),
      "decoder_block_out_channels": integers([8, 8]), "num_decoder_blocks": integers([1, 1]),
      "act_fn": .string("relu"), "upsample_fn": .string("nearest"),
      "upsampling_scaling_factor": .integer(2), "scaling_factor": .number(1),
      "shift_factor": .number(0),
    ], input: "latent_sample", shape: [1, 4, 4, 4])

  private static let latentAutoencoder = Sample(
    name: "AutoencoderKL",
    settings: [
      "in_channels": .integer(3), "out_channels": .integer(3), "latent_channels": .integer(4),
      "block_out_channels": integers([8, 16]), "layers_per_block": .integer(1),
      "down_block_types": strings(["DownEncoderBlock2D", "DownEncoderBlock2D"]),
      "up_block_types": strings(["UpDecoderBlock2D", "UpDecoderBlock2D"]),
      "act_fn": .string("silu"), "norm_num_groups": .integer(4), "use_quant_conv": .bool(true),
      "use_post_quant_conv": .bool(true), "mid_block_add_attention": .bool(true),
      "scaling_factor": .number(0.2), "shift_factor": .null,
    ], input: "latent_sample", shape: [1, 4, 4, 4])

  private static let unet = Sample(
    name: "UNet2DConditionModel",
    settings: [
      "sample_size": .integer(8), "in_channels": .integer(4), "out_channels": .integer(4),
      "down_block_types": strings(["CrossAttnDownBlock2D", "DownBlock2D"]),
      "mid_block_type": .string("UNetMidBlock2DCrossAttn"),
      "up_block_types": strings(["UpBlock2D", "CrossAttnUpBlock2D"]),
      "block_out_channels": integers([8, 16]), "layers_per_block": integers([1, 1]),
      "transformer_layers_per_block": .integer(1), "cross_attention_dim": .integer(12),
      "attention_head_dim": .integer(2), "norm_num_groups": .integer(4),
      "norm_eps": .number(1e-5), "act_fn": .string("silu"), "downsample_padding": .integer(1),
      "time_embedding_dim": .integer(16), "time_cond_proj_dim": .integer(6),
      "flip_sin_to_cos": .bool(true), "freq_shift": .integer(0), "conv_in_kernel": .integer(3),
      "conv_out_kernel": .integer(3), "only_cross_attention": .bool(false),
      "mid_block_scale_factor": .number(1), "center_input_sample": .bool(false),
      "class_embed_type": .null,
    ], input: "encoder_hidden_states", shape: [1, 5, 12], others: ["sample": [1, 4, 8, 8]])
}
