/// A JSON value as a tree, for the small parts of a file.
enum JSONValue: Sendable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  var name: String {
    switch self {
    case .null: "nothing"
    case .bool: "true or false"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

extension JSONReader {
  /// Reads a whole value.
  ///
  /// The reader's depth limit bounds the recursion.
  mutating func readValue() throws -> JSONValue {
    switch try nextKind() {
    case .object:
      var members: [String: JSONValue] = [:]
      try readObject { reader, key in
        members[try reader.text(of: key)] = try reader.readValue()
      }
      return .object(members)
    case .array:
      var elements: [JSONValue] = []
      try readArray { elements.append(try $0.readValue()) }
      return .array(elements)
    case .string: return .string(try text(of: readRawString()))
    case .number: return .number(try readNumber())
    case .literal: return try readLiteral().map { .bool($0) } ?? .null
    }
  }
}

/// A JSON value that knows where it was found, so that its errors can say so.
struct JSONNode {
  let value: JSONValue
  let path: String
  let file: String

  /// Parses a whole file.
  init(parsing bytes: UnsafeBufferPointer<UInt8>, file: String) throws {
    var reader = JSONReader(bytes, file: file)
    self.init(value: try reader.readValue(), path: "", file: file)
    try reader.finish()
  }

  init(value: JSONValue, path: String, file: String) {
    self.value = value
    self.path = path
    self.file = file
  }

  /// A member of an object; one that is absent, or of anything else, is null.
  subscript(_ name: String) -> JSONNode {
    var member = JSONValue.null
    if case .object(let members) = value { member = members[name] ?? .null }
    return JSONNode(value: member, path: path.isEmpty ? name : path + "." + name, file: file)
  }

  var isNull: Bool {
    if case .null = value { return true }
    return false
  }

  /// The error for "this is not what was expected".
  func invalid(_ expected: String, found: String? = nil) -> TokenizerError {
    .invalid(file: file, member: path, expected: expected, found: found ?? value.name)
  }

  func string() throws -> String {
    guard case .string(let text) = value else { throw invalid("a string") }
    return text
  }

  func stringIfAny() throws -> String? {
    isNull ? nil : try string()
  }

  func bool() throws -> Bool {
    guard case .bool(let isTrue) = value else { throw invalid("true or false") }
    return isTrue
  }

  func bool(or fallback: Bool) throws -> Bool {
    isNull ? fallback : try bool()
  }

  /// A whole number in 0...`limit`.
  func count(limit: Int = Int(Int32.max)) throws -> Int {
    guard case .number(let number) = value else { throw invalid("a whole number") }
    guard number >= 0, number <= Double(limit), number.rounded(.towardZero) == number else {
      throw invalid("a whole number of at most \(limit)", found: "\(number)")
    }
    return Int(number)
  }

  func elements() throws -> [JSONNode] {
    guard case .array(let elements) = value else { throw invalid("an array") }
    return elements.enumerated().map { index, element in
      JSONNode(value: element, path: "\(path)[\(index)]", file: file)
    }
  }

  /// The only scalar of a string.
  func scalar() throws -> UInt32 {
    let scalars = try string().unicodeScalars
    guard let scalar = scalars.first, scalars.count == 1 else {
      throw invalid("one character", found: "\(scalars.count)")
    }
    return scalar.value
  }

  /// Steps of one kind that a file may ask for; each runs over the whole text.
  static let componentLimit = 64

  /// This component and, where it is a `Sequence`, those inside it, in order.
  func components(listedIn list: String) throws -> [JSONNode] {
    guard !isNull else { return [] }
    guard try self["type"].string() == "Sequence" else { return [self] }
    let components = try self[list].elements().flatMap { try $0.components(listedIn: list) }
    guard components.count <= Self.componentLimit else {
      throw TokenizerError.tooLarge(
        file: file, what: "steps of \(path)", limit: Self.componentLimit, found: components.count)
    }
    return components
  }

  /// Checks how much longer a text may become in all, given the factors of its steps.
  func checkGrowth(_ factors: [Int], limit: Int) throws {
    var growth = 1
    for factor in factors {
      // No overflow: both are at most about the limit.
      growth *= min(max(1, factor), limit + 1)
      guard growth <= limit else {
        throw TokenizerError.tooLarge(
          file: file, what: "growth of a text by \(path)", limit: limit, found: growth)
      }
    }
  }
}
