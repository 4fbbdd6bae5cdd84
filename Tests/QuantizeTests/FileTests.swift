import Glibc
import PipitFormats
import PipitPipelines
import PipitQuantize
import PipitTensors
import TestSupport
import Testing

/// Models in one file: what is made of them is one file too, and says itself how it is to be computed.
@Suite struct FileTests {
  private let pipelines = goldens + "/../../PipelineTests/Goldens/"

  private func quantize(
    _ input: String, to output: String?, _ scheme: String = "w8a8", keep: String? = nil,
    options: OriginalCheckpoint.Options = OriginalCheckpoint.Options(), force: Bool = false
  ) throws -> QuantizationReport {
    var request = QuantizationRequest()
    request.scheme = StorageScheme(scheme, group: 32) ?? .keep
    if let keep { request.rules = [try StorageRule(pattern: keep, scheme: .keep, text: keep)] }
    let model = try StoredModel(path: input, options: options)
    let job = QuantizationJob(model, request: request, machine: try Machine(threadCount: 1))
    return try job.quantize(to: output, force: force)
  }

  /// A file of two matrices and a vector, with a word about itself.
  private func file() throws -> TestFolder {
    let folder = TestFolder()
    let tensors: [String: ([Int], [Float])] = [
      "a.weight": ([32, 64], randoms(2048, seed: 1)), "b.weight": ([64, 32], randoms(2048, seed: 2)),
      "a.bias": ([32], randoms(32, seed: 3)),
    ]
    let plan = SafetensorsPlan(
      tensors.map { .init(name: $0.key, elementType: .f32, shape: Shape($0.value.0)) },
      metadata: ["modelspec.title": "a title"])
    try plan.write(to: folder.path + "/in.safetensors") { writer in
      for (name, tensor) in tensors { try writer.append(tensor.1, to: name) }
    }
    return folder
  }

  @Test func filesBecomeFilesThatSayHowTheyAreComputed() throws {
    let folder = try file()
    let output = folder.path + "/out.safetensors"
    let report = try quantize(folder.path + "/in.safetensors", to: output, keep: "^b")
    #expect(report.rows.map(\.name).sorted() == ["a.bias", "a.weight", "b.weight"])
    let file = try Safetensors(path: output)
    #expect(file.metadata["modelspec.title"] == "a title")
    #expect(report.bytes_after == file.file.bytes.count)
    let weights = try WeightFolder(file: file)
    let a = try #require(try weights.weight(named: "a.weight"))
    #expect(a.isIntegers && a.activations == .dynamicPerToken)
    #expect(try #require(try weights.weight(named: "b.weight")).activations == .float)
    #expect(TestFolder.names(folder.path) == ["in.safetensors", "out.safetensors"])
    // The same in a component's folder whose settings say nothing of it.
    folder.makeFolder("component")
    try folder.write("component/config.json", "{}")
    rename(output, folder.path + "/component/model.safetensors")
    let component = try WeightFolder(path: folder.path + "/component")
    #expect(try component.weight(named: "a.weight")?.activations == .dynamicPerToken)
    // What the settings say comes first.
    try folder.write(
      "component/config.json",
      #"{"quantization_config": {"config_groups": {"group_0": {"targets": ["a"]}}}}"#)
    let told = try WeightFolder(path: folder.path + "/component")
    #expect(try told.weight(named: "a.weight")?.activations == .float)
  }

  @Test func otherFilesAreSafe() throws {
    let folder = try file()
    let input = folder.path + "/in.safetensors"
    let before = try floats(input)
    symlink(input, folder.path + "/link.safetensors")
    for output in [input, folder.path + "/link.safetensors"] {
      #expect(message { try quantize(input, to: output, force: true) }.contains("the same one"))
    }
    folder.makeFolder("there")
    #expect(message { try quantize(input, to: folder.path + "/there") }.contains("a folder"))
    try folder.write("mine.safetensors", "x")
    let mine = folder.path + "/mine.safetensors"
    #expect(message { try quantize(input, to: mine) }.contains("--force"))
    #expect(text(mine) == "x")
    #expect(try quantize(input, to: mine, force: true).rows.count == 3)
    #expect(message { try quantize(mine, to: input + "2") }.contains("not quantized yet"))
    #expect(message { try quantize(input, to: input + "2", keep: "none") }.contains("matches no matrix"))
    #expect(message { try quantize(folder.path + "/model.ckpt", to: nil) }.contains("model.ckpt"))
    #expect(try floats(input) == before)
    let names = ["in.safetensors", "link.safetensors", "mine.safetensors", "there"]
    #expect(TestFolder.names(folder.path) == names)
  }

  @Test(arguments: ["\"", "[1]", "{\"config_groups\":3}", "{\"config_groups\":{\"a\":{\"targets\":[\"re:(\"]}}}"])
  func metadataOfAnyKindIsReadOrNamed(words: String) throws {
    let folder = TestFolder()
    let plan = SafetensorsPlan(
      [.init(name: "a.weight", elementType: .f32, shape: [1, 1])],
      metadata: ["quantization_config": words])
    let path = folder.path + "/a.safetensors"
    try plan.write(to: path) { try $0.append([Float(1)], to: "a.weight") }
    let file = try Safetensors(path: path)
    let found = message { try WeightFolder(file: file) }
    #expect(found.contains("a.safetensors") && found.contains("expected"))
  }

  // MARK: Checkpoints of pipelines

  private func checkpoint(
    _ name: String, _ settings: String
  ) -> (path: String, options: OriginalCheckpoint.Options) {
    var options = OriginalCheckpoint.Options()
    options.settings = pipelines + settings
    return (pipelines + "original-\(name).safetensors", options)
  }

  @Test(arguments: ["w8a8", "w4"]) func checkpointsAreReadAsTheyWere(scheme: String) throws {
    let folder = TestFolder()
    for (name, settings) in [("1", "sd-ddim"), ("2", "sd-turbo")] {
      let (path, options) = checkpoint(name, settings)
      let output = folder.path + "/\(name).safetensors"
      _ = try quantize(path, to: output, scheme, options: options)
      let before = try OriginalCheckpoint(path: path, options: options)
      let after = try OriginalCheckpoint(path: output, options: options)
      for part in OriginalCheckpoint.partNames {
        let (old, new) = (try before.part(named: part), try after.part(named: part))
        #expect(old.architectureName == new.architectureName)
        #expect(old.weights.names.sorted() == new.weights.names.sorted())
      }
      try compare(before, after)
    }
  }

  /// Queries, keys and values, which one of the layouts stacks, are the same numbers but for rounding.
  private func compare(_ before: OriginalCheckpoint, _ after: OriginalCheckpoint) throws {
    let (old, new) = (try before.textEncoder().weights, try after.textEncoder().weights)
    for layer in ["q_proj", "k_proj", "v_proj"] {
      let name = "text_model.encoder.layers.0.self_attn.\(layer).weight"
      let float = try #require(try old.weight(named: name))
      let integer = try #require(try new.weight(named: name))
      #expect(integer.shape == float.shape)
      let values = float.floats()
      let largest: Float = values.reduce(0) { max($0, abs($1)) }
      let error = maxError(integer.floats(), values)
      // Matrices of fewer than 1024 numbers stay as they are.
      #expect(error <= (integer.isIntegers ? 0.08 : 0) * largest, "\(name)")
    }
  }

  @Test func checkpointsDrawNearlyTheSame() throws {
    let folder = TestFolder()
    let (path, options) = checkpoint("2", "sd-turbo")
    let output = folder.path + "/out.safetensors"
    var material = Material()
    material.texts = ["the sea", "a cat"]
    let model = try StoredModel(path: path, options: options)
    var job = QuantizationJob(
      model, request: QuantizationRequest(), machine: try Machine(threadCount: 2))
    #expect(try job.needsCalibration())
    try job.calibrate(on: material)
    #expect(try !job.needsCalibration())
    var report = try job.quantize(to: output)
    try job.compare(output, with: try job.reference(on: material), into: &report)
    let psnr = try #require(report.measurements.first { $0.name == "PSNR, mean, dB" })
    #expect(psnr.count == 2 && psnr.value > 40)
    #expect(report.rows.contains { $0.scheme == "w8a8" && $0.shape.count == 4 && $0.quantized_ms != nil })
    #expect(TestFolder.names(folder.path) == ["out.safetensors"])
  }
}
