import PipitTensors

extension SmallModelTests {
  /// Folders made by Goldens/make_image_goldens.py.
  static let imageCases: [String] =
    ["taesd-1", "taesd-2", "taesd-3", "kl-1", "kl-2", "kl-3"].flatMap {
      [$0 + "-decoder", $0 + "-encoder"]
    } + ["taesd-4-decoder"]
}

extension Sample {
  static let imageSamples: [Sample] = [tinyAutoencoder, latentAutoencoder]

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
}
