import PipitFormats
import PipitKernels
import PipitTensors

/// The scheme of one tensor, and why it has another one than was asked for.
struct SchemeChoice: Equatable {
  let scheme: StorageScheme
  /// What becomes of the layer's input.
  var activations = Weight.Activations.float
  /// How the numbers for that were found, where data was run for them.
  var method: RangeMethod?
  /// How strongly the input's spread went into the weight; `nil` where it did not.
  var smoothing: Float?
  /// Empty where it is the scheme that was asked for.
  let reason: String

  static let notCalibrated = "convolution that was not calibrated"
}

extension QuantizationRequest {
  /// Decides on a tensor; `name` is what rules are matched against. `usedRules` gets the indices of rules
  /// that decided about this tensor or were overruled by later ones.
  func choice(
    for weight: Weight, name: String, smoothing: Smoothing, kernels: KernelTable,
    usedRules: inout Set<Int>
  ) -> SchemeChoice {
    let choice = schemeChoice(for: weight, name: name, usedRules: &usedRules)
    guard choice.scheme == .w8a8 else { return choice }
    if floatProducts.contains(name) {
      return SchemeChoice(scheme: .w8, reason: "product in f32, for the target")
    }
    if let strength = smoothing.strengths[name] {
      return SchemeChoice(
        scheme: .w8a8, activations: .dynamicPerToken, smoothing: strength, reason: choice.reason)
    }
    guard let calibration, let inputs = calibration.input(name) else {
      if weight.shape.rank == 2 { return choice }
      return SchemeChoice(scheme: .w8, reason: SchemeChoice.notCalibrated)
    }
    let search = ActivationSearch(
      inputs: inputs, weight: weight, kernels: kernels, clipping: clipping)
    let (activations, method) = calibration.choice(inputs) { search.best() }
    return SchemeChoice(
      scheme: .w8a8, activations: activations, method: method, reason: choice.reason)
  }

  /// What makes the inputs of products smoother, where that is known.
  func smoothing(_ sources: [Safetensors], prefix: String, kernels: KernelTable) -> Smoothing {
    guard let calibration else { return Smoothing() }
    return Smoothing(
      sources, prefix: prefix, calibration, clipping: clipping, kernels: kernels
    ) { weight in
      var used: Set<Int> = []
      let choice = schemeChoice(for: weight, name: prefix + weight.name, usedRules: &used)
      return choice.scheme == .w8a8 && !floatProducts.contains(prefix + weight.name)
    }
  }

  private func schemeChoice(
    for weight: Weight, name: String, usedRules: inout Set<Int>
  ) -> SchemeChoice {
    guard weight.expandsToFloat else { return SchemeChoice(scheme: .keep, reason: "no numbers") }
    guard weight.isStoredMatrix else { return SchemeChoice(scheme: .keep, reason: "vector") }
    let matching = rules.indices.filter { rules[$0].matches(name) }
    usedRules.formUnion(matching)
    if let last = matching.last {
      return fitted(rules[last].scheme, weight, reason: "rule '\(rules[last].text)'")
    }
    if scheme.isInteger, let exception = weight.exception {
      let isWide = weight.storedByteCount > 2 * weight.shape.count
      return SchemeChoice(scheme: isWide ? .f16 : .keep, reason: exception)
    }
    return fitted(scheme, weight, reason: "")
  }

  /// The scheme, or the nearest one that the weight's shape and type allow.
  private func fitted(
    _ scheme: StorageScheme, _ weight: Weight, reason: String
  ) -> SchemeChoice {
    switch scheme {
    case .w8a8 where weight.shape.rank == 2:
      guard !weight.isTable else { return SchemeChoice(scheme: .w8, reason: "table") }
      return SchemeChoice(scheme: .w8a8, activations: .dynamicPerToken, reason: reason)
    case .w8a8 where weight.isDepthwise:
      return SchemeChoice(scheme: .w8, reason: "depthwise convolution")
    case .w4(let group) where weight.shape.rank != 2:
      return SchemeChoice(scheme: .w8, reason: "w4 (groups of \(group)) is for matrices")
    case .w4(let group) where weight.columns % group != 0:
      return SchemeChoice(scheme: .w8, reason: "\(weight.columns) columns are no groups of \(group)")
    case .f16 where weight.storedByteCount <= 2 * weight.shape.count:
      return SchemeChoice(scheme: .keep, reason: "16 bits already")
    default: return SchemeChoice(scheme: scheme, reason: reason)
    }
  }
}

extension Weight {
  /// Whether it is what linear layers, embeddings and convolutions multiply with: nearly all of a model's
  /// bytes. Vectors, tables of other names and matrices of a few numbers stay as they are.
  fileprivate var isStoredMatrix: Bool {
    // The second is OpenCLIP's name of what its attention stacks.
    let isNamed = name.hasSuffix(".weight") || name.hasSuffix(".attn.in_proj_weight")
    return (shape.rank == 2 || shape.rank == 4) && isNamed && shape.count >= 1024
      && columns <= 1 << 24
  }

  /// Why a matrix should not become integers, unless a rule says so: layers that everything passes
  /// through, small ones as a rule.
  fileprivate var exception: String? {
    let parts = name.split(separator: ".").dropLast().map(String.init)
    func has(_ words: [String]) -> Bool {
      parts.contains { part in words.contains { part.contains($0) } }
    }
    // Those that read or make a picture may: pixels have no more than 8 bits themselves.
    let isNarrow = shape.rank == 4 && shape.extents.prefix(2).contains { $0 <= 4 && $0 != 3 }
    if shape.rank == 4, !isDepthwise, isNarrow || has(["conv_in", "conv_out", "patch_embed"]) {
      return "first or last convolution"
    }
    if has(["time_embedding", "timestep_embed", "time_embed", "t_embedder"]) {
      return "time embedding"
    }
    if has(["position_embedding", "pos_embed", "token_type_embedding"]) {
      return "table of positions or types"
    }
    let heads = ["classifier", "pre_classifier", "lm_head", "score", "head"]
    if let first = parts.first, heads.contains(first) { return "head" }
    if has(["norm"]) { return "norm" }
    return nil
  }

  fileprivate var isDepthwise: Bool { shape.rank == 4 && shape[1] == 1 && shape[0] > 4 }

  /// Whether rows are looked up, not multiplied with: by the names that libraries give such layers.
  fileprivate var isTable: Bool {
    guard let layer = name.split(separator: ".").dropLast().last else { return false }
    return layer.hasSuffix("embedding") || layer.hasSuffix("embeddings")
      || ["shared", "wte", "embed_tokens"].contains(layer)
  }
}
