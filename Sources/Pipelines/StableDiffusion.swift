package import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors
import PipitTokenizers

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
}

/// A diffusers folder of Stable Diffusion 1.x, 2.x, Turbo or LCM: text encoder, denoiser, decoder, each
/// loaded when the one before it has been released (Rombach et al. 2022).
package final class StableDiffusion {
  private let folder: ModelFolder
  private let machine: Machine

  /// Whether a pipeline's folder is of this kind.
  package static func fits(_ folder: ModelFolder) -> Bool {
    folder.layout == .pipeline && folder.has("unet/config.json")
  }

  package init(_ folder: ModelFolder, machine: Machine) {
    self.folder = folder
    self.machine = machine
  }

  /// The picture's side that the denoiser was trained on, and a step's number and guidance that fit the kind
  /// of model: a turbo model takes one step and no guidance, an LCM four.
  package func defaults() throws -> (side: Int, steps: Int, guidance: Float) {
    let unet = try folder.component("unet").configuration
    let side = 8 * (try unet.integer("sample_size", in: 1...4096, fallback: 64))
    let schedule = try folder.settings("scheduler/scheduler_config.json")
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

  package func draw(
    _ request: StableDiffusionRequest, progress: (TextToImage.Progress) -> Void = { _ in }
  ) throws -> [Picture] {
    let latents = try latents(request, progress: progress)
    return try latents.enumerated().map { index, latent in
      progress(.decoding(index, of: latents.count))
      return try decode(latent, request)
    }
  }

  // MARK: Text

  /// The states of the texts, `[texts, tokens, width]`, each text padded to the encoder's length.
  private func states(_ texts: [String]) throws -> (values: [Float], tokens: Int, width: Int) {
    let component = try Component(try folder.component("text_encoder"), machine: machine)
    guard case .clipText(let model) = component.architecture else {
      throw component.wrongArchitecture("CLIPTextModel")
    }
    let (tokenizer, limit) = try component.folder.tokenizer(
      vocabularyCount: model.vocabularyCount, tokenLimit: model.tokenLimit)
    let program = try component.program("\(texts.count)") {
      try model.graph(weights: component.weights, batch: texts.count, tokens: limit)
    }
    let input = try program.idInput("input_ids")
    for (row, text) in texts.enumerated() {
      let ids = tokenizer.encode(text, maximumCount: limit)
      for column in 0..<limit {
        // Without a padding token the end of the text is repeated, as CLIP was trained.
        input[row * limit + column] =
          column < ids.count ? ids[column] : tokenizer.padID ?? ids.last ?? 0
      }
    }
    try program.run()
    return (Array(try program.output("last_hidden_state")), limit, model.layer.hidden)
  }

  // MARK: Denoising

  private func latents(
    _ request: StableDiffusionRequest, progress: (TextToImage.Progress) -> Void
  ) throws -> [[Float]] {
    let isGuided = request.guidance > 1
    let texts = isGuided ? [request.negativePrompt, request.prompt] : [request.prompt]
    let context = try states(texts)
    let start = try request.image.map { try encode($0) }
    let denoiser = try Denoiser(
      folder, machine, request, context: context.values, tokens: context.tokens,
      batch: texts.count)
    let settings = try folder.settings("scheduler/scheduler_config.json")
    let schedule = try Sampler(
      settings.correctedForStableDiffusion(), name: request.sampler, steps: request.steps,
      strength: start == nil ? 1 : request.strength)
    var source = request.noise.source(seed: request.seed)
    let count = denoiser.sampleCount
    return try (0..<request.count).map { index in
      var sampler = schedule
      let noise = source.next(count)
      var x = start.map { sampler.start(noise, from: $0) } ?? sampler.start(noise)
      for step in sampler.steps.indices {
        progress(
          .step(
            index * sampler.steps.count + step, of: request.count * sampler.steps.count))
        let output = try denoiser.output(
          sampler.networkInput(x, step: step), timestep: sampler.steps[step].timestep)
        let fresh = sampler.steps[step].needsNoise ? source.next(count) : []
        sampler.advance(&x, output: output, step: step, noise: fresh)
      }
      return x
    }
  }

  // MARK: Pictures and latents

  private func decoderFolder(_ wanted: StableDiffusionRequest.Decoder) throws -> ModelFolder {
    let tiny = ["vae_tiny", "taesd"].first { folder.has($0 + "/config.json") }
    switch wanted {
    case .full: return try folder.component("vae")
    case .tiny: return try folder.component(tiny ?? "vae_tiny")
    case .automatic:
      return try folder.component(folder.has("vae/config.json") ? "vae" : tiny ?? "vae")
    }
  }

  private func decode(_ latent: [Float], _ request: StableDiffusionRequest) throws -> Picture {
    let component = try Component(try decoderFolder(request.decoder), machine: machine)
    let (height, width) = (request.height / 8, request.width / 8)
    let (program, scale, shift): (Program, Float, Float)
    switch component.architecture {
    case .autoencoderKL(let model):
      program = try component.program("decoder") {
        try model.decoderGraph(weights: component.weights, batch: 1, height: height, width: width)
      }
      (scale, shift) = (model.scalingFactor, model.shiftFactor)
    case .autoencoderTiny(let model):
      program = try component.program("decoder") {
        try model.decoderGraph(weights: component.weights, batch: 1, height: height, width: width)
      }
      (scale, shift) = (model.scalingFactor, model.shiftFactor)
    default:
      throw component.wrongArchitecture("AutoencoderKL or AutoencoderTiny")
    }
    let input = try program.input("latent_sample")
    guard input.count == latent.count else {
      throw FormatError(
        path: component.folder.configuration.file, part: "'latent_channels'",
        expected: "the denoiser's latents", found: "\(input.count) numbers for \(latent.count)")
    }
    for index in input.indices { input[index] = latent[index] / scale + shift }
    try program.run()
    return Picture(
      channels: try program.output("sample"), width: request.width, height: request.height)
  }

  /// The most probable latents of a picture, in the denoiser's scale.
  private func encode(_ picture: Picture) throws -> [Float] {
    let component = try Component(try folder.component("vae"), machine: machine)
    guard case .autoencoderKL(let model) = component.architecture else {
      throw component.wrongArchitecture("AutoencoderKL")
    }
    let program = try component.program("encoder") {
      try model.encoderGraph(
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
    let parameters = try program.output("latent_parameters")
    return parameters[..<(parameters.count / 2)].map {
      ($0 - model.shiftFactor) * model.scalingFactor
    }
  }
}

/// The denoiser of one request: the text's keys and values are there before the first step.
private final class Denoiser {
  let sampleCount: Int
  private let component: Component
  private let program: Program
  private let keysAndValues: [(name: String, values: [Float])]
  private let batch: Int
  private let guidance: Float
  private let guidanceEmbedding: [Float]

  init(
    _ folder: ModelFolder, _ machine: Machine, _ request: StableDiffusionRequest,
    context: [Float], tokens: Int, batch: Int
  ) throws {
    component = try Component(try folder.component("unet"), machine: machine)
    guard case .unet2DCondition(let model) = component.architecture else {
      throw component.wrongArchitecture("UNet2DConditionModel")
    }
    let weights = component.weights
    let once = try component.program("context") {
      try model.contextGraph(weights: weights, batch: batch, tokens: tokens)
    }
    let states = try once.input("encoder_hidden_states")
    guard states.count == context.count else {
      throw FormatError(
        path: component.folder.configuration.file, part: "'cross_attention_dim'",
        expected: "the text encoder's width", found: "\(states.count / batch / tokens)")
    }
    _ = states.update(fromContentsOf: context)
    try once.run()
    keysAndValues = try once.graph.outputs.map { ($0.name, Array(try once.output($0.name))) }
    var extents = UNet2DCondition.Extents(
      batch: batch, height: request.height / 8, width: request.width / 8, tokens: tokens,
      timesteps: [1])
    extents.hasKeysAndValues = true
    extents.hasGuidance = model.configuration.guidanceWidth != nil
    program = try component.program("step") { try model.graph(weights: weights, extents) }
    self.batch = batch
    guidance = request.guidance
    guidanceEmbedding = model.configuration.guidanceWidth.map {
      Denoiser.embedding(guidance: request.guidance, width: $0)
    } ?? []
    sampleCount = try program.input("sample").count / batch
  }

  /// The network's output for one sample, guided: u + g (c - u).
  func output(_ sample: [Float], timestep: Float) throws -> [Float] {
    let input = try program.input("sample")
    for index in input.indices { input[index] = sample[index % sample.count] }
    let time = try program.input("timestep")
    for index in time.indices { time[index] = timestep }
    for (name, values) in keysAndValues {
      _ = try program.input(name).update(fromContentsOf: values)
    }
    if !guidanceEmbedding.isEmpty {
      let target = try program.input("timestep_cond")
      for index in target.indices {
        target[index] = guidanceEmbedding[index % guidanceEmbedding.count]
      }
    }
    try program.run()
    let out = try program.output("out_sample")
    guard batch == 2 else { return Array(out) }
    let count = sample.count
    return (0..<count).map { out[$0] + guidance * (out[count + $0] - out[$0]) }
  }

  /// Sines and cosines of the guidance, as `get_guidance_scale_embedding` of diffusers.
  private static func embedding(guidance: Float, width: Int) -> [Float] {
    let half = width / 2
    let step = 10000.0.logarithm / Double(max(half - 1, 1))
    let angles = (0..<half).map { index in
      Double(guidance - 1) * 1000 * (-step * Double(index)).exponential
    }
    let values = angles.map { Float($0.sine) } + angles.map { Float($0.cosine) }
    return values + [Float](repeating: 0, count: width - 2 * half)
  }
}
