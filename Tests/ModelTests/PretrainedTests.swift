import Glibc
import PipitFormats
import PipitGraph
import PipitKernels
import PipitModels
import PipitTensors
import TestSupport
import Testing

/// The tensors of one safetensors file, whatever its name.
private struct FileWeights: WeightSource {
  let file: Safetensors

  var names: [String] { file.entries.keys.sorted() }

  func weight(named name: String) throws -> Weight? {
    guard let entry = file.entries[name] else { return nil }
    return Weight(
      name: name, shape: entry.shape, storage: .dense(entry.elementType),
      bytes: file.bytes(of: entry), owner: file.file)
  }
}

/// Trained weights, which are too large to lie here: the folder that `PIPIT_PRETRAINED` names.
@Suite struct PretrainedTests {
  static let folder: String? = getenv("PIPIT_PRETRAINED").map { String(cString: $0) }

  static func has(_ name: String) -> Bool {
    folder.map { GoldenPlace.exists($0 + "/" + name) } ?? false
  }

  /// TAEF2, of the TAESD family, in half precision and under the names of its own repository.
  @Test(
    .enabled(
      if: has("taef2/decoder.safetensors") && has("taef2/encoder.safetensors"),
      "PIPIT_PRETRAINED names no folder with taef2/decoder.safetensors and encoder.safetensors"),
    arguments: ["decoder", "encoder"])
  func tinyAutoencoderEqualsTheReference(direction: String) throws {
    let folder = try #require(Self.folder)
    let file = try Safetensors(path: "\(folder)/taef2/\(direction).safetensors")
    let settings: [String: JSONValue] = ["latent_channels": .integer(32)]
    let model = Architecture.autoencoderTiny(
      try AutoencoderTiny(Configuration(file: "config.json", values: settings)))
    let golden = try Golden(path: GoldenPlace.goldens + "/taef2-\(direction).safetensors")
    let shapes = golden.inputs.mapValues(\.shape)
    let graph = try model.graph(weights: FileWeights(file: file), inputs: shapes)
    for kernels in KernelTable.available {
      let actual = try golden.run(graph, kernels: kernels, threads: 2)
      for (output, expected) in golden.outputs {
        let largest = expected.reduce(1) { max($0, abs($1)) }
        #expect(
          maxError(actual[output] ?? [], expected) <= 1e-4 * largest,
          "\(direction) on \(kernels.name)")
      }
    }
  }
}
