import Glibc
import PipitFormats
import PipitModels
import PipitPipelines
import PipitTensors
import Testing

/// Checkpoints in one file with the names of the original repository (Goldens/make_original.py).
@Suite struct OriginalCheckpointTests {
  private let goldens: String

  init() {
    let file = #filePath
    goldens = String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)]) + "/Goldens/"
  }

  private func options(_ folder: String) -> OriginalCheckpoint.Options {
    var options = OriginalCheckpoint.Options()
    options.settings = goldens + folder
    return options
  }

  // MARK: Pictures

  private func check(
    _ name: String, _ folder: String, _ request: StableDiffusionRequest
  ) throws {
    let model = try OriginalCheckpoint(
      path: goldens + "original-\(name).safetensors", options: options(folder))
    let pixels = try StableDiffusion(model, machine: try Machine()).draw(request)[0].pixels
    let file = try Safetensors(path: goldens + "golden-original.safetensors")
    let wanted: [UInt8] = Array(file.bytes(of: try #require(file.entries[name])))
    #expect(pixels.count == wanted.count)
    let differences: [Int] = zip(pixels, wanted).map { abs(Int($0) - Int($1)) }
    #expect(Double(differences.reduce(0, +)) / Double(wanted.count) <= 0.1)
    #expect((differences.max() ?? 0) <= 2)
  }

  @Test func theFirstLayoutDrawsTheReferencesPicture() throws {
    var request = StableDiffusionRequest()
    request.prompt = "the cat"
    request.negativePrompt = "a dog"
    (request.seed, request.steps, request.guidance) = (3, 8, 4)
    (request.width, request.height) = (64, 48)
    try check("1", "sd-ddim", request)
  }

  @Test func theSecondLayoutDrawsTheReferencesPicture() throws {
    var request = StableDiffusionRequest()
    request.prompt = "the sea"
    (request.seed, request.steps, request.guidance) = (5, 1, 0)
    (request.width, request.height) = (64, 64)
    try check("2", "sd-turbo", request)
  }

  // MARK: Components

  private func outputs(
    _ part: ModelPart, _ inputs: [String: NpyArray], _ name: String
  ) throws -> [Float] {
    let results = try ComponentRun.run(
      part, inputs: inputs, outputs: [name], machine: try Machine())
    return try #require(results[name]).values
  }

  @Test func eachComponentComputesWhatTheFoldersDoes() throws {
    let file = try OriginalCheckpoint(
      path: goldens + "original-1.safetensors", options: options("sd-ddim"))
    let folder = try ModelFolder(path: goldens + "sd-ddim")
    func floats(_ shape: Shape) -> NpyArray {
      let values: [Float] = (0..<shape.count).map { Float($0 * 37 % 64) / 32 - 1 }
      return NpyArray(shape: shape, values: .floats(values))
    }
    let ids = NpyArray(shape: [1, 4], values: .integers([1, 2, 3, 4]))
    let time = NpyArray(shape: [1], values: .integers([7]))
    let latents = floats([1, 4, 8, 6])
    let cases: [(String, [String: NpyArray], String)] = [
      ("text_encoder", ["input_ids": ids], "last_hidden_state"),
      (
        "unet", ["sample": latents, "timestep": time, "encoder_hidden_states": floats([1, 4, 16])],
        "out_sample"
      ),
      ("vae", ["latent_sample": latents], "sample"),
      ("vae", ["sample": floats([1, 3, 16, 8])], "latent_parameters"),
    ]
    for (name, inputs, output) in cases {
      let found = try outputs(try file.part(named: name), inputs, output)
      let wanted = try outputs(try ModelPart(folder.component(name)), inputs, output)
      var error = 0.0
      var norm = 0.0
      for (a, b) in zip(found, wanted) {
        error += Double((a - b) * (a - b))
        norm += Double(b * b)
      }
      // The file's numbers are halves.
      #expect(found.count == wanted.count && error.squareRoot() <= 5e-3 * norm.squareRoot(), "\(name)")
    }
    #expect(throws: FormatError.self) { try file.part(named: "taesd") }
  }

  // MARK: Full-size checkpoints, without weights

  private func shapes(_ name: String) throws -> [String: Shape] {
    let all = try JSON.configuration(path: goldens + "original-shapes.json")
    let one = try #require(try all.object(name))
    var shapes: [String: Shape] = [:]
    for key in one.values.keys { shapes[key] = Shape(try one.integers(key, in: 0...1_000_000)) }
    return shapes
  }

  /// Calls `body` with a file of tensors of these shapes, f16 zeros that take no place on the disk.
  private func withFile(
    _ shapes: [String: Shape], metadata: String = "", _ body: (String) throws -> Void
  ) throws {
    var template = Array("/tmp/pipit-original-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let path = folder + "/model.safetensors"
    defer {
      unlink(path)
      rmdir(folder)
    }
    var header = "{" + (metadata.isEmpty ? "" : "\"__metadata__\":{\(metadata)},")
    var end = 0
    for (name, shape) in shapes.sorted(by: { $0.key < $1.key }) {
      let next = end + 2 * shape.count
      let extents: String = shape.extents.map { "\($0)" }.joined(separator: ",")
      header += "\"\(name)\":{\"dtype\":\"F16\",\"shape\":[\(extents)],"
      header += "\"data_offsets\":[\(end),\(next)]},"
      end = next
    }
    header.removeLast()
    header += "}"
    let file = try #require(fopen(path, "w"))
    var count = UInt64(header.utf8.count).littleEndian
    fwrite(&count, 8, 1, file)
    fputs(header, file)
    fflush(file)
    #expect(ftruncate(fileno(file), 8 + header.utf8.count + end) == 0)
    fclose(file)
    try body(path)
  }

  private func denoiser(_ model: OriginalCheckpoint) throws -> UNet2DConditionConfiguration {
    guard case .unet2DCondition(let unet) = try model.denoiser().architecture else {
      throw GenerationStopped(step: 0, count: 0)
    }
    return unet.configuration
  }

  @Test func shapesTellTheSettingsOfTheFirst() throws {
    try withFile(try shapes("1")) { path in
      let model = try OriginalCheckpoint(path: path)
      let unet = try denoiser(model)
      #expect(unet.widths == [320, 640, 1280, 1280])
      #expect(unet.blocksPerLevel == [2, 2, 2, 2])
      #expect(unet.heads == [8, 8, 8, 8])
      #expect(unet.contextWidths == [768, 768, 768, 768])
      #expect(unet.hasAttentionDown == [true, true, true, false])
      #expect(unet.sampleSize == [64, 64])
      try planEverything(model)
      #expect(try model.scheduler().string("prediction_type") == "epsilon")
    }
  }

  @Test func shapesTellTheSettingsOfTheSecond() throws {
    let shapes = try shapes("2")
    try withFile(shapes, metadata: "\"modelspec.prediction_type\":\"v\"") { path in
      let model = try OriginalCheckpoint(path: path)
      let unet = try denoiser(model)
      #expect(unet.heads == [5, 10, 20, 20])
      #expect(unet.contextWidths == [1024, 1024, 1024, 1024])
      #expect(unet.sampleSize == [96, 96])
      guard case .clipText(let clip) = try model.textEncoder().architecture else {
        Issue.record("no text encoder")
        return
      }
      // All but the last of 24.
      #expect(clip.layerCount == 23 && clip.layer.heads == 16 && clip.tokenLimit == 77)
      #expect(clip.layer.activation == .gelu)
      try planEverything(model)
      #expect(try model.scheduler().string("prediction_type") == "v_prediction")
    }
    // No shape tells what it predicts.
    try withFile(shapes) { path in
      #expect(throws: FormatError.self) { try OriginalCheckpoint(path: path) }
      var options = OriginalCheckpoint.Options()
      options.isVPrediction = false
      let model = try OriginalCheckpoint(path: path, options: options)
      #expect(try denoiser(model).sampleSize == [64, 64])
    }
  }

  /// Builds every graph, which asks for every tensor by name and shape.
  private func planEverything(_ model: OriginalCheckpoint) throws {
    var request = StableDiffusionRequest()
    request.image = Picture(
      width: 64, height: 64, pixels: [UInt8](repeating: 0, count: 3 * 64 * 64))
    (request.width, request.height) = (64, 64)
    let plan = try StableDiffusion(model, machine: try Machine()).memoryPlan(request)
    // Nearly all of it are the denoiser's halves as they lie in the file.
    #expect(plan.stages.count == 5)
    #expect((1_700_000_000..<2_100_000_000).contains(plan.peak))
  }

  // MARK: What is not right

  private func error(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  @Test func whatIsMissingIsNamed() throws {
    let all = try shapes("1")
    try withFile(all) { path in
      let model = try OriginalCheckpoint(path: path)
      let found = error { _ = try model.tokenizer(vocabularyCount: 49408, tokenLimit: 77) }
      #expect(found.contains("--tokenizer"), "\(found)")
    }
    try withFile(all.filter { !$0.key.hasPrefix("first_stage_model.") }) { path in
      let pipeline = StableDiffusion(try OriginalCheckpoint(path: path), machine: try Machine())
      let found = error { _ = try pipeline.memoryPlan() }
      #expect(found.contains("decoder"), "\(found)")
    }
    try withFile(all.filter { !$0.key.hasPrefix("cond_stage_model.") }) { path in
      let model = try OriginalCheckpoint(path: path)
      let found = error { _ = try model.textEncoder() }
      #expect(found.contains("cond_stage_model."), "\(found)")
    }
    let lost = "model.diffusion_model.output_blocks.5.1.proj_out.weight"
    try withFile(all.filter { $0.key != lost }) { path in
      let pipeline = StableDiffusion(try OriginalCheckpoint(path: path), machine: try Machine())
      let found = error { _ = try pipeline.memoryPlan() }
      #expect(found.contains("up_blocks.1.attentions.2.proj_out"), "\(found)")
    }
  }

  @Test func otherFilesAreRefused() throws {
    #expect(error { _ = try OriginalCheckpoint(path: "/x/model.ckpt") }.contains("pickle"))
    try withFile(["conditioner.embedders.0.x": [1]]) { path in
      let found = error { _ = try OriginalCheckpoint(path: path) }
      #expect(found.contains("Stable Diffusion XL"), "\(found)")
    }
    try withFile(["embeddings.weight": [3, 4]]) { path in
      #expect(throws: FormatError.self) { try OriginalCheckpoint(path: path) }
    }
    // A stacked projection that cannot be cut in three, and one that is a number.
    for shape: Shape in [[3071, 1024], []] {
      var shapes = try shapes("2")
      shapes["cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"] = shape
      try withFile(shapes, metadata: "\"modelspec.prediction_type\":\"v\"") { path in
        let pipeline = StableDiffusion(try OriginalCheckpoint(path: path), machine: try Machine())
        #expect(throws: FormatError.self) { _ = try pipeline.memoryPlan() }
      }
    }
  }

  /// Names alone must not make the reader fall: every tensor of another shape, one at a time for a few.
  @Test func wrongShapesAreErrors() throws {
    let all = try shapes("1")
    let names = all.keys.sorted()
    for index in stride(from: 0, to: names.count, by: 97) {
      var shapes = all
      shapes[names[index]] = [7]
      try withFile(shapes) { path in
        let found = error {
          let model = try OriginalCheckpoint(path: path)
          try planEverything(model)
        }
        #expect(!found.isEmpty, "\(names[index])")
      }
    }
  }
}
