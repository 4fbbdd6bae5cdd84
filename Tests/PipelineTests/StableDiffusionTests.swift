import Glibc
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
    try check("sd-ddim", guided)
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

  private var guided: StableDiffusionRequest {
    var request = StableDiffusionRequest()
    request.prompt = "the cat"
    request.negativePrompt = "a dog"
    (request.seed, request.steps, request.guidance) = (3, 8, 4)
    (request.width, request.height) = (64, 48)
    return request
  }

  @Test func cachedPromptsGiveTheSamePicture() throws {
    var template = Array("/tmp/pipit-prompts-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
      for name in (try? names(folder)) ?? [] { unlink(folder + "/" + name) }
      rmdir(folder)
    }
    let plain = try pipeline("sd-ddim").draw(guided)[0]
    let pipeline = try pipeline("sd-ddim")
    pipeline.promptCache = PromptCache(folder: folder)
    // One of the two texts is known already, computed alone.
    var alone = guided
    (alone.guidance, alone.steps) = (1, 1)
    _ = try pipeline.draw(alone)
    #expect(try names(folder).count == 1)
    for _ in 0..<2 { #expect(try pipeline.draw(guided)[0] == plain) }
    #expect(try names(folder).count == 2)
    // Another model's states are others.
    let other = try self.pipeline("sd-image")
    other.promptCache = pipeline.promptCache
    _ = try other.draw(alone)
    #expect(try names(folder).count == 3)
  }

  private func names(_ folder: String) throws -> [String] {
    let stream = try #require(opendir(folder))
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }

  @Test func previewsShowTheWay() throws {
    var previews: [Picture] = []
    var places: [Int] = []
    let watch = GenerationWatch(preview: { previews.append($0) }) { progress in
      if case .step(let step, let count) = progress { places.append(100 * step + count) }
      return .goOn
    }
    let picture = try pipeline("sd-ddim").draw(guided, watch: watch)[0]
    #expect(places == (0..<8).map { 100 * $0 + 8 })
    #expect(previews.count == 8 && previews[0] != previews[7])
    #expect(previews.allSatisfy { $0.width == 64 && $0.height == 48 })
    #expect(try pipeline("sd-ddim").draw(guided)[0] == picture)
  }

  @Test func aPreviewIsASumOfChannels() {
    // Latents of one pixel each, in channel order.
    let latents: [Float] = [1, 0, 0, 0, 0.5, 0, 0, -2]
    let picture = LatentPreview.picture(latents, width: 2, height: 1)
    #expect(picture.width == 16 && picture.height == 8)
    let first: [UInt8] = Array(picture.pixels[..<3])
    let last: [UInt8] = Array(picture.pixels[45..<48])
    let expectedFirst: [Float] = [0.298 - 0.079, 0.207 + 0.0945, 0.208 + 0.132]
    let expectedLast: [Float] = [0.368, 0.542, 0.946]
    for colour in 0..<3 {
      #expect(first[colour] == UInt8(((expectedFirst[colour] + 1) * 127.5).rounded()))
      #expect(last[colour] == UInt8(((expectedLast[colour] + 1) * 127.5).rounded()))
    }
    let broken = LatentPreview.picture([.nan, .infinity, -.infinity, 0], width: 1, height: 1)
    #expect(broken.pixels.count == 3 * 64)
  }

  @Test func stoppingIsBetweenSteps() throws {
    let pipeline = try pipeline("sd-ddim")
    func watch(_ verdict: GenerationWatch.Verdict, at place: Int) -> GenerationWatch {
      GenerationWatch { progress in
        if case .step(let step, _) = progress, step >= place { return verdict }
        return .goOn
      }
    }
    #expect(throws: GenerationStopped(step: 5, count: 8)) {
      _ = try pipeline.draw(guided, watch: watch(.stop, at: 5))
    }
    // Before the first step there is nothing to finish.
    #expect(throws: GenerationStopped(step: 0, count: 8)) {
      _ = try pipeline.draw(guided, watch: watch(.finish, at: 0))
    }
    #expect(try pipeline.draw(guided, watch: watch(.finish, at: 5)).count == 1)
    var several = guided
    several.count = 3
    let whole = try pipeline.draw(several)
    let some = try pipeline.draw(several, watch: watch(.finish, at: 8))
    #expect(some == [whole[0]])
    #expect(try pipeline.draw(several, watch: watch(.finish, at: 18)).count == 3)
    let decoding = GenerationWatch { progress in
      if case .decoding = progress { .stop } else { .goOn }
    }
    #expect(throws: GenerationStopped(step: 8, count: 8)) {
      _ = try pipeline.draw(guided, watch: decoding)
    }
  }

  @Test func whatIsMissingIsNamed() throws {
    var request = StableDiffusionRequest()
    (request.width, request.height, request.decoder) = (64, 64, .tiny)
    (request.steps, request.guidance) = (1, 0)
    let pipeline = try pipeline("sd-ddim")
    #expect(throws: FormatError.self) { _ = try pipeline.draw(request) }
  }
}
