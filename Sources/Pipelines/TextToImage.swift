package import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors

/// What to draw, and how.
package struct TextToImageRequest: Sendable {
  package var prompt = ""
  package var negativePrompt = ""
  package var seed: UInt64 = 0
  package var count = 1
  package var steps = 16
  package var guidance: Float = 2.5
  /// The prompt in other words, with a mood in them, and how far the picture goes from the one to the
  /// other, 0 ... 1; `nil` for the prompt as it is.
  package var moodPrompt: String?
  package var moodStrength: Float = 0.65

  package init() {}
}

/// From a text to pictures: captions' states by the text encoder, then denoiser and decoder, each loaded
/// when the one before it has been released.
package final class TextToImage {
  private let folder: ModelFolder
  private let machine: Machine
  private var decoder: Decoder?

  /// Tokens of a caption that the denoiser was trained to see.
  package static let captionTokens = 32

  package init(_ folder: ModelFolder, machine: Machine) {
    self.folder = folder
    self.machine = machine
  }

  // MARK: Text

  /// The states of a request's captions, each padded to the denoiser's length: negative prompt, prompt,
  /// and the mood's words if there are any.
  package struct Captions {
    let count: Int
    var states: [Float]
    var mask: [Int32]
  }

  /// Encodes a request's captions; the encoder is not needed after that.
  package func captions(
    _ request: TextToImageRequest, encoder: TextEncoder
  ) throws -> Captions {
    var texts = [request.negativePrompt, request.prompt]
    if let mood = request.moodPrompt { texts.append(mood) }
    let tokens = TextToImage.captionTokens
    let encoding = try encoder.encode(texts.map { encoder.ids($0, limit: tokens) })
    var result = Captions(
      count: texts.count,
      states: [Float](repeating: 0, count: texts.count * tokens * encoder.hidden),
      mask: [Int32](repeating: 0, count: texts.count * tokens))
    for text in texts.indices {
      for token in 0..<min(tokens, encoding.tokens) {
        result.mask[text * tokens + token] = encoding.mask[text * encoding.tokens + token]
        let source = (text * encoding.tokens + token) * encoder.hidden
        let target = (text * tokens + token) * encoder.hidden
        for channel in 0..<encoder.hidden {
          result.states[target + channel] = encoding.states[source + channel]
        }
      }
    }
    return result
  }

  /// Draws the pictures of a request. They start from the seed's noise, or from `noise` (one array of
  /// coordinates a picture), which is how the chain is compared with its reference.
  package func draw(
    _ request: TextToImageRequest, captions: Captions, noise: [[Float]]? = nil,
    watch: GenerationWatch = GenerationWatch()
  ) throws -> [Picture] {
    let latents = try denoise(request, captions: captions, noise: noise, watch)
    return try decode(latents, watch, steps: request.count * request.steps)
  }

  // MARK: Denoising

  /// Latents of each picture, in the decoder's space.
  private func denoise(
    _ request: TextToImageRequest, captions: Captions, noise: [[Float]]?,
    _ watch: GenerationWatch
  ) throws -> [[Float]] {
    let (model, points) = try self.points(request, captions: captions, noise: noise, watch)
    // The map to latents comes when the network is gone: both would be the most memory of all.
    return try points.map(components(model).latents)
  }

  private func components(_ model: FlowMLP) throws -> FlowMLP.Components {
    try model.components(weights: try folder.component("denoiser").weights())
  }

  /// Each picture's coordinates after the last step, or after as many as the watch let happen.
  private func points(
    _ request: TextToImageRequest, captions: Captions, noise: [[Float]]?,
    _ watch: GenerationWatch
  ) throws -> (FlowMLP, [[Float]]) {
    let component = try Component(try folder.component("denoiser"), machine: machine)
    guard case .flowMLP(let model) = component.architecture else {
      throw component.wrongArchitecture("PipitFlowMLP")
    }
    guard captions.states.count == captions.count * TextToImage.captionTokens * model.captionChannels
    else {
      throw FormatError(
        path: component.configuration.file, part: "'caption_channels'",
        expected: "the text encoder's width", found: "\(model.captionChannels)")
    }
    let conditions = try watch.clock.measure("caption") { try self.conditions(model, captions) }
    let schedule = try Sampler(
      try folder.settings("scheduler/scheduler_config.json"), steps: request.steps)
    var previewComponents: FlowMLP.Components?
    let steps = schedule.steps.count
    var points: [[Float]] = []
    for index in 0..<request.count {
      var sampler = schedule
      var x = noise?[index] ?? seededNoise(request.seed, index, model.coordinates)
      for step in 0..<steps {
        let place = index * steps + step
        guard try watch.goesOn(beforeStep: place, of: request.count * steps) else {
          // What the last step says the picture will be; noise alone is none.
          if step > 0 { points.append(sampler.denoised) }
          if points.isEmpty {
            throw GenerationStopped(step: place, count: request.count * steps)
          }
          return (model, points)
        }
        let velocity = try watch.clock.measure("denoising") {
          try self.velocity(
            model, component, x, timestep: sampler.steps[step].timestep, conditions, request)
        }
        sampler.advance(&x, output: velocity, step: step)
        if let preview = watch.preview {
          // This decoder is small: a preview is what it makes of the picture foreseen now.
          let decoder = try loadedDecoder(watch.clock)
          let components = try previewComponents ?? self.components(model)
          previewComponents = components
          try preview(
            try watch.clock.measure("previews") {
              try decoder.picture(components.latents(sampler.denoised))
            })
        }
      }
      points.append(x)
    }
    return (model, points)
  }

  private func seededNoise(_ seed: UInt64, _ picture: Int, _ count: Int) -> [Float] {
    var noise = GaussianNoise(seed: seed, stream: UInt64(picture))
    return noise.next(count)
  }

  /// What the denoiser makes of the captions, once for all steps, which need none of the weights for that: they
  /// go before the others come.
  private func conditions(_ model: FlowMLP, _ captions: Captions) throws -> [Float] {
    let component = try Component(try folder.component("denoiser"), machine: machine)
    let program = try component.program("caption \(captions.count)") {
      try model.captionGraph(
        weights: component.weights, batch: captions.count, tokens: TextToImage.captionTokens)
    }
    _ = try program.input("encoder_hidden_states").update(fromContentsOf: captions.states)
    let mask = try program.idInput("encoder_attention_mask")
    for index in captions.mask.indices { mask[index] = captions.mask[index] }
    try program.run()
    return Array(try program.output("condition"))
  }

  /// The velocity with classifier-free guidance (Ho & Salimans 2022): v = vu + g (vc - vu), where vc goes
  /// part of the way from the prompt's to that of the prompt with a mood. All captions go through the
  /// network in one pass.
  private func velocity(
    _ model: FlowMLP, _ component: Component, _ x: [Float], timestep: Float,
    _ conditions: [Float], _ request: TextToImageRequest
  ) throws -> [Float] {
    let batch = conditions.count / model.width
    let program = try component.program("step \(batch)") {
      try model.stepGraph(weights: component.weights, batch: batch)
    }
    let sample = try program.input("sample")
    for index in sample.indices { sample[index] = x[index % x.count] }
    let time = try program.input("timestep")
    for index in time.indices { time[index] = timestep }
    _ = try program.input("condition").update(fromContentsOf: conditions)
    try program.run()
    let out = try component.finite("out_sample", of: program)
    return x.indices.map { index in
      let base = out[index]
      var wanted = out[x.count + index]
      if batch > 2 { wanted += request.moodStrength * (out[2 * x.count + index] - wanted) }
      return base + request.guidance * (wanted - base)
    }
  }

  // MARK: Decoding

  /// The decoder of one picture.
  private struct Decoder {
    let component: Component
    let model: Autoencoder
    let program: Program

    var side: Int { model.sampleSize / model.reduction }

    func picture(_ latent: [Float]) throws -> Picture {
      guard latent.count == model.latentChannels * side * side else {
        throw FormatError(
          path: component.configuration.file, part: "'latent_channels' and 'sample_size'",
          expected: "the denoiser's latents", found: "[\(model.latentChannels), \(side), \(side)]")
      }
      let input = try program.input("latent_sample")
      for position in input.indices {
        input[position] = latent[position] / model.scalingFactor + model.shiftFactor
      }
      try program.run()
      return Picture(
        channels: try component.finite("sample", of: program), width: model.sampleSize,
        height: model.sampleSize)
    }
  }

  private func loadedDecoder(_ clock: StageClock) throws -> Decoder {
    if let decoder { return decoder }
    let loaded = try clock.measure("decoder loading") {
      let component = try Component(try folder.component("vae"), machine: machine)
      guard case .autoencoder(let model) = component.architecture else {
        throw component.wrongArchitecture("PipitAutoencoder")
      }
      let side = model.sampleSize / model.reduction
      let program = try component.program("decoder") {
        try model.decoderGraph(weights: component.weights, batch: 1, height: side, width: side)
      }
      return Decoder(component: component, model: model, program: program)
    }
    decoder = loaded
    return loaded
  }

  private func decode(
    _ latents: [[Float]], _ watch: GenerationWatch, steps: Int
  ) throws -> [Picture] {
    let decoder = try loadedDecoder(watch.clock)
    return try latents.enumerated().map { index, latent in
      try watch.decoding(index, of: latents.count, steps: steps)
      return try watch.clock.measure("decoding") { try decoder.picture(latent) }
    }
  }
}

extension FlowMLP.Components {
  /// The latents of a point in coordinates: (z * deviation) basis + mean.
  package func latents(_ coordinates: [Float]) -> [Float] {
    precondition(coordinates.count == deviation.count)
    var latents = mean
    for (index, coordinate) in coordinates.enumerated() {
      let scaled = coordinate * deviation[index]
      let row = index * mean.count
      for column in mean.indices { latents[column] += scaled * basis[row + column] }
    }
    return latents
  }
}

extension Picture {
  /// A picture from planes of red, green and blue in -1 ... 1 (clamped), `[3, height, width]`.
  package init(channels: UnsafeBufferPointer<Float>, width: Int, height: Int) {
    precondition(channels.count == 3 * width * height)
    let count = width * height
    var pixels = [UInt8](repeating: 0, count: 3 * count)
    for index in 0..<count {
      for channel in 0..<3 {
        let level = (channels[channel * count + index] + 1) * 127.5
        // NaN becomes 0: min and max would let it through to a trapping conversion.
        pixels[3 * index + channel] = level >= 0 ? UInt8(min(level.rounded(), 255)) : 0
      }
    }
    self.init(width: width, height: height, pixels: pixels)
  }
}
