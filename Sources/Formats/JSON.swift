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
    let data = Data(bytes)
    if let value = try? JSONDecoder().decode(JSONValue.self, from: data) { return value }
    if let repaired = namingNumbers(bytes),
      let value = try? JSONDecoder().decode(JSONValue.self, from: Data(repaired))
    {
      return value
    }
    throw FormatError(
      path: path, part: part, expected: "JSON", found: "\(bytes.count) bytes that are not")
  }

  /// Python writes `Infinity`, `-Infinity` and `NaN`, which JSON does not have, and checkpoints' settings
  /// do: the bytes with those in quotes, or `nil` if there are none.
  private static func namingNumbers(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
    let names = ["-Infinity", "Infinity", "NaN"].map { Array($0.utf8) }
    var result: [UInt8] = []
    var isRepaired = false
    var inString = false
    var index = 0
    while index < bytes.count {
      let rest = bytes[index...]
      if !inString, let name = names.first(where: { rest.starts(with: $0) }) {
        result += [UInt8(ascii: "\"")] + name + [UInt8(ascii: "\"")]
        isRepaired = true
        index += name.count
        continue
      }
      let byte = bytes[index]
      result.append(byte)
      index += 1
      if inString && byte == UInt8(ascii: "\\") && index < bytes.count {
        result.append(bytes[index])
        index += 1
      } else if byte == UInt8(ascii: "\"") {
        inString.toggle()
      }
    }
    return isRepaired ? result : nil
  }

  /// The named settings of a small JSON file.
  package static func configuration(path: String) throws -> Configuration {
    guard case .object(let values) = try value(path: path) else {
      throw FormatError(path: path, expected: "a JSON object", found: "another value")
    }
    return Configuration(file: path, values: values)
  }

  /// The named settings of each element of a small JSON file that holds an array.
  package static func configurations(path: String) throws -> [Configuration] {
    guard case .array(let elements) = try value(path: path) else {
      throw FormatError(path: path, expected: "a JSON array", found: "another value")
    }
    return try elements.enumerated().map { index, element in
      guard case .object(let values) = element else {
        throw FormatError(
          path: path, part: "element \(index)", expected: "an object", found: element.kind)
      }
      return Configuration(file: path, values: values)
    }
  }

  private static func value(path: String) throws -> JSONValue {
    let file = try MappedFile(path: path)
    let limit = 16 << 20
    guard file.bytes.count <= limit else {
      throw FormatError(
        path: path, expected: "at most \(limit) bytes of settings", found: "\(file.bytes.count)")
    }
    return try parse(file.bytes, path: path)
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
