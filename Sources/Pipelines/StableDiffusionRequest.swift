package import PipitFormats

/// What a Stable Diffusion model is to draw, and how.
package struct StableDiffusionRequest: Sendable {
  package var prompt = ""
  package var negativePrompt = ""
  package var seed: UInt64 = 0
  package var count = 1
  package var steps = 20
  /// Classifier-free guidance; 1 and less leave it out, and with it half of the work.
  package var guidance: Float = 7.5
  /// Pixels; multiples of 8.
  package var width = 512
  package var height = 512
  package var sampler: SamplerName?
  package var noise = NoiseGenerator.torch
  /// A picture to start from (SDEdit, Meng et al. 2022), of the request's size, and how much of it may change.
  package var image: Picture?
  package var strength = 0.8
  /// Which decoder turns latents into pictures.
  package var decoder = Decoder.automatic

  package enum Decoder: String, CaseIterable, Sendable {
    /// The pipeline's own.
    case full
    /// The small one (TAESD) in the folder `vae_tiny` or `taesd` of the pipeline.
    case tiny
    /// The pipeline's own, the small one where there is no other.
    case automatic = "auto"
  }

  package init() {}

  /// The texts that the denoiser sees at once: without guidance only the prompt.
  var texts: [String] { guidance > 1 ? [negativePrompt, prompt] : [prompt] }
}
