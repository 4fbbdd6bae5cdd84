import PipitFormats
import PipitTensors

/// What `quantization_config` says, in the compressed-tensors convention: a group for each scheme that
/// occurs, its targets by name, which is exact whatever the classes of the modules are.
struct QuantizationSettings {
  /// `nil` where nothing became integers.
  let value: JSONValue?

  init(_ work: [TensorQuantizer]) {
    var groups: [JSONValue] = []
    var formats: Set<String> = []
    var kinds: [Kind] = []
    for kind in work.map(Kind.init) where kind.scheme.isInteger && !kinds.contains(kind) {
      kinds.append(kind)
    }
    for kind in kinds.sorted(by: { $0.order < $1.order }) {
      formats.insert(QuantizationSettings.format(kind.scheme))
      groups.append(QuantizationSettings.group(kind, work.filter { Kind($0) == kind }))
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

  /// What the layers of one group share. Convolutions are apart: the library knows linear layers and
  /// embeddings.
  private struct Kind: Equatable {
    let scheme: StorageScheme
    let rank: Int
    let input: Input

    enum Input: Int {
      case float, dynamicPerToken, staticPerTensor
    }

    init(_ work: TensorQuantizer) {
      scheme = work.choice.scheme
      rank = work.weight.shape.rank
      switch work.choice.activations {
      case .float: input = .float
      case .dynamicPerToken: input = .dynamicPerToken
      case .staticPerTensor: input = .staticPerTensor
      }
    }

    var order: String { "\(scheme.name) \(rank) \(input.rawValue)" }
  }

  private static func format(_ scheme: StorageScheme) -> String {
    if case .w4 = scheme { return "pack-quantized" }
    return "int-quantized"
  }

  private static func group(_ kind: Kind, _ targets: [TensorQuantizer]) -> JSONValue {
    var weights: [String: JSONValue] = [
      "num_bits": .integer(8), "type": .string("int"), "symmetric": .bool(true),
      "dynamic": .bool(false), "strategy": .string("channel"),
    ]
    if case .w4(let group) = kind.scheme {
      weights["num_bits"] = .integer(4)
      weights["strategy"] = .string("group")
      weights["group_size"] = .integer(group)
    }
    return .object([
      "targets": .array(modules(targets)), "weights": .object(weights),
      "input_activations": input(kind.input), "output_activations": .null,
      "format": .string(format(kind.scheme)),
    ])
  }

  private static func input(_ input: Kind.Input) -> JSONValue {
    guard input != .float else { return .null }
    let isDynamic = input == .dynamicPerToken
    return .object([
      "num_bits": .integer(8), "type": .string("int"), "symmetric": .bool(false),
      "dynamic": .bool(isDynamic), "strategy": .string(isDynamic ? "token" : "tensor"),
    ])
  }

  /// The names of the modules that tensors named `x.weight` belong to.
  private static func modules(_ work: [TensorQuantizer]) -> [JSONValue] {
    work.compactMap { WeightFolder.module(ofWeight: $0.weight.name) }.sorted().map { .string($0) }
  }
}
