import PipitGraph
import PipitModels
import PipitTensors

/// What turns latents into pictures: the decoder of an `AutoencoderKL` or of an `AutoencoderTiny`.
struct LatentDecoder {
  let scalingFactor: Float
  let shiftFactor: Float
  let latentChannels: Int
  /// Of the pictures.
  let channels: Int
  /// Pixels a side for one latent, and the setting that says how many levels make them.
  let reduction: Int
  let levelsKey: String
  private let build: @Sendable (any WeightSource, Int, Int, Int) throws -> Graph

  init(_ part: ModelPart) throws {
    switch part.architecture {
    case .autoencoderKL(let model):
      (scalingFactor, shiftFactor) = (model.scalingFactor, model.shiftFactor)
      (latentChannels, channels) = (model.latentChannels, model.outChannels)
      (reduction, levelsKey) = (model.reduction, "block_out_channels")
      build = model.decoderGraph
    case .autoencoderTiny(let model):
      (scalingFactor, shiftFactor) = (model.scalingFactor, model.shiftFactor)
      (latentChannels, channels) = (model.latentChannels, model.outChannels)
      (reduction, levelsKey) = (model.reduction, "decoder_block_out_channels")
      build = model.decoderGraph
    default:
      throw part.wrongArchitecture("AutoencoderKL or AutoencoderTiny")
    }
  }

  /// latent_sample `[1, channels, height, width]` to sample `[1, channels, ...]`.
  func graph(weights: any WeightSource, height: Int, width: Int) throws -> Graph {
    try build(weights, 1, height, width)
  }
}
