/// What became of every tensor.
package struct QuantizationReport: Encodable, Sendable {
  package struct Row: Encodable, Sendable {
    /// The tensor's name, with its component's before it in a pipeline.
    package let name: String
    package let scheme: String
    /// Why it has another scheme than was asked for; empty where it has that one.
    package let reason: String
    package let shape: [Int]
    package let bytes_before: Int
    package let bytes_after: Int
    /// Signal to noise in decibels; absent where nothing was lost.
    package let sqnr_dB: Double?
    /// The cosine of the angle between the tensor before and after.
    package let cosine: Double

    init(_ name: String, _ work: TensorQuantizer, _ error: StorageError) {
      self.name = name
      scheme = work.choice.scheme.name
      reason = work.choice.reason
      shape = work.weight.shape.extents
      bytes_before = work.weight.bytes.count
      bytes_after = work.outputByteCount
      sqnr_dB = error.sqnr_dB
      cosine = error.cosine
    }
  }

  /// The tensors that hurt most first; those that lost nothing at the end, by name.
  package fileprivate(set) var rows: [Row] = []
  /// Bytes of weight files.
  package fileprivate(set) var bytes_before = 0
  package fileprivate(set) var bytes_after = 0
  /// Components that were copied as they are, since they hold integers already.
  package fileprivate(set) var copied_components: [String] = []
  /// Other forms of the weights, which were not copied.
  package fileprivate(set) var left_out: [String] = []

  mutating func add(_ rows: [Row], bytesBefore: Int, bytesAfter: Int) {
    self.rows += rows
    bytes_before += bytesBefore
    bytes_after += bytesAfter
    self.rows.sort {
      let (a, b) = ($0.sqnr_dB ?? .infinity, $1.sqnr_dB ?? .infinity)
      return a == b ? $0.name < $1.name : a < b
    }
  }

  mutating func addCopied(_ component: String) { copied_components.append(component) }
  mutating func addLeftOut(_ file: String) { left_out.append(file) }

  /// Tensors that are not as was asked for, by reason.
  package var exceptions: [(reason: String, names: [String])] {
    Dictionary(grouping: rows.filter { !$0.reason.isEmpty && $0.reason != "vector" }, by: \.reason)
      .map { (reason: $0.key, names: $0.value.map(\.name).sorted()) }
      .sorted { $0.reason < $1.reason }
  }
}
