/// A JSON value.
package enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  /// What kind of value it is, for error messages.
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool: "true or false"
    case .integer: "an integer"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

/// A `config.json` or the like: named settings, read with the types that the reader expects.
package struct Configuration: Sendable {
  /// The file that the settings come from, for error messages.
  package let file: String
  package let values: [String: JSONValue]

  package init(file: String, values: [String: JSONValue]) {
    self.file = file
    self.values = values
  }

  /// Whether the setting is there and not null.
  package func has(_ key: String) -> Bool { values[key] != nil && values[key] != .null }

  /// A whole number in a range; `fallback` if the setting is absent or null.
  package func integer(
    _ key: String, in range: ClosedRange<Int>, fallback: Int? = nil
  ) throws(ConfigurationError) -> Int {
    let value = try value(key, fallback.map { .integer($0) })
    guard case .integer(let integer) = value else { throw error(key, "an integer", value.kind) }
    guard range.contains(integer) else {
      throw error(key, "\(range.lowerBound) to \(range.upperBound)", "\(integer)")
    }
    return integer
  }

  /// A finite number; `fallback` if the setting is absent or null.
  package func number(_ key: String, fallback: Double? = nil) throws(ConfigurationError) -> Double {
    let value = try value(key, fallback.map { .number($0) })
    switch value {
    case .integer(let integer): return Double(integer)
    case .number(let number) where number.isFinite: return number
    default: throw error(key, "a number", value.kind)
    }
  }

  package func string(_ key: String, fallback: String? = nil) throws(ConfigurationError) -> String {
    let value = try value(key, fallback.map { .string($0) })
    guard case .string(let string) = value else { throw error(key, "a string", value.kind) }
    return string
  }

  package func bool(_ key: String, fallback: Bool? = nil) throws(ConfigurationError) -> Bool {
    let value = try value(key, fallback.map { .bool($0) })
    guard case .bool(let bool) = value else { throw error(key, "true or false", value.kind) }
    return bool
  }

  /// A list of whole numbers, each in a range.
  package func integers(
    _ key: String, in range: ClosedRange<Int>, fallback: [Int]? = nil
  ) throws(ConfigurationError) -> [Int] {
    let value = try value(key, fallback.map { .array($0.map { .integer($0) }) })
    guard case .array(let elements) = value else { throw error(key, "an array", value.kind) }
    var integers: [Int] = []
    for element in elements {
      guard case .integer(let integer) = element, range.contains(integer) else {
        throw error(
          key, "integers from \(range.lowerBound) to \(range.upperBound)",
          "\(element.kind) among them")
      }
      integers.append(integer)
    }
    return integers
  }

  package func strings(
    _ key: String, fallback: [String]? = nil
  ) throws(ConfigurationError) -> [String] {
    let value = try value(key, fallback.map { .array($0.map { .string($0) }) })
    guard case .array(let elements) = value else { throw error(key, "an array", value.kind) }
    var strings: [String] = []
    for element in elements {
      guard case .string(let string) = element else {
        throw error(key, "strings", "\(element.kind) among them")
      }
      strings.append(string)
    }
    return strings
  }

  /// The settings of a nested object; `nil` if absent or null.
  package func object(_ key: String) throws(ConfigurationError) -> Configuration? {
    guard has(key), let value = values[key] else { return nil }
    guard case .object(let object) = value else { throw error(key, "an object", value.kind) }
    return Configuration(file: "\(file), '\(key)'", values: object)
  }

  /// Refuses settings that would change the arithmetic in a way that is not implemented.
  package func require(_ key: String, _ expected: JSONValue) throws(ConfigurationError) {
    guard has(key), let value = values[key], value != expected else { return }
    throw error(key, "\(expected.text) (nothing else is supported)", value.text)
  }

  private func value(
    _ key: String, _ fallback: JSONValue?
  ) throws(ConfigurationError) -> JSONValue {
    if has(key), let value = values[key] { return value }
    guard let fallback else { throw error(key, "a value", "nothing") }
    return fallback
  }

  /// The error for a setting that is not what it should be.
  package func error(_ key: String, _ expected: String, _ found: String) -> ConfigurationError {
    ConfigurationError(file: file, key: key, expected: expected, found: found)
  }
}

extension JSONValue {
  /// The value as one would write it; arrays and objects only by kind.
  package var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value): "\"\(value.prefix(60))\""
    case .array, .object: kind
    }
  }
}

/// A setting is missing, of another type, or not supported.
package struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  package let file: String
  package let key: String
  package let expected: String
  package let found: String

  package var description: String { "\(file): '\(key)': expected \(expected), found \(found)" }
}
