package import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors

/// Stable Diffusion 1.x, 2.x, Turbo or LCM: text encoder, denoiser, decoder, each loaded when the one
/// before it has been released (Rombach et al. 2022).
package final class StableDiffusion {
  let model: any StableDiffusionModel
  let machine: Machine
  /// Where states of prompts are kept; `nil` for nowhere.
  package var promptCache: PromptCache?

  package init(_ model: any StableDiffusionModel, machine: Machine) {
    self.model = model
    self.machine = machine
  }

  /// The picture's side that the denoiser was trained on, and a step's number and guidance that fit the kind
  /// of model: a turbo model takes one step and no guidance, an LCM four.
  package func defaults() throws -> (side: Int, steps: Int, guidance: Float) {
    let side = 8 * (try denoiser().architecture.configuration.sampleSize[0])
    let schedule = try model.scheduler()
    switch try schedule.string("_class_name") {
    case "LCMScheduler": return (side, 4, 1)
    case "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler":
      if try schedule.string("timestep_spacing", fallback: "linspace") == "trailing" {
        return (side, 1, 0)
      }
    default: break
    }
    return (side, 20, 7.5)
  }

  /// The sampler of the model's settings if another takes its place.
  package func replacedSampler() throws -> String? {
    try Sampler(try model.scheduler().correctedForStableDiffusion(), steps: 1).standsInFor
  }

  package func draw(
    _ request: StableDiffusionRequest, watch: GenerationWatch = GenerationWatch()
  ) throws -> [Picture] {
    if watch.preview != nil { try checkPreview() }
    // What is wrong with the decoder is told before the denoiser is waited for.
    _ = try decoder(request.decoder)
    let (latents, steps) = try latents(request, watch)
    return try latents.enumerated().map { index, latent in
      try watch.decoding(index, of: latents.count, steps: steps)
      return try decode(latent, request, watch.clock)
    }
  }

  // MARK: Parts

  /// A part and its architecture, which must be of the kind that the pipeline needs.
  typealias Part<Kind> = (part: ModelPart, architecture: Kind)

  func textEncoder() throws -> Part<CLIPText> {
    let part = try model.textEncoder()
    guard case .clipText(let clip) = part.architecture else {
      throw part.wrongArchitecture("CLIPTextModel")
    }
    return (part, clip)
  }

  func denoiser() throws -> Part<UNet2DCondition> {
    let part = try model.denoiser()
    guard case .unet2DCondition(let unet) = part.architecture else {
      throw part.wrongArchitecture("UNet2DConditionModel")
    }
    return (part, unet)
  }

  func encoder() throws -> Part<AutoencoderKL> {
    guard let part = try model.autoencoder() else {
      throw FormatError(
        path: model.path, part: "vae", expected: "an encoder for the start picture", found: "none")
    }
    guard case .autoencoderKL(let autoencoder) = part.architecture else {
      throw part.wrongArchitecture("AutoencoderKL")
    }
    try check(
      part, channels: ("in_channels", autoencoder.channels),
      latentChannels: autoencoder.latentChannels,
      reduction: ("block_out_channels", autoencoder.reduction))
    return (part, autoencoder)
  }

  func decoder(_ wanted: StableDiffusionRequest.Decoder) throws -> Part<LatentDecoder> {
    let part: ModelPart?
    switch wanted {
    case .full: part = try model.autoencoder()
    case .tiny: part = try model.tinyAutoencoder()
    case .automatic: part = try model.autoencoder() ?? model.tinyAutoencoder()
    }
    guard let part else {
      throw FormatError(
        path: model.path, part: "decoder",
        expected: wanted == .tiny ? "a folder 'vae_tiny' or 'taesd'" : "a folder 'vae'",
        found: "none")
    }
    let decoder = try LatentDecoder(part)
    try check(
      part, channels: ("out_channels", decoder.channels), latentChannels: decoder.latentChannels,
      reduction: (decoder.levelsKey, decoder.reduction))
    return (part, decoder)
  }

  /// A number that follows from settings, and the one of them that it is most about.
  private typealias Extent = (key: String, found: Int)

  /// Throws, before anything is loaded, for an autoencoder whose pictures or latents are of another shape than
  /// the pipeline's.
  private func check(
    _ part: ModelPart, channels: Extent, latentChannels: Int, reduction: Extent
  ) throws {
    func require(_ extent: Extent, _ expected: Int, _ unit: String = "") throws {
      guard extent.found == expected else {
        throw part.configuration.error(extent.key, "\(expected)\(unit)", "\(extent.found)")
      }
    }
    try require(channels, 3)
    let latents = try denoiser().architecture.configuration.outChannels
    try require(("latent_channels", latentChannels), latents)
    try require(reduction, 8, " pixels a side for a latent")
  }

  // MARK: Denoising

  /// The latents of each picture, and the number of steps that were to lead to them.
  private func latents(
    _ request: StableDiffusionRequest, _ watch: GenerationWatch
  ) throws -> (latents: [[Float]], steps: Int) {
    let clock = watch.clock
    let states = try clock.measure("text encoder") { try self.states(request.texts) }
    let start = try request.image.map { image in
      try clock.measure("start picture") { try encode(image) }
    }
    let denoiser = try clock.measure("denoiser loading") {
      try StableDiffusionDenoiser(
        try self.denoiser(), machine, request, context: states.flatMap(\.values),
        tokens: states[0].tokens)
    }
    let schedule = try Sampler(
      try model.scheduler().correctedForStableDiffusion(), name: request.sampler,
      steps: request.steps, strength: start == nil ? 1 : request.strength)
    var source = request.noise.source(seed: request.seed)
    let count = denoiser.sampleCount
    let steps = schedule.steps.count
    var latents: [[Float]] = []
    for index in 0..<request.count {
      var sampler = schedule
      let noise = source.next(count)
      var x = start.map { sampler.start(noise, from: $0) } ?? sampler.start(noise)
      for step in sampler.steps.indices {
        let place = index * steps + step
        guard try watch.goesOn(beforeStep: place, of: request.count * steps) else {
          // What the last step says the picture will be; noise alone is none.
          if step > 0 { latents.append(sampler.denoised) }
          if latents.isEmpty {
            throw GenerationStopped(step: place, count: request.count * steps)
          }
          return (latents, request.count * steps)
        }
        let output = try clock.measure("denoising") {
          try denoiser.output(
            sampler.networkInput(x, step: step), timestep: sampler.steps[step].timestep)
        }
        let fresh = sampler.steps[step].needsNoise ? source.next(count) : []
        sampler.advance(&x, output: output, step: step, noise: fresh)
        try show(sampler.denoised, request, watch)
      }
      latents.append(x)
    }
    return (latents, request.count * steps)
  }

  private func show(
    _ latents: [Float], _ request: StableDiffusionRequest, _ watch: GenerationWatch
  ) throws {
    guard let preview = watch.preview else { return }
    try preview(
      LatentPreview.picture(latents, width: request.width / 8, height: request.height / 8))
  }

  /// Throws, before anything is loaded, if latents of this model have no known colours.
  private func checkPreview() throws {
    let (part, unet) = try denoiser()
    let channels = unet.configuration.outChannels
    guard LatentPreview.knows(channels: channels) else {
      throw FormatError(
        path: part.configuration.file, part: "'out_channels'",
        expected: "4 for previews (whose colours are those of Stable Diffusion's latents)",
        found: "\(channels)")
    }
  }

  // MARK: Pictures and latents

  private func decode(
    _ latent: [Float], _ request: StableDiffusionRequest, _ clock: StageClock
  ) throws -> Picture {
    let (part, decoder) = try decoder(request.decoder)
    let component = Component(part, machine: machine)
    let program = try clock.measure("decoder loading") {
      try component.program("decoder") {
        try decoder.graph(
          weights: component.weights, height: request.height / 8, width: request.width / 8)
      }
    }
    let input = try program.input("latent_sample")
    for index in input.indices {
      input[index] = latent[index] / decoder.scalingFactor + decoder.shiftFactor
    }
    try clock.measure("decoding") { try program.run() }
    return Picture(
      channels: try component.finite("sample", of: program), width: request.width,
      height: request.height)
  }

  /// The most probable latents of a picture, in the denoiser's scale.
  private func encode(_ picture: Picture) throws -> [Float] {
    let (part, encoder) = try encoder()
    let component = Component(part, machine: machine)
    let program = try component.program("encoder") {
      try encoder.encoderGraph(
        weights: component.weights, batch: 1, height: picture.height, width: picture.width)
    }
    let sample = try program.input("sample")
    let count = picture.width * picture.height
    for index in 0..<count {
      for channel in 0..<3 {
        sample[channel * count + index] = Float(picture.pixels[3 * index + channel]) / 127.5 - 1
      }
    }
    try program.run()
    // Means come before the logarithms of variances.
    let parameters = try component.finite("latent_parameters", of: program)
    return parameters[..<(parameters.count / 2)].map {
      ($0 - encoder.shiftFactor) * encoder.scalingFactor
    }
  }
}
