import Glibc
import PipitFormats
import PipitPipelines

/// The engine as other programs use it: pictures from sentences, and the mood of either.
///
///     let pipit = try Pipit()
///     let picture = try pipit.generate("a smiling cat")[0]
///     try picture.writePNG(to: "cat.png")
///     print(try pipit.sentiment(of: "what a lovely day").score)
///
/// Not for several threads at once: one call uses all the threads that it was made with.
public final class Pipit {
  private let machine: Machine
  private let place: Place
  private var encoder: TextEncoder?
  private var textSentiment: (any TextMoodReader)?
  private var imageSentiment: ImageSentiment?

  /// A model's folder, or a file that holds all of one.
  private enum Place {
    case folder(ModelFolder)
    case checkpoint(OriginalCheckpoint)
  }

  /// Whether `generate` gives back the memory of the text encoder before it draws (it is loaded again
  /// when needed): less memory for one picture, less time for many.
  public var releasesTextEncoder = false

  /// Whether prompts that a large text encoder has read are kept on disk (`$XDG_CACHE_HOME/pipit`).
  public var cachesPrompts = true

  /// How long the parts of the last generation took, in their order.
  public private(set) var stageTimes: [StageTime] = []

  /// The threads that computations are split over.
  public var threadCount: Int { machine.pool.threadCount }
  /// The instruction-set level in use, e.g. "avx2".
  public var isa: String { machine.kernels.name }
  /// The folder of the model.
  public var modelPath: String {
    switch place {
    case .folder(let folder): folder.path
    case .checkpoint(let checkpoint): checkpoint.path
    }
  }

  /// Whether all of the model lies in one file.
  public var isSingleFile: Bool {
    if case .checkpoint = place { true } else { false }
  }

  /// Opens a model; weights are read when they are first needed.
  ///
  /// - Parameters:
  ///   - model: A folder, a name looked for where models lie, or a Stable Diffusion checkpoint in one
  ///     safetensors file; the default bundle if left out.
  ///   - threads: How many threads to use; one for each processor if left out.
  ///   - ignoresMemory: Whether to compute what seems to take more memory than there is.
  ///   - checkpoint: What a single file does not say of itself.
  public init(
    model: String = "Default", threads: Int? = nil, ignoresMemory: Bool = false,
    checkpoint: CheckpointOptions = CheckpointOptions()
  ) throws {
    machine = try Machine(threadCount: threads, ignoresMemory: ignoresMemory)
    let path = BundleLocation.find(model)
    if OriginalCheckpoint.isFile(path) {
      place = .checkpoint(try OriginalCheckpoint(path: path, options: checkpoint.inner))
    } else {
      place = .folder(try ModelFolder(path: path))
    }
  }

  /// The model's folder; throws for a single file, which holds nothing but a pipeline for pictures.
  private func folder() throws -> ModelFolder {
    guard case .folder(let folder) = place else {
      throw GenerationError(
        "model", expected: "a folder (a single file draws pictures only)", found: "'\(modelPath)'")
    }
    return folder
  }

  /// Gives back the memory of all that was loaded; it is loaded again when needed.
  public func releaseModels() {
    encoder = nil
    textSentiment = nil
    imageSentiment = nil
  }

  /// The pipeline, if the model is one of Stable Diffusion.
  private var stableDiffusion: StableDiffusion? {
    let model: (any StableDiffusionModel)?
    switch place {
    case .folder(let folder): model = DiffusersFolder(folder)
    case .checkpoint(let checkpoint): model = checkpoint
    }
    guard let model else { return nil }
    let pipeline = StableDiffusion(model, machine: machine)
    // What is kept there was computed as models ask.
    pipeline.promptCache = cachesPrompts && machine.multipliesIntegers ? PromptCache.standard : nil
    return pipeline
  }

  // MARK: Pictures

  /// Draws pictures of a prompt. The same request gives the same pixels on every run and thread count.
  public func generate(_ request: GenerationRequest) throws -> [GeneratedPicture] {
    try generate(request) { _ in .goOn }
  }

  /// As `generate(_:)`, for whoever watches.
  ///
  /// - Parameters:
  ///   - preview: Is given a rough picture after each step.
  ///   - progress: Is told what comes next, and says whether it is to.
  /// - Throws: `GenerationCancelled` where `progress` says so.
  public func generate(
    _ request: GenerationRequest, preview: ((GeneratedPicture) throws -> Void)? = nil,
    progress: @escaping (GenerationProgress) -> GenerationControl
  ) throws -> [GeneratedPicture] {
    let watch = GenerationWatch(
      preview: preview.map { preview in { try preview(GeneratedPicture(picture: $0)) } },
      progress: { progress(GenerationProgress($0)).verdict })
    do {
      let pictures = try draw(request, watch).map { GeneratedPicture(picture: $0) }
      stageTimes = watch.clock.stages.map { StageTime(name: $0.name, seconds: $0.seconds) }
      return pictures
    } catch let stopped as GenerationStopped {
      throw GenerationCancelled(step: stopped.step, count: stopped.count)
    }
  }

  private func draw(_ request: GenerationRequest, _ watch: GenerationWatch) throws -> [Picture] {
    if let pipeline = stableDiffusion {
      return try pipeline.draw(try stableDiffusion(request, pipeline), watch: watch)
    }
    guard request.width == nil, request.height == nil, request.sampler == nil,
      request.startPicture == nil
    else {
      throw GenerationError(
        "size, sampler and start picture", expected: "none of them with this model",
        found: "one that only Stable Diffusion folders take")
    }
    var inner = TextToImageRequest()
    inner.prompt = request.prompt
    inner.negativePrompt = request.negativePrompt
    inner.seed = request.seed
    inner.count = request.count
    inner.steps = try request.steps ?? defaultSteps()
    inner.guidance = try request.guidance ?? defaultGuidance()
    inner.moodPrompt = request.mood?.prompt(request.prompt)
    let pipeline = TextToImage(try folder(), machine: machine)
    let captions = try watch.clock.measure("text encoder") {
      try pipeline.captions(inner, encoder: try loadedEncoder())
    }
    if releasesTextEncoder {
      encoder = nil
      textSentiment = nil
    }
    return try pipeline.draw(inner, captions: captions, watch: watch)
  }

  private func stableDiffusion(
    _ request: GenerationRequest, _ pipeline: StableDiffusion
  ) throws -> StableDiffusionRequest {
    var inner = StableDiffusionRequest()
    inner.prompt = request.mood?.prompt(request.prompt) ?? request.prompt
    inner.negativePrompt = request.negativePrompt
    inner.seed = request.seed
    inner.count = request.count
    let (side, steps, guidance) = try pipeline.defaults()
    inner.steps = request.steps ?? steps
    inner.guidance = request.guidance ?? guidance
    inner.image = request.startPicture?.picture
    inner.width = request.width ?? inner.image?.width ?? side
    inner.height = request.height ?? inner.image?.height ?? side
    for side in [inner.width, inner.height] where side % 8 != 0 || !(64...4096).contains(side) {
      throw GenerationError(
        "size", expected: "multiples of 8 from 64 to 4096", found: "\(inner.width)x\(inner.height)")
    }
    if let image = inner.image, image.width != inner.width || image.height != inner.height {
      throw GenerationError(
        "start picture", expected: "the size \(inner.width)x\(inner.height)",
        found: "\(image.width)x\(image.height)")
    }
    inner.sampler = try request.sampler.map {
      try Pipit.named($0, "sampler", GenerationRequest.samplers)
    }
    inner.noise = try Pipit.named(
      request.noiseGenerator, "noise generator", GenerationRequest.noiseGenerators)
    inner.decoder = try Pipit.named(request.decoder, "decoder", GenerationRequest.decoders)
    inner.strength = request.strength
    return inner
  }

  // MARK: Memory

  /// What drawing takes, told from the model's settings: nothing is loaded.
  public func memory(for request: GenerationRequest) throws -> MemoryEstimate {
    guard let pipeline = stableDiffusion else {
      return MemoryEstimate(try MemoryPlan(try folder(), machine: machine))
    }
    return MemoryEstimate(try pipeline.memoryPlan(try stableDiffusion(request, pipeline)))
  }

  /// Why a request cannot be fulfilled with the memory that is free now, and what could be; `nil` if it can.
  public func memoryShortage(for request: GenerationRequest) throws -> MemoryShortage? {
    guard let free = FreeMemory() else { return nil }
    guard let pipeline = stableDiffusion else {
      // Pictures of one size: where there is plenty, planning would only cost a tenth of their time.
      let most = Pipit.mostExpansion * (try ComponentReport.fileByteCount(try folder()))
      if free.byteCount > most { return nil }
      let estimate = try memory(for: request)
      return estimate.peakByteCount > free.byteCount ? MemoryShortage(estimate, free, nil) : nil
    }
    let inner = try stableDiffusion(request, pipeline)
    let estimate = MemoryEstimate(try pipeline.memoryPlan(inner))
    guard estimate.peakByteCount > free.byteCount else { return nil }
    return MemoryShortage(
      estimate, free, try pipeline.change(of: inner, toFit: free.byteCount))
  }

  /// How much larger weights of 4 bits become as f32, and as much again.
  private static let mostExpansion = 16

  private static func named<Value: RawRepresentable>(
    _ name: String, _ part: String, _ known: [String]
  ) throws -> Value where Value.RawValue == String {
    guard let value = Value(rawValue: name) else {
      throw GenerationError(
        part, expected: "one of \(known.joined(separator: ", "))", found: "'\(name)'")
    }
    return value
  }

  /// Whether the model tells moods: if not, the default bundle does.
  public var tellsMoods: Bool {
    guard case .folder(let folder) = place else { return false }
    return folder.has("text_sentiment") && folder.has("image_sentiment")
  }

  /// Whether the default bundle is where it is looked for.
  public static var hasDefaultModel: Bool {
    access(BundleLocation.find("Default"), F_OK) == 0
  }

  /// The model's own sampler if another takes its place in a request; `nil` if none does.
  public func replacedSampler(_ request: GenerationRequest) throws -> String? {
    guard request.sampler == nil, let pipeline = stableDiffusion else { return nil }
    return try pipeline.replacedSampler()
  }

  /// The number of steps that the model was tuned for.
  public func defaultSteps() throws -> Int {
    if let pipeline = stableDiffusion { return try pipeline.defaults().steps }
    return try folder().configuration.integer("default_steps", in: 1...1000, fallback: 20)
  }

  /// The guidance that the model was tuned for.
  public func defaultGuidance() throws -> Float {
    if let pipeline = stableDiffusion { return try pipeline.defaults().guidance }
    return Float(try folder().configuration.number("default_guidance", fallback: 2.5))
  }

  /// Whether a prompt has more tokens than the model reads; the rest is left out.
  public func isCut(_ prompt: String) throws -> Bool {
    // The encoder of a pipeline of diffusers is loaded once, when it draws.
    if stableDiffusion != nil { return false }
    return try loadedEncoder().ids(prompt, limit: TextToImage.captionTokens + 1).count
      > TextToImage.captionTokens
  }

  // MARK: Moods

  /// The mood of a text.
  public func sentiment(of text: String) throws -> Sentiment { try sentiments(of: [text])[0] }

  /// The moods of texts, in order; faster together than one by one.
  public func sentiments(of texts: [String]) throws -> [Sentiment] {
    let reader = try textSentiment ?? loadedMoodReader()
    textSentiment = reader
    return try reader.moods(of: texts).map(Sentiment.init)
  }

  private func loadedMoodReader() throws -> any TextMoodReader {
    let folder = try folder()
    guard folder.layout == .pipeline else {
      return try TextClassification(folder, machine: machine)
    }
    return try TextSentiment(
      encoder: try loadedEncoder(), head: try folder.component("text_sentiment"), machine: machine)
  }

  /// The mood of a PNG file.
  public func sentiment(ofPictureAt path: String) throws -> Sentiment {
    try sentiment(of: GeneratedPicture(picture: try PNG.read(path: path)))
  }

  /// The mood of a picture.
  public func sentiment(of picture: GeneratedPicture) throws -> Sentiment {
    let pipeline =
      try imageSentiment
      ?? ImageSentiment(
        try folder().component("image_sentiment"), machine: machine)
    imageSentiment = pipeline
    return Sentiment(try pipeline.mood(of: picture.picture))
  }

  // MARK: Embeddings

  /// The embedding of a text, as the model's files say: with the default model the mean of its tokens' states,
  /// of length 1.
  public func embedding(of text: String) throws -> [Float] { try embeddings(of: [text])[0] }

  /// The embeddings of texts, in order; faster together than one by one.
  public func embeddings(of texts: [String]) throws -> [[Float]] {
    try loadedEncoder().embeddings(of: texts)
  }

  private func loadedEncoder() throws -> TextEncoder {
    if let encoder { return encoder }
    let folder = try folder()
    let place = folder.layout == .pipeline ? try folder.component("text_encoder") : folder
    let loaded = try TextEncoder(place, machine: machine)
    encoder = loaded
    return loaded
  }
}
