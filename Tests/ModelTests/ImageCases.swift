import PipitModels
import PipitTensors

extension SmallModelTests {
  /// Folders made by Goldens/make_image_goldens.py.
  static let imageCases: [String] = autoencoderCases + unetCases + classifierCases

  private static let autoencoderCases: [String] = [
    "taesd-1-decoder", "taesd-1-encoder", "taesd-2-decoder", "taesd-2-encoder",
    "taesd-3-decoder", "taesd-3-encoder", "taesd-4-decoder",
    "kl-1-decoder", "kl-1-encoder", "kl-2-decoder", "kl-2-encoder", "kl-3-decoder", "kl-3-encoder",
  ]

  private static let unetCases: [String] = ["unet-1", "unet-2", "unet-3", "unet-4", "unet-5"]

  private static let classifierCases: [String] = [
    "resnet-4", "resnet-5", "resnet-6", "mobilenet-1", "mobilenet-2", "mobilenet-3", "mobilenet-4",
    "vit-1", "vit-2", "vit-3",
  ]
}

extension Sample {
  static let imageSamples: [Sample] =
    [tinyAutoencoder, latentAutoencoder, unet, mobileNet, vit] + timmModels

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

  private static let mobileNet = Sample(
    name: "MobileNetV2ForImageClassification",
    settings: [
      "num_channels": .integer(3), "depth_multiplier": .number(0.25), "min_depth": .integer(4),
      "depth_divisible_by": .integer(4), "expand_ratio": .number(6), "output_stride": .integer(16),
      "first_layer_is_expansion": .bool(true), "finegrained_output": .bool(false),
      "tf_padding": .bool(true), "hidden_act": .string("relu6"),
      "layer_norm_eps": .number(1e-3), "num_labels": .integer(3),
    ], input: "pixel_values", shape: [1, 3, 32, 32])

  private static let vit = Sample(
    name: "ViTForImageClassification",
    settings: transformer.merging([
      "num_channels": .integer(3), "image_size": .integer(16), "patch_size": .integer(8),
      "qkv_bias": .bool(true), "num_labels": .integer(3),
    ]) { first, _ in first }, input: "pixel_values", shape: [1, 3, 16, 16])

  private static let timmModels: [Sample] = TimmModel.names.map { name in
    Sample(
      name: name, settings: ["num_classes": .integer(3), "label_names": strings(["a", "b", "c"])],
      input: "pixel_values", shape: [1, 3, 32, 32])
  }
}
