import PipitTensors

extension WeightFolder {
  /// How the input of the layer with this weight of integers becomes integers.
  func activations(_ name: String, _ shape: Shape) throws -> Weight.Activations {
    guard name.hasSuffix(".weight") else { return .float }
    let module = String(name.dropLast(".weight".count))
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
