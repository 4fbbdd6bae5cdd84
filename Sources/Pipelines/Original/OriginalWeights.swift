import PipitFormats
import PipitTensors

/// The tensors of one part of a checkpoint in the original layout, under the names that diffusers and
/// transformers give them: views into the mapped file, of whatever type lies there.
final class OriginalWeights: WeightSource {
  private let file: WeightFolder
  private let prefix: String
  private let place: @Sendable (String) -> OriginalPlace?

  init(
    _ file: WeightFolder, prefix: String, place: @escaping @Sendable (String) -> OriginalPlace?
  ) {
    self.file = file
    self.prefix = prefix
    self.place = place
  }

  var path: String { file.path }

  /// Names in the file, as `weight(named:)` takes them too.
  var names: [String] { file.names.filter { $0.hasPrefix(prefix) } }

  func weight(named name: String) throws -> Weight? {
    let place = place(name) ?? OriginalPlace(name)
    let path = name.hasPrefix(prefix) ? name : prefix + place.name
    guard let weight = try file.weight(named: path) else { return nil }
    guard let third = place.third else { return weight }
    guard (1...2).contains(weight.shape.rank), weight.shape[0] % 3 == 0, weight.shape.count > 0 else {
      throw FormatError(
        path: file.path, part: "tensor '\(path)'",
        expected: "the rows of queries, keys and values", found: "\(weight.shape)")
    }
    return weight.third(third)
  }
}

extension Weight {
  /// One of three blocks of rows, where the row count is three times theirs.
  fileprivate func third(_ index: Int) -> Weight {
    func slice(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
      let count = bytes.count / 3
      return UnsafeRawBufferPointer(rebasing: bytes[index * count..<(index + 1) * count])
    }
    let storage: Storage =
      switch self.storage {
      case .dense: self.storage
      case .int8(let scales):
        .int8(scales: Array(scales[index * rows / 3..<(index + 1) * rows / 3]))
      case .int4(let scales, let group):
        .int4(
          scales: StoredFloats(elementType: scales.elementType, bytes: slice(scales.bytes)),
          group: group)
      }
    return Weight(
      name: "\(name)[\(index)]", shape: Shape([shape[0] / 3] + shape.extents[1...]),
      storage: storage, activations: activations, bytes: slice(bytes), owner: owner)
  }
}
