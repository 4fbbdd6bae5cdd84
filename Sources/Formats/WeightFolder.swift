import Glibc
package import PipitTensors

/// The weights of one component's folder: one safetensors file or several shards, dense or compressed.
///
/// Compressed weights follow the `compressed-tensors` convention:
/// `x.weight` i8 with `x.weight_scale` `[rows, 1]`, or `x.weight_packed` i32 `[rows, columns / 8]` (each holds
/// eight 4-bit values plus 8, the first in the lowest bits) with `x.weight_scale` `[rows, columns / group]`
/// and `x.weight_shape`; where that shape has as many columns as the words have bytes, each byte is an 8-bit
/// value plus 128 instead, with one scale a row. Each is one weight named `x.weight`. Scales may be f32, f16
/// or bf16. Zero points of weights and reordered groups are refused.
///
/// How a layer's input becomes integers is what `quantization_config` in `config.json` says, or else that in the
/// file's metadata, with `x.input_scale` [1] and `x.input_zero_point` [1] where it is by numbers from calibration.
package final class WeightFolder: WeightSource {
  package let path: String
  private let files: [Safetensors]
  private let fileOfName: [String: Int]
  let inputs: ActivationSettings

  package convenience init(path: String) throws {
    let file = path + "/config.json"
    let settings = access(file, F_OK) == 0 ? try JSON.configuration(path: file) : nil
    let files = try WeightFiles(folder: path).names.map { try Safetensors(path: path + "/" + $0) }
    let told = files.first { $0.metadata["quantization_config"] != nil }
    if settings?.values["quantization_config"] == nil, let told {
      try self.init(path: path, files: files, inputs: try ActivationSettings(metadataOf: told))
    } else {
      try self.init(path: path, files: files, inputs: try ActivationSettings(settings))
    }
  }

  /// The weights of one file by itself.
  package convenience init(file: Safetensors) throws {
    try self.init(
      path: file.file.path, files: [file], inputs: try ActivationSettings(metadataOf: file))
  }

  private init(path: String, files: [Safetensors], inputs: ActivationSettings) throws {
    self.path = path
    self.inputs = inputs
    var fileOfName: [String: Int] = [:]
    for (index, file) in files.enumerated() {
      for name in file.entries.keys.sorted() {
        guard fileOfName.updateValue(index, forKey: name) == nil else {
          throw FormatError(
            path: file.file.path, part: "tensor '\(name)'", expected: "each tensor in one shard",
            found: "it in two")
        }
      }
    }
    self.files = files
    self.fileOfName = fileOfName
  }

  /// Bytes of all weight files, which is what is mapped.
  package var byteCount: Int { files.reduce(0) { $0 + $1.file.bytes.count } }

  package var names: [String] {
    fileOfName.keys.compactMap { name in
      if name.hasSuffix("_scale") || name.hasSuffix("_shape") {
        let base = String(name.dropLast(6))
        if fileOfName[base] != nil || fileOfName[base + "_packed"] != nil { return nil }
      }
      for suffix in ["input_scale", "input_zero_point"] where name.hasSuffix("." + suffix) {
        if isCompressed(String(name.dropLast(suffix.count)) + "weight") { return nil }
      }
      return name.hasSuffix("_packed") ? String(name.dropLast(7)) : name
    }
  }

  package func weight(named name: String) throws -> Weight? {
    if let (file, packed) = entry(name + "_packed") {
      try refuse(name)
      return try isBytes(name, packed) ? int8(name, file, packed) : int4(name, file, packed)
    }
    guard let (file, entry) = entry(name) else { return nil }
    if entry.elementType == .i8, let (scaleFile, scale) = self.entry(name + "_scale") {
      try refuse(name)
      return try int8(name, file, entry, scaleFile, scale)
    }
    return Weight(
      name: name, shape: entry.shape, storage: .dense(entry.elementType),
      bytes: file.bytes(of: entry), owner: file.file)
  }

  private func isCompressed(_ name: String) -> Bool {
    fileOfName[name + "_scale"] != nil || fileOfName[name + "_packed"] != nil
  }

  func entry(_ name: String) -> (Safetensors, Safetensors.Entry)? {
    guard let index = fileOfName[name], let entry = files[index].entries[name] else { return nil }
    return (files[index], entry)
  }

  // MARK: Compressed weights

  /// Parts of a compressed weight that would change its numbers in ways that are not implemented.
  private func refuse(_ name: String) throws {
    for suffix in ["_zero_point", "_g_idx", "_global_scale"] {
      guard let (file, entry) = entry(name + suffix) else { continue }
      throw FormatError(
        path: file.file.path, part: "tensor '\(entry.name)'",
        expected: "symmetric weights with groups in order (nothing else is supported)",
        found: "\(entry.elementType.rawValue) \(entry.shape)")
    }
  }

  /// Whether packed words hold four 8-bit values each, not eight 4-bit ones. (Up to four columns would fit
  /// one word either way; 4-bit ones of that width are refused, so nothing is read wrongly.)
  private func isBytes(_ name: String, _ packed: Safetensors.Entry) throws -> Bool {
    guard packed.shape.rank == 2, let (file, shape) = entry(name + "_shape") else { return false }
    let extents = try integers(file, shape)
    return extents.count == 2 && extents[1] > 4 && (extents[1] - 1) / 4 == packed.shape[1] - 1
  }

  /// Four 8-bit values plus 128 a word, which become a block of signed ones.
  private func int8(
    _ name: String, _ file: Safetensors, _ packed: Safetensors.Entry
  ) throws -> Weight {
    func wrong(_ part: String, _ expected: String, _ found: String) -> FormatError {
      FormatError(path: file.file.path, part: "tensor '\(part)'", expected: expected, found: found)
    }
    guard packed.elementType == .i32, packed.shape.rank == 2, packed.shape.count > 0,
      packed.shape[1] <= 1 << 40, let (shapeFile, shape) = entry(name + "_shape")
    else {
      throw wrong(packed.name, "i32 [rows, columns / 4], not empty", "\(packed.shape)")
    }
    let (rows, stride) = (packed.shape[0], packed.shape[1] * 4)
    let extents = try integers(shapeFile, shape)
    guard extents.count == 2, extents[0] == rows, (stride - 3...stride).contains(extents[1]) else {
      throw wrong(shape.name, "[\(rows), \(stride)]", "\(extents)")
    }
    guard let (scaleFile, scale) = entry(name + "_scale"), scale.shape.count == rows else {
      throw wrong(name + "_scale", "\(rows) scales (one a row)", "others or none")
    }
    let columns = extents[1]
    let source = file.bytes(of: packed)
    let values = ByteStorage(count: rows * columns) { target in
      for row in 0..<rows {
        for column in 0..<columns {
          target[row * columns + column] = source[row * stride + column] ^ 0x80
        }
      }
    }
    return Weight(
      name: name, shape: [rows, columns],
      storage: .int8(scales: try floats(scaleFile, scale).floats()),
      activations: try activations(name, [rows, columns]), bytes: values.bytes, owner: values)
  }

  private func int8(
    _ name: String, _ file: Safetensors, _ entry: Safetensors.Entry, _ scaleFile: Safetensors,
    _ scale: Safetensors.Entry
  ) throws -> Weight {
    // Rows of no elements cost the file nothing, their scales would cost memory.
    guard entry.shape.count > 0 else {
      throw FormatError(
        path: file.file.path, part: "tensor '\(name)'", expected: "elements",
        found: "\(entry.shape)")
    }
    let rows = entry.shape.rank == 0 ? 1 : entry.shape[0]
    var scales = try floats(scaleFile, scale).floats()
    if scales.count == 1 { scales = [Float](repeating: scales[0], count: rows) }
    guard scales.count == rows else {
      throw FormatError(
        path: file.file.path, part: "tensor '\(scale.name)'", expected: "1 or \(rows) scales",
        found: "\(scale.shape)")
    }
    return Weight(
      name: name, shape: entry.shape, storage: .int8(scales: scales),
      activations: try activations(name, entry.shape), bytes: file.bytes(of: entry),
      owner: file.file)
  }

  private func int4(
    _ name: String, _ file: Safetensors, _ packed: Safetensors.Entry
  ) throws -> Weight {
    func wrong(_ part: String, _ expected: String, _ found: String) -> FormatError {
      FormatError(path: file.file.path, part: "tensor '\(part)'", expected: expected, found: found)
    }
    guard packed.elementType == .i32, packed.shape.rank == 2, packed.shape.count > 0 else {
      throw wrong(
        packed.name, "i32 [rows, columns / 8], not empty",
        "\(packed.elementType.rawValue) \(packed.shape)")
    }
    guard let (scaleFile, scale) = entry(name + "_scale"), scale.shape.rank == 2 else {
      throw wrong(name + "_scale", "scales [rows, groups]", "none")
    }
    let rows = packed.shape[0]
    let columns = packed.shape[1] * 8
    let groups = scale.shape[1]
    guard scale.shape[0] == rows, columns > 0, groups > 0, columns % groups == 0,
      columns / groups % 2 == 0
    else {
      throw wrong(scale.name, "[\(rows), a divisor of \(columns)]", "\(scale.shape)")
    }
    if let (shapeFile, shape) = entry(name + "_shape") {
      let found = try integers(shapeFile, shape)
      guard found == [rows, columns] else {
        throw wrong(shape.name, "[\(rows), \(columns)]", "\(found)")
      }
    }
    return Weight(
      name: name, shape: [rows, columns],
      storage: .int4(scales: try floats(scaleFile, scale), group: columns / groups),
      activations: try activations(name, [rows, columns]), bytes: file.bytes(of: packed), owner: file.file)
  }

  func floats(
    _ file: Safetensors, _ entry: Safetensors.Entry
  ) throws -> Weight.StoredFloats {
    guard [.f32, .f16, .bf16].contains(entry.elementType) else {
      throw FormatError(
        path: file.file.path, part: "tensor '\(entry.name)'", expected: "f32, f16 or bf16 scales",
        found: entry.elementType.rawValue)
    }
    return Weight.StoredFloats(elementType: entry.elementType, bytes: file.bytes(of: entry))
  }

  private func integers(_ file: Safetensors, _ entry: Safetensors.Entry) throws -> [Int] {
    let bytes = file.bytes(of: entry)
    switch entry.elementType {
    case .i64:
      return (0..<min(entry.shape.count, 16)).map {
        Int(bytes.loadUnaligned(fromByteOffset: 8 * $0, as: Int64.self))
      }
    case .i32:
      return (0..<min(entry.shape.count, 16)).map {
        Int(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self))
      }
    default:
      throw FormatError(
        path: file.file.path, part: "tensor '\(entry.name)'", expected: "i64 or i32",
        found: entry.elementType.rawValue)
    }
  }
}
