import Glibc
import PipitFormats
import PipitGraph
import PipitKernels
import PipitModels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

/// A model's inputs and the reference's outputs, as Goldens/make_goldens.py saved them.
struct Golden {
  let inputs: [String: Safetensors.Entry]
  let outputs: [String: [Float]]
  private let file: Safetensors

  init(path: String) throws {
    let file = try Safetensors(path: path)
    self.file = file
    var inputs: [String: Safetensors.Entry] = [:]
    var outputs: [String: [Float]] = [:]
    for (name, entry) in file.entries {
      if name.hasPrefix("in.") { inputs[String(name.dropFirst(3))] = entry }
      if name.hasPrefix("out.") {
        outputs[String(name.dropFirst(4))] = Golden.floats(file.bytes(of: entry))
      }
    }
    self.inputs = inputs
    self.outputs = outputs
  }

  private static func floats(_ bytes: UnsafeRawBufferPointer) -> [Float] {
    (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
  }

  /// The outputs that a component computes for the golden's inputs; with `asFloats` no product is one of integers.
  func run(
    _ folder: ModelFolder, asFloats: Bool = false, kernels: KernelTable, threads: Int
  ) throws -> [String: [Float]] {
    let name = try #require(folder.architecture)
    let stored = try folder.weights()
    let weights: any WeightSource = asFloats ? FloatProducts(weights: stored) : stored
    let graph = try Architecture(named: name, folder.configuration).graph(
      weights: weights, inputs: inputs.mapValues(\.shape))
    return try run(graph, kernels: kernels, threads: threads)
  }

  /// The outputs that a graph computes for the golden's inputs.
  func run(_ graph: Graph, kernels: KernelTable, threads: Int) throws -> [String: [Float]] {
    try graph.verify()
    let program = Program(
      graph: Optimizer.optimize(graph), kernels: kernels, pool: ThreadPool(threadCount: threads),
      weights: PackedWeights(kernels: kernels))
    try fill(program)
    try program.run()
    var results: [String: [Float]] = [:]
    for name in outputs.keys { results[name] = Array(try program.output(name)) }
    return results
  }

  /// Gives a program the golden's inputs, but for some.
  func fill(_ program: Program, except others: Set<String> = []) throws {
    for (name, entry) in inputs where !others.contains(name) {
      let bytes = file.bytes(of: entry)
      if entry.elementType == .i64 {
        let target = try program.idInput(name)
        for index in target.indices {
          target[index] = Int32(bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self))
        }
      } else {
        _ = try program.input(name).update(fromContentsOf: Golden.floats(bytes))
      }
    }
  }
}

/// Weights that ask for no integers.
private struct FloatProducts: WeightSource {
  let weights: any WeightSource
  var names: [String] { weights.names }

  func weight(named name: String) throws -> Weight? {
    try weights.weight(named: name)?.withFloatProducts
  }
}

enum GoldenPlace {
  static let goldens = parent(of: #filePath, 1) + "/Goldens"
  static let bundle = parent(of: #filePath, 3) + "/Models/Default"

  private static func parent(of path: String, _ count: Int) -> String {
    var path = path[...]
    for _ in 0..<count { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
    return String(path)
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}

@Suite struct SmallModelTests {
  static let cases =
    [
      "bert-1", "bert-2", "bert-3", "head-1", "head-2", "head-3", "resnet-1", "resnet-2",
      "resnet-3",
      "flow-1", "flow-2", "flow-3",
    ] + textCases + imageCases + ["vae-1", "vae-2", "vae-3"].flatMap { [$0 + "-decoder", $0 + "-encoder"] }

  @Test(arguments: cases) func equalsTheReference(name: String) throws {
    let folder = try ModelFolder(path: GoldenPlace.goldens + "/" + name)
    let golden = try Golden(path: folder.path + "/golden.safetensors")
    var first: [String: [Float]]?
    for kernels in KernelTable.available {
      let one = try golden.run(folder, kernels: kernels, threads: 1)
      #expect(one == first ?? one, "\(name) on \(kernels.name)")
      first = one
      for (output, expected) in golden.outputs {
        let largest = expected.reduce(1) { max($0, abs($1)) }
        let error = maxError(one[output] ?? [], expected)
        #expect(error <= 1e-4 * largest, "\(name) \(output) on \(kernels.name)")
      }
      #expect(try golden.run(folder, kernels: kernels, threads: 2) == one, "\(name), 2 threads")
    }
  }
}

/// The bundle's own weights against PyTorch with the same weights, in f32.
@Suite struct BundleModelTests {
  /// Component, golden, and the largest error allowed where products are those of floats.
  static let cases: [(component: String, golden: String, tolerance: Float)] = [
    ("text_encoder", "text_encoder", 1e-4), ("text_sentiment", "text_sentiment", 1e-4),
    ("image_sentiment", "image_sentiment", 1e-4), ("denoiser", "denoiser", 1e-3),
    ("vae", "vae-decoder", 1e-3), ("vae", "vae-encoder", 1e-3),
  ]

  /// The levels whose numbers are compared: all but scalar under ARM's emulation, where that would take minutes.
  static let levels: [KernelTable] = {
    #if arch(arm64)
      return Array(KernelTable.available.dropFirst())
    #else
      return KernelTable.available
    #endif
  }()

  @Test(arguments: cases.indices, [false, true])
  func everyLevelGivesTheSameNumbers(index: Int, asFloats: Bool) throws {
    let (component, name, _) = Self.cases[index]
    let folder = try ModelFolder(path: GoldenPlace.bundle + "/" + component)
    let golden = try Golden(path: GoldenPlace.goldens + "/bundle-\(name).safetensors")
    let best = try golden.run(folder, asFloats: asFloats, kernels: .best, threads: 2)
    for kernels in Self.levels where kernels.name != KernelTable.best.name {
      let found = try golden.run(folder, asFloats: asFloats, kernels: kernels, threads: 2)
      #expect(found == best, "\(name) on \(kernels.name)")
    }
  }

  @Test(arguments: cases.indices) func equalsTheReference(index: Int) throws {
    let (component, name, tolerance) = Self.cases[index]
    let folder = try ModelFolder(path: GoldenPlace.bundle + "/" + component)
    let golden = try Golden(path: GoldenPlace.goldens + "/bundle-\(name).safetensors")
    let floats = try golden.run(folder, asFloats: true, kernels: .best, threads: 2)
    let integers = try golden.run(folder, kernels: .best, threads: 2)
    for (output, expected) in golden.outputs {
      let found = floats[output] ?? []
      #expect(maxError(found, expected) <= tolerance, "\(name) \(output)")
      #expect(cosine(found, expected) >= 0.99999, "\(name) \(output)")
      // Noise is no picture, and rounds worse than one.
      #expect(cosine(integers[output] ?? [], expected) >= 0.99, "\(name) \(output), integers")
    }
  }

  private func cosine(_ a: [Float], _ b: [Float]) -> Double {
    var (product, left, right) = (0.0, 0.0, 0.0)
    for (x, y) in zip(a, b) {
      product += Double(x) * Double(y)
      left += Double(x) * Double(x)
      right += Double(y) * Double(y)
    }
    return product / (left * right).squareRoot()
  }
}
