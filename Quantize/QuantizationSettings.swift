import PipitTensors

/// What `quantization_config` says, in the compressed-tensors convention: a group for each scheme that
/// occurs, its targets by name, which is exact whatever the classes of the modules are.
struct QuantizationSettings {
  /// `nil` where nothing became integers.
  let value: JSONValue?

  init(_ work: [TensorQuantizer]) {
    var groups: [JSONValue] = []
    var formats: Set<String> = []
    var schemes: [StorageScheme] = []
    for scheme in work.map(\.choice.scheme) where scheme.isInteger && !schemes.contains(scheme) {
      schemes.append(scheme)
    }
    for scheme in schemes.sorted(by: { $0.name < $1.name }) {
      // Convolutions apart: the library of that name knows linear layers and embeddings.
      for rank in [2, 4] {
        let targets = work.filter { $0.choice.scheme == scheme && $0.weight.shape.rank == rank }
        if targets.isEmpty { continue }
        formats.insert(QuantizationSettings.format(scheme))
        groups.append(QuantizationSettings.group(scheme, targets))
      }
    }
    guard let format = formats.count > 1 ? "mixed-precision" : formats.first else {
      value = nil
      return
    }
    let named = groups.enumerated().map { ("group_\($0.offset)", $0.element) }
    let kept = work.filter { !$0.choice.scheme.isInteger && $0.weight.shape.rank == 2 }
    value = .object([
      "quant_method": .string("compressed-tensors"),
      "quantization_status": .string("compressed"),
      "format": .string(format),
      "config_groups": .object(Dictionary(uniqueKeysWithValues: named)),
      "ignore": .array(QuantizationSettings.modules(kept)),
      "kv_cache_scheme": .null,
    ])
  }

  private static func format(_ scheme: StorageScheme) -> String {
    if case .w4 = scheme { return "pack-quantized" }
    return "int-quantized"
  }

  private static func group(_ scheme: StorageScheme, _ targets: [TensorQuantizer]) -> JSONValue {
    var weights: [String: JSONValue] = [
      "num_bits": .integer(8), "type": .string("int"), "symmetric": .bool(true),
      "dynamic": .bool(false), "strategy": .string("channel"),
    ]
    if case .w4(let group) = scheme {
      weights["num_bits"] = .integer(4)
      weights["strategy"] = .string("group")
      weights["group_size"] = .integer(group)
    }
    return .object([
      "targets": .array(modules(targets)), "weights": .object(weights),
      "input_activations": .null, "output_activations": .null,
      "format": .string(format(scheme)),
    ])
  }

  /// The names of the modules that tensors named `x.weight` belong to.
  private static func modules(_ work: [TensorQuantizer]) -> [JSONValue] {
    work.map(\.weight.name).filter { $0.hasSuffix(".weight") }.sorted()
      .map { .string(String($0.dropLast(".weight".count))) }
  }
}
