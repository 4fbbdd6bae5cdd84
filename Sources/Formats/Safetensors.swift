package import PipitTensors

// A safetensors file:
//
//     8 bytes   length n of the header, little-endian
//     n bytes   header: JSON object, name -> {"dtype", "shape", "data_offsets": [begin, end]},
//               perhaps "__metadata__" -> {string: string}; padded with spaces
//     the rest  the tensors' bytes; offsets count from here
//
// Source: the format's description in the safetensors project.

/// A memory-mapped safetensors file.
package final class Safetensors: Sendable {
  /// One tensor as the header describes it.
  package struct Entry: Sendable {
    package let name: String
    package let elementType: ElementType
    package let shape: Shape
    /// Bytes from the start of the tensors' part.
    package let range: Range<Int>
  }

  package let file: MappedFile
  package let entries: [String: Entry]
  package let metadata: [String: String]
  private let dataStart: Int

  private static let headerLimit = 100 << 20
  private static let types: [String: ElementType] = [
    "F64": .f64, "F32": .f32, "F16": .f16, "BF16": .bf16, "I64": .i64, "I32": .i32, "I16": .i16,
    "I8": .i8, "U64": .u64, "U32": .u32, "U16": .u16, "U8": .u8, "BOOL": .bool,
    "F8_E4M3": .f8e4m3, "F8_E5M2": .f8e5m2,
  ]

  /// How the header names an element type.
  static func typeName(_ type: ElementType) -> String {
    guard let name = types.first(where: { $0.value == type })?.key else {
      preconditionFailure("\(type) has no name")
    }
    return name
  }

  package init(path: String) throws {
    let file = try MappedFile(path: path)
    let header = try Safetensors.header(of: file)
    guard case .object(let fields) = try JSON.parse(header, path: path, part: "header") else {
      throw FormatError(
        path: path, part: "header", expected: "a JSON object", found: "another value")
    }
    self.file = file
    dataStart = 8 + header.count
    let dataCount = file.bytes.count - dataStart
    var entries: [String: Entry] = [:]
    for (name, value) in fields where name != "__metadata__" {
      entries[name] = try Safetensors.entry(name, value, path: path, dataCount: dataCount)
    }
    try Safetensors.checkCoverage(entries.values, dataCount: dataCount, path: path)
    self.entries = entries
    metadata = try Safetensors.metadata(fields["__metadata__"], path: path)
  }

  /// The bytes of an entry, inside the mapping.
  package func bytes(of entry: Entry) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      rebasing: file.bytes[dataStart + entry.range.lowerBound..<dataStart + entry.range.upperBound])
  }

  private static func header(of file: MappedFile) throws -> UnsafeRawBufferPointer {
    let count = file.bytes.count
    guard count >= 8 else {
      throw FormatError(
        path: file.path, expected: "a safetensors file (at least 8 bytes)", found: "\(count) bytes")
    }
    let length = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(min(headerLimit, count - 8)) else {
      throw FormatError(
        path: file.path, part: "header length",
        expected: "at most \(min(headerLimit, count - 8)) (the file has \(count) bytes)",
        found: "\(length); the file is truncated or not safetensors")
    }
    return UnsafeRawBufferPointer(rebasing: file.bytes[8..<8 + Int(length)])
  }

  private static func entry(
    _ name: String, _ value: JSONValue, path: String, dataCount: Int
  ) throws -> Entry {
    func wrong(_ expected: String, _ found: String) -> FormatError {
      FormatError(path: path, part: "tensor '\(name)'", expected: expected, found: found)
    }
    guard case .object(let fields) = value else { throw wrong("an object", value.kind) }
    guard case .string(let typeName) = fields["dtype"], let type = types[typeName] else {
      throw wrong("a known dtype", fields["dtype"]?.text ?? "none")
    }
    guard let extents = integers(fields["shape"]), let shape = Shape(unchecked: extents) else {
      throw wrong("a shape of non-negative integers", fields["shape"]?.text ?? "none")
    }
    guard let offsets = integers(fields["data_offsets"]), offsets.count == 2,
      offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= dataCount
    else {
      throw wrong(
        "data_offsets inside the file's \(dataCount) bytes of data (is it truncated?)",
        integers(fields["data_offsets"]).map { "\($0)" } ?? "none")
    }
    let (byteCount, overflow) = shape.count.multipliedReportingOverflow(by: type.byteCount)
    guard !overflow, byteCount == offsets[1] - offsets[0] else {
      throw wrong(
        "\(shape) of \(typeName) in as many bytes", "\(offsets[1] - offsets[0]) bytes")
    }
    return Entry(name: name, elementType: type, shape: shape, range: offsets[0]..<offsets[1])
  }

  private static func integers(_ value: JSONValue?) -> [Int]? {
    guard case .array(let elements) = value, elements.count <= 16 else { return nil }
    var integers: [Int] = []
    for element in elements {
      guard case .integer(let integer) = element else { return nil }
      integers.append(integer)
    }
    return integers
  }

  /// Tensors must neither overlap nor leave gaps: the format promises it, and a file that breaks it was
  /// made to be read in two ways.
  private static func checkCoverage(
    _ entries: some Collection<Entry>, dataCount: Int, path: String
  ) throws {
    var end = 0
    let byPlace = entries.sorted {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    for entry in byPlace {
      guard entry.range.lowerBound == end else {
        throw FormatError(
          path: path, part: "tensor '\(entry.name)'", expected: "data at offset \(end)",
          found: "\(entry.range.lowerBound) (tensors overlap or leave a gap)")
      }
      end = entry.range.upperBound
    }
    guard end == dataCount else {
      throw FormatError(
        path: path, expected: "\(end) bytes of tensors", found: "\(dataCount) bytes")
    }
  }

  private static func metadata(_ value: JSONValue?, path: String) throws -> [String: String] {
    guard let value else { return [:] }
    guard case .object(let fields) = value else {
      throw FormatError(
        path: path, part: "__metadata__", expected: "an object", found: value.kind)
    }
    var metadata: [String: String] = [:]
    for (key, field) in fields {
      guard case .string(let text) = field else {
        throw FormatError(
          path: path, part: "__metadata__ '\(key)'", expected: "a string", found: field.kind)
      }
      metadata[key] = text
    }
    return metadata
  }
}
