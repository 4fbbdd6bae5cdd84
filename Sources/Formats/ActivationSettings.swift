import PipitTensors

/// What a `quantization_config` of the `compressed-tensors` convention says about the inputs of layers.
///
///     "config_groups": {"group_0": {"targets": ["Linear", "re:.*attention.*", "encoder.0"],
///                                   "input_activations": {"num_bits": 8, "dynamic": true, ...}}},
///     "ignore": ["lm_head"]
///
/// Of a layer's targets its name counts first, then a pattern, then its class, as in the library of that
/// name. Inputs in forms that nothing here computes (other widths, groups) stay f32, and those a scale a token get
/// a zero point each as well: the same model with less rounding.
struct ActivationSettings {
  /// How a layer's input becomes integers.
  enum Input: Hashable {
    case float
    case dynamicPerToken
    /// By the scale and zero point that lie beside the weight.
    case staticPerTensor
  }

  private struct Group {
    let targets: Targets
    let input: Input
  }

  /// Modules' and classes' names, and patterns.
  private struct Targets {
    var names: Set<String> = []
    var patterns: [NamePattern] = []

    /// How exactly they mean a module: 0 by name, 1 by a pattern, 2 by its class; `nil` if not at all.
    func rank(_ module: String, _ className: String) -> Int? {
      if names.contains(module) { return 0 }
      if patterns.contains(where: { $0.matchesStart(of: module) }) { return 1 }
      return names.contains(className) ? 2 : nil
    }
  }

  private let groups: [Group]
  private let ignored: Targets

  /// `configuration` is that of the component; without `quantization_config` every input stays f32.
  init(_ configuration: Configuration?) throws {
    guard let settings = try configuration?.object("quantization_config"),
      try settings.string("quant_method", fallback: "compressed-tensors") == "compressed-tensors",
      let groups = try settings.object("config_groups")
    else {
      (self.groups, ignored) = ([], Targets())
      return
    }
    self.groups = try groups.values.keys.sorted().compactMap { name in
      guard let group = try groups.object(name) else { return nil }
      return Group(
        targets: try ActivationSettings.targets(group, "targets"),
        input: try ActivationSettings.input(try group.object("input_activations")))
    }
    ignored = try ActivationSettings.targets(settings, "ignore")
  }

  /// What a file says about its own tensors, in the metadata `quantization_config`: the same value as text.
  init(metadataOf file: Safetensors) throws {
    let part = "metadata 'quantization_config'"
    guard var text = file.metadata["quantization_config"] else {
      try self.init(nil)
      return
    }
    let path = file.file.path
    let value = try text.withUTF8 {
      try JSON.parse(UnsafeRawBufferPointer($0), path: path, part: part)
    }
    try self.init(Configuration(file: path, values: ["quantization_config": value]))
  }

  private static func input(_ settings: Configuration?) throws -> Input {
    guard let settings, try settings.integer("num_bits", in: 1...64, fallback: 8) == 8,
      try settings.string("type", fallback: "int") == "int"
    else { return .float }
    let strategy = try settings.string("strategy", fallback: "tensor")
    // `dynamic` may be the word "local", which belongs to groups.
    guard case .bool(let isDynamic) = settings.values["dynamic"] ?? .bool(false) else {
      return .float
    }
    switch (isDynamic, strategy) {
    case (true, "token"): return .dynamicPerToken
    case (false, "tensor"): return .staticPerTensor
    default: return .float
    }
  }

  private static func targets(_ settings: Configuration, _ key: String) throws -> Targets {
    var targets = Targets()
    for text in try settings.strings(key, fallback: []) {
      guard text.hasPrefix("re:") else {
        targets.names.insert(text)
        continue
      }
      do {
        targets.patterns.append(try NamePattern(String(text.dropFirst(3))))
      } catch {
        throw settings.error(key, "a pattern that is understood", "'\(text)': \(error)")
      }
    }
    return targets
  }

  /// How the input of the layer of that name becomes integers.
  func input(ofModule module: String, class className: String) -> Input {
    if ignored.rank(module, className) != nil { return .float }
    var best: (rank: Int, input: Input)?
    for group in groups {
      guard let rank = group.targets.rank(module, className) else { continue }
      if rank < best?.rank ?? Int.max { best = (rank, group.input) }
    }
    return best?.input ?? .float
  }
}
