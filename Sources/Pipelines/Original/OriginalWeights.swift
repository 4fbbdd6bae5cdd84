import PipitFormats
import PipitTensors

/// The tensors of one part of a checkpoint in the original layout, under the names that diffusers and
/// transformers give them: views into the mapped file, of whatever type lies there.
final class OriginalWeights: WeightSource {
  private let file: Safetensors
  private let prefix: String
  private let place: @Sendable (String) -> OriginalPlace?

  init(
    _ file: Safetensors, prefix: String, place: @escaping @Sendable (String) -> OriginalPlace?
  ) {
    self.file = file
    self.prefix = prefix
    self.place = place
  }

  /// Names in the file, as `weight(named:)` takes them too.
  var names: [String] { file.entries.keys.filter { $0.hasPrefix(prefix) } }

  func weight(named name: String) throws -> Weight? {
    let place = place(name) ?? OriginalPlace(name)
    let path = name.hasPrefix(prefix) ? name : prefix + place.name
    guard let entry = file.entries[path] else { return nil }
    guard let third = place.third else {
      return Weight(
        name: path, shape: entry.shape, storage: .dense(entry.elementType),
        bytes: file.bytes(of: entry), owner: file.file)
    }
    guard (1...2).contains(entry.shape.rank), entry.shape[0] % 3 == 0, entry.shape.count > 0 else {
      throw FormatError(
        path: file.file.path, part: "tensor '\(path)'",
        expected: "the rows of queries, keys and values", found: "\(entry.shape)")
    }
    let extents = entry.shape.extents
    let bytes = file.bytes(of: entry)
    let count = bytes.count / 3
    return Weight(
      name: "\(path)[\(third)]", shape: Shape([extents[0] / 3] + extents[1...]),
      storage: .dense(entry.elementType),
      bytes: UnsafeRawBufferPointer(rebasing: bytes[third * count..<(third + 1) * count]),
      owner: file.file)
  }
}
