import PipitFormats
import PipitPipelines
import PipitQuantize
import PipitTensors
import Testing

/// Weights, finite ones, with which a model computes infinities and what is no number: calibration sees those,
/// and what comes of it are integers and scales all the same.
@Suite struct HostileWeightTests {
  private let source = String(goldens.dropLast("QuantizeTests/Goldens".count))
    + "PipelineTests/Goldens/classifier-stars"

  /// A classifier of texts with one number in all places of the tensors whose names end so.
  private func classifier(_ ending: String, _ value: Float) throws -> TestFolder {
    let folder = TestFolder()
    folder.makeFolder("in")
    for name in ["config.json", "vocab.txt"] {
      try folder.write("in/" + name, text(source + "/" + name))
    }
    let file = try Safetensors(path: source + "/model.safetensors")
    let numbers = try floats(source + "/model.safetensors")
    var tensors: [String: ([Int], [Float])] = [:]
    for (name, values) in numbers {
      let changed = name.hasSuffix(ending) ? values.map { _ in value } : values
      tensors[name] = (file.entries[name]?.shape.extents ?? [], changed)
    }
    try folder.writeModel("in", tensors, in: "model.safetensors")
    return folder
  }

  @Test(arguments: ["query.weight", "output.dense.weight", "LayerNorm.weight", "LayerNorm.bias"])
  func whatIsSeenNeedNotBeFinite(ending: String) throws {
    for value in [Float.greatestFiniteMagnitude, -2e38, 1e30, .leastNonzeroMagnitude] {
      let folder = try classifier(ending, value)
      for scheme in ["w8a8", "w4"] {
        var request = QuantizationRequest()
        request.scheme = try #require(StorageScheme(scheme, group: 32))
        var job = QuantizationJob(
          try StoredModel(path: folder.path + "/in"), request: request,
          machine: try Machine(threadCount: 1))
        // The model may be refused for what it computes; what its layers read was seen by then.
        try? job.calibrate(on: Material.builtIn)
        do {
          _ = try job.quantize(to: folder.path + "/out", force: true)
        } catch let error as FormatError {
          #expect(error.part.contains(ending), "\(error)")
          continue
        }
        let weights = try WeightFolder(path: folder.path + "/out")
        for name in weights.names {
          guard let weight = try weights.weight(named: name) else { continue }
          if case .int8(let scales) = weight.storage {
            #expect(scales.allSatisfy { $0 > 0 && $0.isFinite }, "\(name)")
          }
          if case .staticPerTensor(let scale, _) = weight.activations {
            #expect(scale > 0 && scale.isFinite, "\(name)")
          }
        }
      }
    }
  }
}
