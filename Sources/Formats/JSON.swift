import FoundationEssentials
package import PipitTensors

extension JSONValue: Decodable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .string(value)
    } else if let value = try? container.decode([JSONValue].self) {
      self = .array(value)
    } else {
      self = .object(try container.decode([String: JSONValue].self))
    }
  }
}

/// Reads JSON of bytes that nobody has checked.
package enum JSON {
  /// Objects and arrays inside each other; configuration files need a handful.
  static let depthLimit = 32

  /// The value that the bytes are; `path` and `part` name them in errors.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, path: String, part: String = ""
  ) throws -> JSONValue {
    guard depth(bytes) <= depthLimit else {
      throw FormatError(
        path: path, part: part, expected: "JSON nested at most \(depthLimit) deep",
        found: "deeper nesting")
    }
    do {
      return try JSONDecoder().decode(JSONValue.self, from: Data(bytes))
    } catch {
      throw FormatError(
        path: path, part: part, expected: "JSON", found: "\(bytes.count) bytes that are not")
    }
  }

  /// The named settings of a small JSON file.
  package static func configuration(path: String) throws -> Configuration {
    let file = try MappedFile(path: path)
    let limit = 16 << 20
    guard file.bytes.count <= limit else {
      throw FormatError(
        path: path, expected: "at most \(limit) bytes of settings", found: "\(file.bytes.count)")
    }
    guard case .object(let values) = try parse(file.bytes, path: path) else {
      throw FormatError(path: path, expected: "a JSON object", found: "another value")
    }
    return Configuration(file: path, values: values)
  }

  /// How deep the brackets nest, strings left out: the decoder recurses that deep.
  private static func depth(_ bytes: UnsafeRawBufferPointer) -> Int {
    var depth = 0
    var deepest = 0
    var inString = false
    var escaped = false
    for byte in bytes {
      if inString {
        if escaped {
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): inString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        deepest = max(deepest, depth)
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      default: break
      }
    }
    return deepest
  }
}
