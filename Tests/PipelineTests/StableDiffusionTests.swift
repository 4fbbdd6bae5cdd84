import PipitFormats
import PipitPipelines
import PipitTensors
import Testing

/// Small pipelines of Stable Diffusion's architecture against diffusers, from the same seed
/// (Goldens/make_stable_diffusion.py).
@Suite struct StableDiffusionTests {
  private let goldens: String

  init() {
    let file = #filePath
    goldens = String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)]) + "/Goldens/"
  }

  private func pipeline(_ name: String, threads: Int? = nil) throws -> StableDiffusion {
    let folder = try #require(DiffusersFolder(try ModelFolder(path: goldens + name)))
    return StableDiffusion(folder, machine: try Machine(threadCount: threads))
  }

  /// The reference's picture, `[height, width, 3]`.
  private func expected(_ name: String, _ picture: String) throws -> [UInt8] {
    let file = try Safetensors(path: goldens + name + "/golden.safetensors")
    let entry = try #require(file.entries[picture])
    return Array(file.bytes(of: entry))
  }

  /// Mean and greatest difference in levels of 255.
  private func difference(_ a: [UInt8], _ b: [UInt8]) -> (mean: Double, most: Int) {
    guard a.count == b.count, !a.isEmpty else { return (.infinity, .max) }
    let differences = zip(a, b).map { abs(Int($0) - Int($1)) }
    return (Double(differences.reduce(0, +)) / Double(a.count), differences.max() ?? 0)
  }

  private func check(
    _ name: String, _ request: StableDiffusionRequest, _ picture: String = "picture"
  ) throws {
    let wanted = try expected(name, picture)
    var first: [UInt8]?
    for threads in [1, 2] {
      let pictures = try pipeline(name, threads: threads).draw(request)
      let pixels = pictures[0].pixels
      let found = difference(pixels, wanted)
      #expect(found.mean <= 0.1, "\(name) on \(threads) threads: mean \(found.mean)")
      #expect(found.most <= 2, "\(name) on \(threads) threads: most \(found.most)")
      if let first { #expect(pixels == first) }
      first = pixels
    }
  }

  @Test func guidedPictureEqualsTheReference() throws {
    var request = StableDiffusionRequest()
    request.prompt = "the cat"
    request.negativePrompt = "a dog"
    (request.seed, request.steps, request.guidance) = (3, 8, 4)
    (request.width, request.height) = (64, 48)
    try check("sd-ddim", request)
  }

  @Test func oneStepOfATurboModelEqualsTheReference() throws {
    var request = StableDiffusionRequest()
    request.prompt = "the sea"
    (request.seed, request.steps, request.guidance) = (5, 1, 0)
    (request.width, request.height) = (64, 64)
    try check("sd-turbo", request)
    request.decoder = .tiny
    try check("sd-turbo", request, "tiny")
    let defaults = try pipeline("sd-turbo").defaults()
    #expect(defaults == (64, 1, 0))
  }

  @Test func imageToImageEqualsTheReference() throws {
    var request = StableDiffusionRequest()
    request.prompt = "the sea 猫"
    (request.seed, request.steps, request.guidance) = (7, 10, 3)
    (request.width, request.height) = (48, 64)
    request.image = try PNG.read(path: goldens + "sd-image/start.png")
    request.strength = 0.6
    try check("sd-image", request)
  }

  @Test func whatIsMissingIsNamed() throws {
    var request = StableDiffusionRequest()
    (request.width, request.height, request.decoder) = (64, 64, .tiny)
    (request.steps, request.guidance) = (1, 0)
    let pipeline = try pipeline("sd-ddim")
    #expect(throws: FormatError.self) { _ = try pipeline.draw(request) }
  }
}
