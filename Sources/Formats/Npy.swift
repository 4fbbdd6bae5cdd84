package import PipitTensors

// A NumPy .npy file: "\x93NUMPY", two bytes of version, header length (2 bytes in version 1, 4 in 2 and
// 3), the header as a Python dictionary literal such as
//     {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
// and the numbers. Source: NumPy's format description (NEP 1).

/// An array of a .npy file: f32 for floating-point files, i64 for whole numbers.
package struct NpyArray: Hashable, Sendable {
  package enum Values: Hashable, Sendable {
    case floats([Float])
    case integers([Int64])
  }
  package let shape: Shape
  package let values: Values

  package init(shape: Shape, values: Values) {
    self.shape = shape
    self.values = values
  }
}

package enum Npy {
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  private static let headerLimit = 1 << 16

  package static func read(path: String) throws -> NpyArray {
    let file = try MappedFile(path: path)
    let (header, dataStart) = try header(of: file)
    let fields = try NpyHeader(header, path: path)
    let (byteCount, overflow) = fields.shape.count.multipliedReportingOverflow(
      by: fields.type.byteCount)
    guard !overflow, fields.shape.extents.allSatisfy({ $0 > 0 }) || byteCount >= 0,
      byteCount == file.bytes.count - dataStart || fields.shape.count == 0
    else {
      throw FormatError(
        path: path, expected: "\(fields.shape) of '\(fields.descriptor)'",
        found: "\(file.bytes.count - dataStart) bytes of data")
    }
    let data = UnsafeRawBufferPointer(rebasing: file.bytes[dataStart...])
    let count = fields.shape.count
    let order = fields.fortranOrder ? fortranOrder(fields.shape) : nil
    func value<T>(_ type: T.Type, _ index: Int) -> T {
      data.loadUnaligned(
        fromByteOffset: (order?[index] ?? index) * MemoryLayout<T>.size, as: T.self)
    }
    func floats(_ element: (Int) -> Float) -> NpyArray.Values { .floats((0..<count).map(element)) }
    func integers(_ element: (Int) -> Int64) -> NpyArray.Values {
      .integers((0..<count).map(element))
    }
    let values: NpyArray.Values =
      switch fields.type {
      case .f32: floats { value(Float.self, $0) }
      case .f64: floats { Float(value(Double.self, $0)) }
      case .f16: floats { halfToFloat(value(UInt16.self, $0)) }
      case .i64: integers { value(Int64.self, $0) }
      case .i32: integers { Int64(value(Int32.self, $0)) }
      case .i16: integers { Int64(value(Int16.self, $0)) }
      case .i8: integers { Int64(value(Int8.self, $0)) }
      default: integers { Int64(value(UInt8.self, $0)) }
      }
    return NpyArray(shape: fields.shape, values: values)
  }

  /// Writes f32 numbers, whole or not at all.
  package static func write(
    _ values: UnsafeBufferPointer<Float>, shape: Shape, to path: String
  ) throws {
    precondition(values.count == shape.count)
    let extents = shape.extents.map { "\($0)," }.joined(separator: " ")
    var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(extents)), }"
    // The data begins at a multiple of 64: magic, version and length take 10 bytes, the line end 1.
    header += String(repeating: " ", count: (64 - (header.utf8.count + 11) % 64) % 64) + "\n"
    let length = UInt16(header.utf8.count)
    try AtomicFile.write(to: path) { writer in
      try writer.append(magic + [1, 0, UInt8(length & 255), UInt8(length >> 8)])
      try writer.append(Array(header.utf8))
      try writer.append(UnsafeRawBufferPointer(values))
    }
  }

  private static func header(of file: MappedFile) throws -> (String, Int) {
    let bytes = file.bytes
    guard bytes.count >= 10, bytes.prefix(6).elementsEqual(magic) else {
      throw FormatError(
        path: file.path, expected: "a NumPy .npy file", found: "a file that does not begin as one")
    }
    let wide = bytes[6] >= 2
    let start = wide ? 12 : 10
    guard (1...3).contains(bytes[6]), bytes.count >= start else {
      throw FormatError(
        path: file.path, part: "version", expected: "1, 2 or 3", found: "\(bytes[6])")
    }
    let length =
      wide
      ? Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
      : Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
    guard length <= headerLimit, length <= bytes.count - start else {
      throw FormatError(
        path: file.path, part: "header length",
        expected: "at most \(min(headerLimit, bytes.count - start))", found: "\(length)")
    }
    return (String(decoding: bytes[start..<start + length], as: UTF8.self), start + length)
  }

  /// Where in a column-major file each element of the row-major order lies.
  private static func fortranOrder(_ shape: Shape) -> [Int] {
    var places: [Int] = []
    places.reserveCapacity(shape.count)
    for index in 0..<shape.count {
      var rest = index
      var place = 0
      for axis in shape.extents.indices.reversed() {
        let stride = shape.extents[..<axis].reduce(1, *)
        place += rest % shape[axis] * stride
        rest /= shape[axis]
      }
      places.append(place)
    }
    return places
  }
}

/// The three settings of a .npy header.
private struct NpyHeader {
  let descriptor: String
  let type: ElementType
  let fortranOrder: Bool
  let shape: Shape

  private static let types: [String: ElementType] = [
    "<f4": .f32, "<f8": .f64, "<f2": .f16, "<i8": .i64, "<i4": .i32, "<i2": .i16, "|i1": .i8,
    "|u1": .u8, "|b1": .bool,
  ]

  init(_ text: String, path: String) throws {
    func wrong(_ expected: String, _ found: String) -> FormatError {
      FormatError(path: path, part: "header", expected: expected, found: found)
    }
    guard let descriptor = NpyHeader.quoted(after: "'descr':", in: text) else {
      throw wrong("'descr' with a type such as '<f4'", "none")
    }
    guard let type = NpyHeader.types[descriptor] else {
      throw wrong("type " + NpyHeader.types.keys.sorted().joined(separator: " "), descriptor)
    }
    guard let order = NpyHeader.rest(after: "'fortran_order':", in: text) else {
      throw wrong("'fortran_order'", "none")
    }
    guard let shape = NpyHeader.shape(in: text) else { throw wrong("'shape' with a tuple", "none") }
    self.descriptor = descriptor
    self.type = type
    fortranOrder = order.drop { $0 == " " }.hasPrefix("True")
    self.shape = shape
  }

  private static func rest(after key: String, in text: String) -> Substring? {
    var rest = text[...]
    while !rest.isEmpty {
      if rest.hasPrefix(key) { return rest.dropFirst(key.count) }
      rest = rest.dropFirst()
    }
    return nil
  }

  private static func quoted(after key: String, in text: String) -> String? {
    guard let rest = rest(after: key, in: text)?.drop(while: { $0 == " " }), rest.first == "'"
    else {
      return nil
    }
    return String(rest.dropFirst().prefix { $0 != "'" })
  }

  private static func shape(in text: String) -> Shape? {
    guard let rest = rest(after: "'shape':", in: text)?.drop(while: { $0 == " " }),
      rest.first == "("
    else { return nil }
    var extents: [Int] = []
    for part in rest.dropFirst().prefix(while: { $0 != ")" }).split(separator: ",") {
      guard let extent = Int(part.filter { $0 != " " && $0 != "L" }), extent >= 0 else {
        return nil
      }
      extents.append(extent)
    }
    guard extents.count <= 8 else { return nil }
    return Shape(unchecked: extents)
  }
}
