import Glibc
import PipitFormats
import PipitPipelines
import PipitQuantize
import PipitTensors
import TestSupport
import Testing

/// Factors that go from a norm into the products that read it.
@Suite struct SmoothingTests {
  private static let width = 32
  /// The channel that is larger than all others behind the first norm, and as much smaller in the weights.
  private static let outlier = 3

  /// A small CLIP text encoder of one layer with random weights.
  private func encoder() throws -> TestFolder {
    let folder = TestFolder()
    folder.makeFolder("in")
    let settings = [
      #""architectures": ["CLIPTextModel"], "hidden_size": 32, "vocab_size": 64"#,
      #""max_position_embeddings": 16, "num_hidden_layers": 1, "num_attention_heads": 2"#,
      #""intermediate_size": 64, "hidden_act": "gelu""#,
    ]
    try folder.write("in/config.json", "{" + settings.joined(separator: ", ") + "}\n")
    let root = "text_model."
    let layer = root + "encoder.layers.0."
    var tensors: [String: ([Int], [Float])] = [:]
    func add(_ name: String, _ shape: [Int], bias: Bool = true) {
      let seed = UInt64(tensors.count + 11)
      let limit: Float = shape.count == 2 ? 0.3 : 0.1
      tensors[name + ".weight"] = (shape, randoms(shape.reduce(1, *), seed: seed, in: -limit...limit))
      if bias { tensors[name + ".bias"] = ([shape[0]], randoms(shape[0], seed: seed + 50, in: -0.1...0.1)) }
    }
    let width = Self.width
    add(root + "embeddings.token_embedding", [64, width], bias: false)
    add(root + "embeddings.position_embedding", [16, width], bias: false)
    for name in ["q_proj", "k_proj", "v_proj", "out_proj"] { add(layer + "self_attn." + name, [width, width]) }
    add(layer + "mlp.fc1", [64, width])
    add(layer + "mlp.fc2", [width, 64])
    for name in [layer + "layer_norm1", layer + "layer_norm2", root + "final_layer_norm"] {
      add(name, [width])
      tensors[name + ".weight"]?.1 = [Float](repeating: 1, count: width)
    }
    tensors[layer + "layer_norm1.weight"]?.1[Self.outlier] = 60
    for name in ["q_proj", "k_proj", "v_proj"] {
      for row in 0..<width {
        tensors[layer + "self_attn.\(name).weight"]?.1[row * width + Self.outlier] /= 60
      }
    }
    try folder.writeModel("in", tensors, in: "model.safetensors")
    return folder
  }

  private func job(_ folder: TestFolder, keep: String? = nil) throws -> QuantizationJob {
    var request = QuantizationRequest()
    if let keep { request.rules = [try StorageRule(pattern: keep, scheme: .keep, text: keep)] }
    var job = QuantizationJob(
      try StoredModel(path: folder.path + "/in"), request: request, machine: try Machine(threadCount: 1))
    try job.calibrate(on: Material())
    return job
  }

  @Test func channelsOfUnlikeSizesAreMadeAlike() throws {
    let folder = try encoder()
    let job = try job(folder)
    var report = try job.quantize(to: folder.path + "/out")
    let smoothed = report.rows.filter { $0.input.contains("smoothed") }
    let names = ["q_proj", "k_proj", "v_proj"].map { "text_model.encoder.layers.0.self_attn.\($0).weight" }
    #expect(Set(names).isSubset(of: Set(smoothed.map(\.name))))
    for row in smoothed { #expect(row.output_sqnr_dB ?? 0 > 34, "\(row.name)") }
    try job.compare(folder.path + "/out", with: try job.reference(on: Material()), into: &report)
    let measured = try #require(report.measurements.first { $0.name == "SQNR, dB" })
    #expect(measured.value > 34)
    // What the norm gives times what the columns take is what it was.
    let before = try floats(folder.path + "/in/model.safetensors")
    let after = try WeightFolder(path: folder.path + "/out")
    let norm = "text_model.encoder.layers.0.layer_norm1.weight"
    let gain = try #require(try after.weight(named: norm)).floats()
    #expect(gain[Self.outlier] < 30)
    for name in names {
      let weight = try #require(try after.weight(named: name)).floats()
      let old = try #require(before[name])
      let oldGain = try #require(before[norm])
      for index in old.indices {
        let column = index % Self.width
        let difference: Float = weight[index] * gain[column] - old[index] * oldGain[column]
        #expect(abs(difference) < 0.02)
      }
    }
  }

  /// One of the products that read a norm stays as it is: so do the others.
  @Test func whatReadsANormIsScaledAltogether() throws {
    let folder = try encoder()
    let report = try job(folder, keep: "q_proj").quantize(to: folder.path + "/out")
    #expect(!report.rows.contains { $0.name.contains("v_proj") && $0.input.contains("smoothed") })
    let before = try floats(folder.path + "/in/model.safetensors")
    let after = try floats(folder.path + "/out/model.safetensors")
    let norm = "text_model.encoder.layers.0.layer_norm1.weight"
    #expect(before[norm] == after[norm])
  }
}
