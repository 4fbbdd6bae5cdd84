import PipitFormats
import PipitModels
package import PipitPipelines
import PipitRuntime
import PipitTensors

/// Runs a model, whatever it is, on material as its users would.
package struct ModelRun {
  private let machine: Machine
  private let material: Material

  /// Steps of a diffusion pipeline, fewer than for a picture that somebody wants to look at.
  private static let steps = 8
  /// Pictures that a pipeline draws.
  private static let pictureLimit = 8
  /// Texts that go through an encoder.
  private static let textLimit = 2000

  package init(machine: Machine, material: Material) {
    self.machine = machine
    self.material = material
  }

  private var texts: [String] {
    material.texts.isEmpty ? BuiltInTexts.all : Array(material.texts.prefix(ModelRun.textLimit))
  }

  private var pictures: [Picture] {
    material.pictures.isEmpty ? Material.builtIn.pictures : material.pictures
  }

  /// What the model makes of the material, each part of a pipeline by itself. `progress` is told how many of
  /// how many runs are done.
  func outcomes(_ model: StoredModel, progress: (Int, Int) throws -> Void = { _, _ in }) throws -> [Outcome] {
    switch model {
    case .folder(let folder): return try outcomes(folder, progress)
    case .checkpoint(let checkpoint): return try stableDiffusion(checkpoint, progress)
    case .weights(_, let folder?): return try outcomes(folder, progress)
    case .weights(let file, nil):
      throw FormatError(
        path: file.file.path, expected: "a model that can be run", found: "weights without settings")
    }
  }

  private func outcomes(
    _ folder: ModelFolder, _ progress: (Int, Int) throws -> Void
  ) throws -> [Outcome] {
    guard folder.layout == .pipeline else { return try component(folder, progress) }
    if let model = DiffusersFolder(folder) { return try stableDiffusion(model, progress) }
    return try pipeline(folder, progress)
  }

  // MARK: Pipelines

  private func stableDiffusion(
    _ model: any StableDiffusionModel, _ progress: (Int, Int) throws -> Void
  ) throws -> [Outcome] {
    let pipeline = StableDiffusion(model, machine: machine)
    let defaults = try pipeline.defaults()
    let prompts = texts.prefix(2)
    var images: [Image] = []
    for (index, prompt) in prompts.enumerated() {
      var request = StableDiffusionRequest()
      (request.prompt, request.seed) = (prompt, UInt64(index))
      (request.steps, request.guidance) = (min(defaults.steps, ModelRun.steps), defaults.guidance)
      (request.width, request.height) = (defaults.side, defaults.side)
      images += try pipeline.draw(request).map(Image.init)
      try progress(index + 1, prompts.count)
    }
    return [Outcome(part: "pictures", results: .images(images))]
  }

  private func pipeline(
    _ folder: ModelFolder, _ progress: (Int, Int) throws -> Void
  ) throws -> [Outcome] {
    let encoder = try TextEncoder(try folder.component("text_encoder"), machine: machine)
    var outcomes = [
      Outcome(part: "text_encoder", results: .embeddings(try encoder.embeddings(of: texts)))
    ]
    if folder.has("text_sentiment") {
      let reader = try TextSentiment(
        encoder: encoder, head: try folder.component("text_sentiment"), machine: machine)
      outcomes.append(
        Outcome(part: "text_sentiment", results: .moods(try reader.moods(of: texts))))
    }
    if folder.has("image_sentiment") {
      let reader = try ImageSentiment(try folder.component("image_sentiment"), machine: machine)
      let moods = try pictures.map { try reader.mood(of: $0) }
      outcomes.append(Outcome(part: "image_sentiment", results: .moods(moods)))
    }
    guard folder.has("denoiser"), folder.has("vae") else { return outcomes }
    let pipeline = TextToImage(folder, machine: machine)
    let prompts = Array(texts.prefix(ModelRun.pictureLimit))
    var images: [Image] = []
    for (index, prompt) in prompts.enumerated() {
      var request = TextToImageRequest()
      (request.prompt, request.seed) = (prompt, UInt64(index))
      request.steps = try folder.configuration.integer("default_steps", in: 1...1000, fallback: 20)
      let captions = try pipeline.captions(request, encoder: encoder)
      images += try pipeline.draw(request, captions: captions).map(Image.init)
      try progress(index + 1, prompts.count)
    }
    outcomes.append(Outcome(part: "pictures", results: .images(images)))
    return outcomes
  }

  // MARK: Components

  private func component(
    _ folder: ModelFolder, _ progress: (Int, Int) throws -> Void
  ) throws -> [Outcome] {
    let component = try Component(folder, machine: machine)
    let hasTokenizer = folder.hasTokenizer
    switch component.architecture {
    case .textTransformer where hasTokenizer, .clipText where hasTokenizer:
      try require("texts", !material.texts.isEmpty, folder)
      let encoder = try TextEncoder(folder, machine: machine)
      var embeddings: [[Float]] = []
      for begin in stride(from: 0, to: texts.count, by: TextEncoder.batch) {
        let end = min(begin + TextEncoder.batch, texts.count)
        embeddings += try encoder.embeddings(of: Array(texts[begin..<end]))
        try progress(end, texts.count)
      }
      return [Outcome(part: "", results: .embeddings(embeddings))]
    case .textClassifier where hasTokenizer:
      try require("texts", !material.texts.isEmpty, folder)
      let reader = try TextClassification(folder, machine: machine)
      return [Outcome(part: "", results: .moods(try reader.moods(of: texts)))]
    case .resNet, .mobileNetV2, .viT:
      guard folder.has("preprocessor_config.json") || folder.configuration.has("architecture")
      else { break }
      try require("pictures", !material.pictures.isEmpty, folder)
      let classifier = try ImageClassification(folder, machine: machine)
      let scores = try pictures.map { try classifier.logits(of: $0) }
      return [Outcome(part: "", results: .scores(scores))]
    case .autoencoder, .autoencoderTiny, .autoencoderKL:
      let isThere = !material.pictures.isEmpty || !material.arrays.isEmpty
      try require("pictures or arrays", isThere, folder)
    default: break
    }
    var run = ArrayRun(component, material: material, pictures: pictures)
    return try run.outcomes(progress)
  }
}

extension ModelRun {
  /// Throws where material was chosen, and holds nothing that the model reads.
  private func require(_ kind: String, _ isThere: Bool, _ folder: ModelFolder) throws {
    guard !isThere, !material.isEmpty else { return }
    throw FormatError(
      path: folder.path, part: "material", expected: "\(kind), which is what this model reads",
      found: "others alone")
  }
}

extension Image {
  /// The bytes of a picture as numbers from -1 to 1.
  init(_ picture: Picture) {
    let count = picture.width * picture.height
    let values = (0..<3 * count).map { Float(picture.pixels[3 * ($0 % count) + $0 / count]) / 127.5 - 1 }
    self.init(width: picture.width, height: picture.height, values: values)
  }

  /// A picture of its numbers, -1 ... 1, to be shown.
  var picture: Picture {
    let count = width * height
    let planes = channels >= 3 ? Array(values[..<(3 * count)]) : values + values + values
    return planes.prefix(3 * count).withContiguousStorageIfAvailable {
      Picture(channels: $0, width: width, height: height)
    } ?? Picture(width: width, height: height, pixels: [UInt8](repeating: 0, count: 3 * count))
  }
}
