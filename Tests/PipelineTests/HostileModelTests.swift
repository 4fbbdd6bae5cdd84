import PipitFormats
import PipitPipelines
import PipitTensors
import PipitTokenizers
import Testing

/// A Stable Diffusion folder whose autoencoder says other things of itself.
private struct OtherAutoencoder: StableDiffusionModel {
  let folder: DiffusersFolder
  let changes: [String: JSONValue]

  var path: String { folder.path }
  var textFiles: [String]? { nil }
  func textEncoder() throws -> ModelPart { try folder.textEncoder() }
  func denoiser() throws -> ModelPart { try folder.denoiser() }
  func tinyAutoencoder() throws -> ModelPart? { nil }
  func scheduler() throws -> Configuration { try folder.scheduler() }

  func tokenizer(vocabularyCount: Int, tokenLimit: Int) throws -> (Tokenizer, Int) {
    try folder.tokenizer(vocabularyCount: vocabularyCount, tokenLimit: tokenLimit)
  }

  func autoencoder() throws -> ModelPart? {
    guard let part = try folder.autoencoder() else { return nil }
    var values = part.configuration.values
    for key in ["down_block_types", "up_block_types"] { values[key] = nil }
    for (key, value) in changes { values[key] = value }
    let configuration = Configuration(file: part.configuration.file, values: values)
    return try ModelPart(
      architecture: "AutoencoderKL", configuration: configuration, weights: part.weights)
  }
}

/// The tensors of another source, with one number in all of their places.
private struct ConstantWeights: WeightSource {
  let weights: any WeightSource
  let value: Float
  var names: [String] { weights.names }

  func weight(named name: String) throws -> Weight? {
    try weights.weight(named: name).map { weight in
      let values = [Float](repeating: value, count: weight.shape.count)
      return Weight(name: name, shape: weight.shape, values: values)
    }
  }
}

/// Models that are put together of parts that do not fit, or that compute no numbers: refused by name, before
/// anything is written where it does not belong.
@Suite struct HostileModelTests {
  private let goldens: String

  init() {
    let file = #filePath
    goldens = String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)]) + "/Goldens/"
  }

  private func expectRefusal(_ key: String, _ value: JSONValue, fromPicture: Bool = false) throws {
    let folder = try #require(DiffusersFolder(try ModelFolder(path: goldens + "sd-image")))
    let model = OtherAutoencoder(folder: folder, changes: [key: value])
    let pipeline = StableDiffusion(model, machine: try Machine(threadCount: 1))
    var request = StableDiffusionRequest()
    (request.prompt, request.steps, request.guidance) = ("a cat", 2, 1)
    (request.width, request.height) = (64, 64)
    if fromPicture {
      let pixels = [UInt8](repeating: 100, count: 3 * 64 * 64)
      request.image = Picture(width: 64, height: 64, pixels: pixels)
    }
    for attempt in ["draw", "plan"] {
      do {
        if attempt == "draw" { _ = try pipeline.draw(request) }
        if attempt == "plan" { _ = try pipeline.memoryPlan(request) }
        Issue.record("\(attempt): '\(key)' is taken")
      } catch let error as ConfigurationError {
        #expect(error.key == key, "\(error)")
      } catch {
        Issue.record("\(attempt), \(key): \(error)")
      }
    }
  }

  @Test func autoencodersMustFitThePipeline() throws {
    let levels: [JSONValue] = [.integer(8), .integer(8), .integer(8)]
    try expectRefusal("block_out_channels", .array(levels))
    try expectRefusal("out_channels", .integer(1))
    try expectRefusal("out_channels", .integer(4))
    try expectRefusal("latent_channels", .integer(8))
    // Only a picture to start from goes through the encoder.
    try expectRefusal("in_channels", .integer(1), fromPicture: true)
    try expectRefusal("in_channels", .integer(4), fromPicture: true)
  }

  @Test(arguments: [Float.nan, .infinity, 3e38])
  func outputsThatAreNoNumbersAreToldOf(value: Float) throws {
    let folder = try ModelFolder(path: goldens + "classifier-stars")
    let part = try ModelPart(folder)
    let broken = try ModelPart(
      architecture: part.architectureName, configuration: part.configuration,
      weights: ConstantWeights(weights: part.weights, value: value))
    let component = Component(broken, machine: try Machine(threadCount: 1))
    let program = try component.program("broken") {
      try component.architecture.graph(weights: component.weights, inputs: ["input_ids": [1, 4]])
    }
    let ids = try program.idInput("input_ids")
    for index in ids.indices { ids[index] = 1 }
    try program.run()
    do {
      _ = try component.finite("logits", of: program)
      Issue.record("\(value) became numbers")
    } catch let error as FormatError {
      #expect(error.part == "output 'logits'" && error.path == folder.configuration.file)
    }
  }

  @Test func oddNumbersAreFound() {
    let numbers: [Float] = [0, -0.0, .greatestFiniteMagnitude, -.greatestFiniteMagnitude, .leastNonzeroMagnitude, -1]
    numbers.withUnsafeBufferPointer { #expect($0.firstOddity == nil) }
    [Float]().withUnsafeBufferPointer { #expect($0.firstOddity == nil) }
    for odd in [Float.nan, -.nan, .infinity, -.infinity, .signalingNaN] {
      for place in 0...numbers.count {
        var numbers = numbers
        numbers.insert(odd, at: place)
        numbers.withUnsafeBufferPointer { #expect($0.firstOddity == place) }
      }
    }
  }
}
