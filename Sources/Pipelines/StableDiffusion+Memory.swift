import PipitFormats
import PipitGraph
import PipitModels
import PipitTensors

extension StableDiffusion {
  /// What drawing takes, stage by stage: settings and headers are read, nothing is loaded.
  package func memoryPlan(_ request: StableDiffusionRequest) throws -> MemoryPlan {
    let (text, clip) = try textEncoder()
    let (denoiser, unet) = try denoiser()
    let batch = request.texts.count
    let tokens = clip.tokenLimit
    var plan = MemoryPlan()
    plan.add(
      "text encoder",
      [try clip.graph(weights: text.weights, batch: batch, tokens: tokens)], machine: machine)
    if request.image != nil {
      let (part, encoder) = try encoder()
      let graph = try encoder.encoderGraph(
        weights: part.weights, batch: 1, height: request.height, width: request.width)
      plan.add("encoder", [graph], machine: machine)
    }
    let context = machine.optimize(
      try unet.contextGraph(weights: denoiser.weights, batch: batch, tokens: tokens))
    let held = context.outputs.reduce(0) { $0 + context[$1.value].byteCount }
    plan.add("keys and values", optimized: [context], held: held, machine: machine)
    let step = try unet.graph(
      weights: denoiser.weights, unet.extents(request, tokens: tokens))
    plan.add("denoiser", [step], held: held, machine: machine)
    let (decoderPart, decoder) = try decoder(request.decoder)
    let decoding = try decoder.graph(
      weights: decoderPart.weights, height: request.height / 8, width: request.width / 8)
    plan.add(
      "decoder", [decoding], held: 3 * request.count * request.width * request.height,
      machine: machine)
    return plan
  }

  /// The plan of one picture as the model's settings have it.
  package func memoryPlan() throws -> MemoryPlan {
    var request = StableDiffusionRequest()
    let defaults = try defaults()
    (request.width, request.height) = (defaults.side, defaults.side)
    (request.steps, request.guidance) = (defaults.steps, defaults.guidance)
    return try memoryPlan(request)
  }

  /// How a request can be made smaller.
  package struct Change: Hashable, Sendable {
    package var width: Int
    package var height: Int
    package var isSmaller = false
    package var usesTinyDecoder = false
    package var usesInt8Weights = false
    package var peak = 0
  }

  /// The first of the changes to a request with which it takes at most so many bytes: the small decoder,
  /// a smaller picture, int8 weights, or more than one of them.
  package func change(
    of request: StableDiffusionRequest, toFit byteCount: Int
  ) throws -> Change? {
    let hasTiny = try request.decoder != .tiny && model.tinyAutoencoder() != nil
    let isCompressed = try hasInt8Weights(denoiser().part)
    for int8 in isCompressed ? [false] : [false, true] {
      for size in smallerSizes(request) {
        for tiny in hasTiny ? [false, true] : [false] {
          var changed = request
          (changed.width, changed.height) = size
          if tiny { changed.decoder = .tiny }
          let plan = try memoryPlan(changed)
          let peak = int8 ? plan.peakWithInt8Weights : plan.peak
          if peak <= byteCount {
            return Change(
              width: size.width, height: size.height,
              isSmaller: size != (request.width, request.height), usesTinyDecoder: tiny,
              usesInt8Weights: int8, peak: peak)
          }
        }
      }
    }
    return nil
  }

  /// The request's own size and smaller ones of about its shape; a start picture leaves no choice.
  private func smallerSizes(_ request: StableDiffusionRequest) -> [(width: Int, height: Int)] {
    var sizes = [(width: request.width, height: request.height)]
    guard request.image == nil else { return sizes }
    func scaled(_ side: Int, _ eighths: Int) -> Int { max(64, side * eighths / 8 / 64 * 64) }
    for eighths in [6, 4, 3, 2] {
      let size = (width: scaled(request.width, eighths), height: scaled(request.height, eighths))
      if let last = sizes.last, size.width <= last.width, size.height <= last.height, size != last {
        sizes.append(size)
      }
    }
    return sizes
  }

  private func hasInt8Weights(_ part: ModelPart) throws -> Bool {
    try part.weights.names.contains { name in
      if case .int8 = try part.weights.weight(named: name)?.storage { true } else { false }
    }
  }
}

extension MemoryPlan {
  /// The peak if weights were stored and multiplied as 8-bit integers, of which four take a float's place.
  var peakWithInt8Weights: Int {
    let largest = stages.map { $0.byteCount - $0.need.packed / 4 * 3 }.max() ?? 0
    return MemoryPlan.programByteCount + largest
  }
}
