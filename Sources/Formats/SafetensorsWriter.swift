import Glibc
package import PipitTensors

/// The tensors of a safetensors file that is to be written: its header, and where each one will lie.
///
/// Tensors of wide elements come first, then by name, so that each lies at a multiple of its element's
/// size, which readers rely on.
package struct SafetensorsPlan: Sendable {
  /// A tensor to be written.
  package struct Tensor: Hashable, Sendable {
    package let name: String
    package let elementType: ElementType
    package let shape: Shape

    package init(name: String, elementType: ElementType, shape: Shape) {
      self.name = name
      self.elementType = elementType
      self.shape = shape
    }

    package var byteCount: Int { shape.count * elementType.byteCount }
  }

  package let tensors: [Tensor]
  /// Where each tensor begins, in bytes from the start of the file.
  let offsets: [Int]
  let header: [UInt8]
  /// The bytes of the whole file.
  package let byteCount: Int
  let indexOfName: [String: Int]

  /// Names are distinct.
  package init(_ tensors: [Tensor], metadata: [String: String] = [:]) {
    self.tensors = tensors.sorted {
      let (a, b) = ($0.elementType.byteCount, $1.elementType.byteCount)
      return a == b ? $0.name < $1.name : a > b
    }
    var fields: [String: JSONValue] = [:]
    if !metadata.isEmpty { fields["__metadata__"] = .object(metadata.mapValues { .string($0) }) }
    var begins: [Int] = []
    var end = 0
    var indexOfName: [String: Int] = [:]
    for (index, tensor) in self.tensors.enumerated() {
      precondition(indexOfName.updateValue(index, forKey: tensor.name) == nil, tensor.name)
      begins.append(end)
      end += tensor.byteCount
      fields[tensor.name] = .object([
        "dtype": .string(Safetensors.typeName(tensor.elementType)),
        "shape": .array(tensor.shape.extents.map { .integer($0) }),
        "data_offsets": .array([.integer(end - tensor.byteCount), .integer(end)]),
      ])
    }
    self.indexOfName = indexOfName
    let text = JSON.text(.object(fields))
    let padding = (8 - text.utf8.count % 8) % 8
    let length = UInt64(text.utf8.count + padding)
    header =
      withUnsafeBytes(of: length.littleEndian) { Array($0) } + Array(text.utf8)
      + [UInt8](repeating: UInt8(ascii: " "), count: padding)
    let start = header.count
    offsets = begins.map { $0 + start }
    byteCount = start + end
  }

  /// Writes the file: `body` appends to the tensors, in any order and in pieces, until all are full.
  /// On any error the path holds what it held before.
  package func write(
    to path: String, _ body: (inout SafetensorsWriter) throws -> Void
  ) throws {
    try AtomicFile.replace(path) { descriptor in
      var writer = SafetensorsWriter(plan: self, descriptor: descriptor, path: path)
      try header.withUnsafeBytes { try writer.write($0, at: 0) }
      try body(&writer)
      for (tensor, written) in zip(tensors, writer.written) {
        precondition(written == tensor.byteCount, "\(tensor.name) was not written to its end")
      }
    }
  }
}

/// Fills the tensors of a planned file.
package struct SafetensorsWriter {
  private let plan: SafetensorsPlan
  private let descriptor: Int32
  private let path: String
  /// Bytes that each tensor has so far.
  private(set) var written: [Int]

  init(plan: SafetensorsPlan, descriptor: Int32, path: String) {
    self.plan = plan
    self.descriptor = descriptor
    self.path = path
    written = [Int](repeating: 0, count: plan.tensors.count)
  }

  /// Appends bytes to the tensor of that name.
  package mutating func append(_ bytes: UnsafeRawBufferPointer, to name: String) throws {
    guard let index = plan.indexOfName[name] else { preconditionFailure("\(name) is not planned") }
    precondition(bytes.count <= plan.tensors[index].byteCount - written[index], name)
    try write(bytes, at: plan.offsets[index] + written[index])
    written[index] += bytes.count
  }

  package mutating func append<Element: BitwiseCopyable>(
    _ values: [Element], to name: String
  ) throws {
    try values.withUnsafeBytes { try append($0, to: name) }
  }

  fileprivate func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    var done = 0
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw FileError(path: path, action: "write", code: count < 0 ? errno : ENOSPC)
      }
      done += count
    }
  }
}
