import PipitTensors

extension WeightFolder {
  /// The module that a weight belongs to, as settings name it: `x` of `x.weight`, and `x.in_proj` of
  /// `x.in_proj_weight`, which holds three layers' rows and has no name of its own there; `nil` for others.
  package static func module(ofWeight name: String) -> String? {
    if name.hasSuffix(".weight") { return String(name.dropLast(".weight".count)) }
    return name.hasSuffix(".in_proj_weight") ? String(name.dropLast("_weight".count)) : nil
  }

  /// How the input of the layer with this weight of integers becomes integers.
  func activations(_ name: String, _ shape: Shape) throws -> Weight.Activations {
    guard let module = WeightFolder.module(ofWeight: name) else { return .float }
    switch inputs.input(ofModule: module, class: shape.rank == 4 ? "Conv2d" : "Linear") {
    case .float: return .float
    case .dynamicPerToken: return .dynamicPerToken
    case .staticPerTensor:
      return .staticPerTensor(
        scale: try inputScale(module), zeroPoint: try inputZeroPoint(module))
    }
  }

  private func inputScale(_ module: String) throws -> Float {
    let name = module + ".input_scale"
    guard let (file, entry) = entry(name) else {
      throw FormatError(
        path: path, part: "tensor '\(name)'", expected: "a scale, as 'quantization_config' says",
        found: "none")
    }
    let values = entry.shape.count == 1 ? try floats(file, entry).floats() : []
    guard let scale = values.first, scale > 0, scale.isFinite else {
      throw FormatError(
        path: file.file.path, part: "tensor '\(name)'", expected: "one number above 0",
        found: values.first.map { "\($0)" } ?? "\(entry.shape)")
    }
    return scale
  }

  private func inputZeroPoint(_ module: String) throws -> Int8 {
    let name = module + ".input_zero_point"
    guard let (file, entry) = entry(name) else { return 0 }
    guard entry.elementType == .i8, entry.shape.count == 1 else {
      throw FormatError(
        path: file.file.path, part: "tensor '\(name)'", expected: "one i8",
        found: "\(entry.elementType.rawValue) \(entry.shape)")
    }
    return file.bytes(of: entry).load(as: Int8.self)
  }
}
