import Glibc
import PipitFormats
import PipitQuantize
import PipitTensors
import TestSupport
import Testing

@Suite struct FolderTests {
  /// A folder with a pipeline of two components, one of them in shards, and files beside them.
  private func pipeline() throws -> TestFolder {
    let folder = TestFolder()
    for name in ["in", "in/unet", "in/text", "in/tokenizer", "in/.git"] { folder.makeFolder(name) }
    try folder.write("in/model_index.json", #"{"unet": ["x", "Y"], "text": ["x", "Y"]}"#)
    try folder.write("in/tokenizer/vocab.txt", "a\nb\n")
    try folder.write("in/.git/HEAD", "x")
    for name in ["unet", "text"] { try folder.write("in/\(name)/config.json", "{}\n") }
    let one = randoms(2048, seed: 1)
    let two = randoms(2048, seed: 2)
    try folder.writeModel("in/text", ["a.weight": ([32, 64], one)], in: "model.safetensors")
    try folder.write("in/text/pytorch_model.bin", "pickle")
    try folder.write("in/text/notes.txt", "notes")
    let file = "diffusion_pytorch_model"
    try folder.writeModel("in/unet", ["a.weight": ([32, 64], one)], in: file + "-1.safetensors")
    try folder.writeModel("in/unet", ["b.weight": ([64, 32], two)], in: file + "-2.safetensors")
    let map = #"{"weight_map": {"a.weight": "\#(file)-1.safetensors", "b.weight": "\#(file)-2.safetensors"}}"#
    try folder.write("in/unet/\(file).safetensors.index.json", map)
    return folder
  }

  @Test func pipelinesKeepTheirLayout() throws {
    let folder = try pipeline()
    let report = try quantize(
      folder.path + "/in", to: folder.path + "/out", rules: [("^unet/b", "w4")])
    let out = folder.path + "/out"
    #expect(TestFolder.names(out) == ["model_index.json", "text", "tokenizer", "unet"])
    #expect(TestFolder.names(out + "/text") == ["config.json", "model.safetensors", "notes.txt"])
    #expect(TestFolder.names(out + "/unet").count == 4)
    #expect(text(out + "/tokenizer/vocab.txt") == "a\nb\n")
    #expect(report.left_out == ["text/pytorch_model.bin"])
    let weights = try WeightFolder(path: out + "/unet")
    #expect(weights.names.sorted() == ["a.weight", "b.weight"])
    let index = text(out + "/unet/diffusion_pytorch_model.safetensors.index.json")
    #expect(index.contains("b.weight_packed") && index.contains("a.weight_scale"))
    #expect(report.rows.map(\.name).sorted() == ["text/a.weight", "unet/a.weight", "unet/b.weight"])
    #expect(TestFolder.names(folder.path) == ["in", "out"])
  }

  @Test func quantizedFoldersAreRefused() throws {
    let folder = try pipeline()
    try quantize(folder.path + "/in", to: folder.path + "/out")
    let again = message { try quantize(folder.path + "/out", to: folder.path + "/twice") }
    #expect(again.contains("quantized: text, unet"))
    let component = message { try quantize(folder.path + "/out/text", to: folder.path + "/twice") }
    #expect(component.contains("quantization_config"))
    // One of two: it is copied, and the report says so.
    try quantize(folder.path + "/in/text", to: folder.path + "/text")
    rename(folder.path + "/in/text", folder.path + "/old")
    rename(folder.path + "/text", folder.path + "/in/text")
    let report = try quantize(folder.path + "/in", to: folder.path + "/mixed")
    #expect(report.copied_components == ["text"])
    #expect(try WeightFolder(path: folder.path + "/mixed/text").names == ["a.weight"])
    #expect(!TestFolder.names(folder.path).contains("twice"))
  }

  @Test func nothingIsWrittenOverOrInsideOrAround() throws {
    let folder = try pipeline()
    let input = folder.path + "/in"
    for output in [input, input + "/", input + "/x", folder.path, input + "/../in/text"] {
      #expect(message { try quantize(input, to: output, force: true) }.contains("apart"), "\(output)")
    }
    folder.makeFolder("out")
    try folder.write("out/mine", "x")
    #expect(message { try quantize(input, to: folder.path + "/out") }.contains("--force"))
    #expect(TestFolder.names(folder.path + "/out") == ["mine"])
    try quantize(input, to: folder.path + "/out", force: true)
    #expect(!TestFolder.names(folder.path + "/out").contains("mine"))
    #expect(TestFolder.names(folder.path) == ["in", "out"])
  }

  /// Ctrl-C is an error that progress throws.
  @Test(arguments: 1...3) func whatIsStoppedLeavesNothing(tensors: Int) throws {
    struct Stopped: Error {}
    let folder = try pipeline()
    let quantizer = try FolderQuantizer(
      try ModelFolder(path: folder.path + "/in"), request: QuantizationRequest(), kernels: .scalar)
    var (count, beside) = (0, 0)
    let found = message {
      try quantizer.run(output: folder.path + "/out") { _ in
        count += 1
        beside = TestFolder.names(folder.path).count
        if count == tensors { throw Stopped() }
      }
    }
    #expect(found == "Stopped()")
    // The unfinished folder lay beside the input until then.
    #expect(beside == 2)
    #expect(TestFolder.names(folder.path) == ["in"])
  }

  @Test func dryRunsWriteNothing() throws {
    let folder = try pipeline()
    let report = try quantize(folder.path + "/in", to: nil)
    #expect(report.rows.count == 3)
    #expect(TestFolder.names(folder.path) == ["in"])
  }

  @Test func rulesThatMatchNothingAreNamed() throws {
    let folder = try pipeline()
    let output = folder.path + "/out"
    let words = message { try quantize(folder.path + "/in", to: output, rules: [("attn", "w4")]) }
    #expect(words.contains("'attn' matches no matrix"))
    #expect(TestFolder.names(folder.path) == ["in"])
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func whatIsNoNumberIsNamed(value: Float) throws {
    let folder = TestFolder()
    folder.makeFolder("in")
    try folder.write("in/config.json", "{}")
    for (name, shape) in [("a.weight", [32, 64]), ("a.bias", [2048])] {
      var values = randoms(2048, seed: 3)
      values[1234] = value
      try folder.writeModel("in", [name: (shape, values)], in: "model.safetensors")
      for scheme in ["w8", "w4", "f16", "keep"] {
        let words = message { try quantize(folder.path + "/in", to: folder.path + "/out", scheme) }
        #expect(words.contains("'\(name)'") && words.contains("element 1234"), "\(words)")
      }
    }
    #expect(TestFolder.names(folder.path) == ["in"])
  }

  @Test func picklesAreRefused() throws {
    let folder = TestFolder()
    folder.makeFolder("in")
    try folder.write("in/config.json", "{}")
    try folder.write("in/pytorch_model.bin", "x")
    let words = message { try quantize(folder.path + "/in", to: folder.path + "/out") }
    #expect(words.contains("pickle"))
    #expect(TestFolder.names(folder.path) == ["in"])
  }

  @Test func numbersBeyondHalfPrecisionAreNamed() throws {
    let folder = TestFolder()
    folder.makeFolder("in")
    try folder.write("in/config.json", "{}")
    let large = randoms(2048, seed: 3, in: 1e5...1e6)
    try folder.writeModel("in", ["a.weight": ([32, 64], large)], in: "model.safetensors")
    let words = message { try quantize(folder.path + "/in", to: folder.path + "/out", "f16") }
    #expect(words.contains("half precision"))
    try quantize(folder.path + "/in", to: folder.path + "/out", "w8")
  }
}
