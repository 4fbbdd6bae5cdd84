import PipitFormats
import PipitPipelines

/// What to draw, and how.
public struct GenerationRequest: Sendable {
  /// What the picture shows, English or Chinese.
  public var prompt: String
  /// What it should not show.
  public var negativePrompt = ""
  /// The same seed gives the same picture.
  public var seed: UInt64 = 0
  /// How many pictures, each from noise of its own.
  public var count = 1
  /// Denoising steps; the model's own number if left out.
  public var steps: Int?
  /// How strictly the prompt is followed; the model's own number if left out.
  public var guidance: Float?
  /// A mood that pulls the picture, if any.
  public var mood: PictureMood?
  /// For models that draw any size: pixels, multiples of 8; the model's own size if left out.
  public var width: Int?
  public var height: Int?
  /// One of `GenerationRequest.samplers`; the model's own if left out.
  public var sampler: String?
  /// One of `GenerationRequest.noiseGenerators`: whose noise a seed gives.
  public var noiseGenerator = "torch"
  /// One of `GenerationRequest.decoders`.
  public var decoder = "auto"
  /// A picture to start from, and how much of it may change, above 0 to 1.
  public var startPicture: GeneratedPicture?
  public var strength = 0.8

  public static let samplers = SamplerName.allCases.map(\.rawValue)
  public static let noiseGenerators = NoiseGenerator.allCases.map(\.rawValue)
  public static let decoders = StableDiffusionRequest.Decoder.allCases.map(\.rawValue)

  public init(prompt: String) { self.prompt = prompt }
}

/// What a Stable Diffusion checkpoint in one file does not say of itself.
public struct CheckpointOptions: Hashable, Sendable {
  /// The folder of the tokenizer's files; looked for beside the file if left out.
  public var tokenizer: String?
  /// A folder as diffusers saves it, whose settings and tokenizer are taken; shapes tell if left out.
  public var settings: String?
  /// What the denoiser predicts; the file's own word if left out.
  public var prediction: Prediction?

  public enum Prediction: String, CaseIterable, Sendable {
    case epsilon, v
  }

  public init() {}

  var inner: OriginalCheckpoint.Options {
    var options = OriginalCheckpoint.Options()
    options.tokenizer = tokenizer
    options.settings = settings
    options.isVPrediction = prediction.map { $0 == .v }
    return options
  }
}

/// A request that a model cannot fulfil.
public struct GenerationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What, what was expected and what was found, in one line.
  public let description: String

  init(_ part: String, expected: String, found: String) {
    description = "\(part): expected \(expected), found \(found)"
  }
}

/// A mood to give a picture.
public enum PictureMood: String, Sendable, CaseIterable {
  case positive, neutral, negative

  /// A prompt with the mood in it, in the prompt's language; `nil` for neutral, which changes nothing.
  func prompt(_ prompt: String) -> String? {
    let isChinese = prompt.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) }
    return switch self {
    case .positive: prompt + (isChinese ? "，开心微笑" : ", happy, smiling")
    case .neutral: nil
    case .negative: prompt + (isChinese ? "，悲伤哭泣" : ", sad, crying")
    }
  }
}

/// What is to happen after a step.
public enum GenerationControl: Sendable {
  case goOn
  /// Nothing more: `generate` throws `GenerationCancelled`.
  case cancel
  /// No more steps: what the last one says the picture will be is decoded, and returned with those that
  /// are done. Before there is any, it is as `cancel`.
  case finish

  var verdict: GenerationWatch.Verdict {
    switch self {
    case .goOn: .goOn
    case .cancel: .stop
    case .finish: .finish
    }
  }
}

/// Whoever asked for pictures did not want them any more.
public struct GenerationCancelled: Error, Hashable, Sendable, CustomStringConvertible {
  /// Steps done and in all.
  public let step: Int
  public let count: Int

  public init(step: Int, count: Int) {
    self.step = step
    self.count = count
  }

  public var description: String { "cancelled after step \(step) of \(count)" }
}

/// How far a generation has come.
public struct GenerationProgress: Sendable {
  /// "denoising" or "decoding".
  public let stage: String
  /// Units done and in all, within the stage.
  public let done: Int
  public let total: Int

  init(_ progress: GenerationWatch.Progress) {
    switch progress {
    case .step(let step, let count): (stage, done, total) = ("denoising", step, count)
    case .decoding(let picture, let count): (stage, done, total) = ("decoding", picture, count)
    }
  }
}

/// How long a part of a generation took.
public struct StageTime: Hashable, Sendable, Encodable {
  public let name: String
  public let seconds: Double
}

/// A picture in memory: rows of red, green and blue bytes.
public struct GeneratedPicture: Hashable, Sendable {
  let picture: Picture

  public var width: Int { picture.width }
  public var height: Int { picture.height }
  /// `height * width * 3` bytes.
  public var pixels: [UInt8] { picture.pixels }

  init(picture: Picture) { self.picture = picture }

  /// The picture of a PNG file.
  public init(pngAt path: String) throws { picture = try PNG.read(path: path) }

  /// The picture with other sides (bicubic, as Pillow resamples); a side that is left out stays.
  public func resized(width: Int?, height: Int?) -> GeneratedPicture {
    GeneratedPicture(
      picture: Resampling.bicubic.apply(
        picture, width: width ?? self.width, height: height ?? self.height))
  }

  /// Several pictures of one size side by side, `columns` in a row, on white with a margin between them.
  public init(grid pictures: [GeneratedPicture], columns: Int, margin: Int = 4) {
    precondition(!pictures.isEmpty && columns > 0)
    let (width, height) = (pictures[0].width, pictures[0].height)
    precondition(pictures.allSatisfy { $0.width == width && $0.height == height })
    let rows = (pictures.count + columns - 1) / columns
    let totalWidth = columns * (width + margin) + margin
    let totalHeight = rows * (height + margin) + margin
    var pixels = [UInt8](repeating: 255, count: 3 * totalWidth * totalHeight)
    for (index, picture) in pictures.enumerated() {
      let left = margin + index % columns * (width + margin)
      let top = margin + index / columns * (height + margin)
      for row in 0..<height {
        let source = 3 * row * width
        let target = 3 * ((top + row) * totalWidth + left)
        pixels.replaceSubrange(
          target..<target + 3 * width, with: picture.pixels[source..<source + 3 * width])
      }
    }
    self.init(picture: Picture(width: totalWidth, height: totalHeight, pixels: pixels))
  }

  /// Writes a PNG file, whole or not at all, with texts kept in it in this order.
  public func writePNG(to path: String, texts: [(key: String, value: String)] = []) throws {
    try PNG.write(picture, texts: texts.map { PNGText(key: $0.key, value: $0.value) }, to: path)
  }
}

/// The mood of a text or a picture.
public struct Sentiment: Hashable, Sendable {
  /// The model's name of the likeliest class: "negative", "neutral" or "positive" with the default model.
  public let label: String
  /// -1 (negative) to 1 (positive).
  public let score: Float
  /// The probability of the label, 0 to 1.
  public let confidence: Float

  init(_ mood: Mood) {
    label = mood.label
    score = mood.score
    confidence = mood.confidence
  }
}
