import Glibc
import PipitFormats
import PipitPipelines
import PipitTensors
import Testing

private let root: String = {
  var path = #filePath[...]
  for _ in 0..<3 { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
  return String(path)
}()
private let bundle = root + "/Models/Default"
private let goldens = root + "/Tests/PipelineTests/Goldens"

@Suite struct NoiseTests {
  /// The generator's words for key 0 and counter 0 are 6627e8d5 e169c58d bc57ac4c 9b00dbd8 (Random123's
  /// known answers); these are the normal numbers that Box and Muller's transform makes of them.
  @Test func knownAnswers() {
    var noise = GaussianNoise(seed: 0)
    let words: [UInt32] = [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
    let unit = words.map { (Double($0) + 0.5) / 4294967296 }
    var expected: [Float] = []
    for pair in [0, 2] {
      let radius = (-2 * log(unit[pair])).squareRoot()
      let angle = 2 * Double.pi * unit[pair + 1]
      expected += [Float(radius * cos(angle)), Float(radius * sin(angle))]
    }
    #expect(noise.next(4) == expected)
  }

  @Test func isNormal() {
    var noise = GaussianNoise(seed: 42, stream: 3)
    let numbers = noise.next(100_000).map(Double.init)
    let mean = numbers.reduce(0, +) / 1e5
    let variance = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 1e5
    #expect(abs(mean) < 0.02 && abs(variance - 1) < 0.02)
  }

  @Test func seedsAndStreamsDiffer() {
    var (a, b, c) = (GaussianNoise(seed: 1), GaussianNoise(seed: 2), GaussianNoise(seed: 1, stream: 1))
    let first = a.next(8)
    #expect(first != b.next(8) && first != c.next(8))
  }
}

@Suite struct SchedulerTests {
  private func configuration(shift: Double) -> Configuration {
    Configuration(
      file: "scheduler_config.json",
      values: ["num_train_timesteps": .integer(1000), "shift": .number(shift)])
  }

  /// `sigmas` of diffusers' FlowMatchEulerDiscreteScheduler(1000, shift) after set_timesteps(steps).
  @Test(arguments: [
    (1.0, 1, [Float(1), 0]), (1.0, 2, [1, 0.001, 0]),
    (1.0, 5, [1, 0.75025, 0.5005, 0.25075, 0.001, 0]),
    (3.0, 4, [1, 0.8576923, 0.6021506, 0.0089286, 0]),
  ])
  func equalsTheReference(shift: Double, steps: Int, expected: [Float]) throws {
    let scheduler = try FlowMatchEuler(configuration(shift: shift), steps: steps)
    #expect(scheduler.sigmas.count == steps + 1)
    for (found, expected) in zip(scheduler.sigmas, expected) { #expect(abs(found - expected) < 2e-6) }
    #expect(scheduler.timestep(0) == 1000)
  }

  @Test func refusesOtherSchedules() {
    let dynamic = Configuration(file: "s", values: ["use_dynamic_shifting": .bool(true)])
    #expect(throws: ConfigurationError.self) { try FlowMatchEuler(dynamic, steps: 4) }
    #expect(throws: ConfigurationError.self) { try FlowMatchEuler(configuration(shift: 0), steps: 4) }
  }
}

@Suite struct PreprocessorTests {
  private let settings: [String: JSONValue] = [
    "size": .object(["height": .integer(8), "width": .integer(8)]),
    "image_mean": .array([.number(0.5), .number(0.5), .number(0.5)]),
    "image_std": .array([.number(0.5), .number(0.5), .integer(1)]),
  ]

  @Test func aFlatPictureStaysFlat() throws {
    let preprocessor = try ImagePreprocessor(Configuration(file: "p", values: settings))
    for (width, height) in [(8, 8), (3, 50), (100, 1), (17, 16)] {
      let picture = Picture(
        width: width, height: height,
        pixels: (0..<width * height).flatMap { _ in [UInt8(255), 0, 51] })
      let planes = try preprocessor.apply(picture).pixels
      #expect(planes.count == 192)
      #expect(planes[..<64].allSatisfy { abs($0 - 1) < 1e-5 })
      #expect(planes[64..<128].allSatisfy { abs($0 + 1) < 1e-5 })
      #expect(planes[128...].allSatisfy { abs($0 + 0.3) < 1e-5 })
    }
  }

  /// Halving averages with a triangle four pixels wide: weights 1 3 3 1 over 8 away from the edges.
  @Test func shrinkingWeighsNeighbours() throws {
    let preprocessor = try ImagePreprocessor(Configuration(file: "p", values: settings))
    var pixels = [UInt8](repeating: 0, count: 3 * 16 * 16)
    for row in 0..<16 { pixels[3 * (row * 16 + 6)] = 255 }
    let planes = try preprocessor.apply(Picture(width: 16, height: 16, pixels: pixels)).pixels
    let red = planes[24..<32].map { ($0 * 0.5 + 0.5) * 8 }
    for (found, expected) in zip(red, [Float(0), 0, 1, 3, 0, 0, 0, 0]) {
      // Between the passes there are bytes.
      #expect(abs(found - expected) <= 8 * 0.5 / 255 + 1e-4)
    }
  }

  @Test func refusesBrokenSettings() {
    for key in ["size", "image_mean", "image_std"] {
      var broken = settings
      broken[key] = .string("x")
      #expect(throws: ConfigurationError.self) {
        try ImagePreprocessor(Configuration(file: "p", values: broken))
      }
    }
  }
}

@Suite(.serialized) struct ChainTests {
  /// A sum in another order may round to another integer, and that one on to others.
  @Test(arguments: [false, true])
  func batchesGiveWhatSingleTextsGive(multipliesIntegers: Bool) throws {
    let machine = try Machine(threadCount: 2, multipliesIntegers: multipliesIntegers)
    let folder = try ModelFolder(path: bundle)
    let sentiment = TextSentiment.self
    let encoder = try TextEncoder(try folder.component("text_encoder"), machine: machine)
    let pipeline = try sentiment.init(
      encoder: encoder, head: try folder.component("text_sentiment"), machine: machine)
    let texts = [
      "wonderful", "a red car", "", "the worst film I have seen in years, a complete waste of time",
      "这家餐厅太差了", "很好吃", "x", "two books", "it is raining", "great!",
    ]
    let together = try pipeline.moods(of: texts)
    for (text, mood) in zip(texts, together) {
      let alone = try pipeline.mood(of: text)
      #expect(abs(alone.score - mood.score) < (multipliesIntegers ? 0.05 : 1e-4), "'\(text)'")
      #expect(alone.label == mood.label)
    }
  }

  /// The whole chain from the same noise as PyTorch's: mean error below 0.5 of 255 in f32, and not much more with
  /// products of integers.
  @Test(
    .enabled(if: access(goldens + "/chain.safetensors", F_OK) == 0, "no golden of the chain"),
    arguments: [(false, 0.5), (true, 8)])
  func thePictureEqualsTheReference(multipliesIntegers: Bool, tolerance: Double) throws {
    let golden = try Safetensors(path: goldens + "/chain.safetensors")
    let noise = golden.bytes(of: try #require(golden.entries["noise"]))
    let pixels = golden.bytes(of: try #require(golden.entries["pixels"]))
    let machine = try Machine(threadCount: 2, multipliesIntegers: multipliesIntegers)
    let folder = try ModelFolder(path: bundle)
    var request = TextToImageRequest()
    request.prompt = try #require(golden.metadata["prompt"])
    request.steps = try #require(golden.metadata["steps"].flatMap { Int($0) })
    request.guidance = try #require(golden.metadata["guidance"].flatMap { Float($0) })
    let pipeline = TextToImage(folder, machine: machine)
    let captions = try pipeline.captions(
      request, encoder: TextEncoder(try folder.component("text_encoder"), machine: machine))
    let start = (0..<noise.count / 4).map {
      noise.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
    }
    let picture = try pipeline.draw(request, captions: captions, noise: [start])[0]
    #expect(picture.pixels.count == pixels.count)
    let total = zip(picture.pixels, pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    #expect(Double(total) / Double(pixels.count) < tolerance)
  }
}
