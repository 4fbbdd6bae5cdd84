/// A strict pull reader of JSON over bytes, for files that hold hundreds of thousands of values.
///
/// The caller asks for what it expects and gets it where it is to lie, nothing made in between:
/// `JSONDecoder` takes 150 ms for the 250,000 pieces of XLM-R, this and the making of their table
/// 50 ms. Nothing in the bytes can make it trap: nesting is limited to `depthLimit`, every read is
/// checked, strings must be UTF-8.
struct JSONReader {
  /// A string as it lies in the file, between its quotes.
  struct RawString {
    let start: Int
    let end: Int
    let hasEscapes: Bool
  }

  /// Objects and arrays inside each other; tokenizer files need six.
  static let depthLimit = 32

  let bytes: UnsafeBufferPointer<UInt8>
  let file: String
  private(set) var position = 0
  private var depth = 0

  init(_ bytes: UnsafeBufferPointer<UInt8>, file: String) {
    self.bytes = bytes
    self.file = file
  }

  // MARK: Structure

  /// What the next value is, told by its first byte.
  enum Kind { case object, array, string, number, literal }

  /// Looks at the next value without taking it.
  mutating func nextKind() throws -> Kind {
    skipWhitespace()
    switch peek() {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"): return .literal
    default: throw malformed("a value")
    }
  }

  /// Reads an object; `body` is called at each value and must take exactly that value.
  mutating func readObject(_ body: (inout JSONReader, RawString) throws -> Void) throws {
    try enter(UInt8(ascii: "{"), "'{'")
    if take(UInt8(ascii: "}")) { return leave() }
    repeat {
      let key = try readRawString()
      try expect(UInt8(ascii: ":"), "':'")
      try body(&self, key)
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "}"), "',' or '}'")
    leave()
  }

  /// Reads an array; `body` is called at each element and must take exactly that element.
  mutating func readArray(_ body: (inout JSONReader) throws -> Void) throws {
    try enter(UInt8(ascii: "["), "'['")
    if take(UInt8(ascii: "]")) { return leave() }
    repeat {
      try body(&self)
    } while take(UInt8(ascii: ","))
    try expect(UInt8(ascii: "]"), "',' or ']'")
    leave()
  }

  /// Reads a value of any kind and forgets it.
  mutating func skipValue() throws {
    switch try nextKind() {
    case .object: try readObject { reader, _ in try reader.skipValue() }
    case .array: try readArray { try $0.skipValue() }
    case .string: _ = try readRawString()
    case .number: _ = try readNumber()
    case .literal: _ = try readLiteral()
    }
  }

  /// Checks that nothing but white space is left.
  mutating func finish() throws {
    skipWhitespace()
    if position < bytes.count { throw malformed("the end of the file") }
  }

  /// Takes the next byte that is not white space if it is `byte`.
  mutating func take(_ byte: UInt8) -> Bool {
    skipWhitespace()
    guard peek() == byte else { return false }
    position += 1
    return true
  }

  /// Takes `byte`, or throws naming `expected`.
  mutating func expect(_ byte: UInt8, _ expected: String) throws {
    guard take(byte) else { throw malformed(expected) }
  }

  private mutating func enter(_ byte: UInt8, _ expected: String) throws {
    try expect(byte, expected)
    depth += 1
    guard depth <= Self.depthLimit else {
      throw TokenizerError.tooLarge(
        file: file, what: "nested values", limit: Self.depthLimit, found: depth)
    }
  }

  private mutating func leave() {
    depth -= 1
  }

  /// The next byte; 0, which no JSON holds, at the end.
  private func peek() -> UInt8 {
    position < bytes.count ? bytes[position] : 0
  }

  private mutating func skipWhitespace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  /// The error for "something else was needed at `position`".
  func malformed(_ expected: String, at offset: Int? = nil) -> TokenizerError {
    let offset = offset ?? position
    var found = "the end of the file"
    if offset < bytes.count {
      let byte = bytes[offset]
      found =
        byte > 0x20 && byte < 0x7F
        ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
    }
    return .malformed(file: file, offset: offset, expected: expected, found: found)
  }

  // MARK: Literals and numbers

  /// `true`, `false`, or nil for `null`.
  mutating func readLiteral() throws -> Bool? {
    skipWhitespace()
    if takeWord("true") { return true }
    if takeWord("false") { return false }
    if takeWord("null") { return nil }
    throw malformed("true, false or null")
  }

  private mutating func takeWord(_ word: StaticString) -> Bool {
    let count = word.utf8CodeUnitCount
    guard position + count <= bytes.count else { return false }
    for index in 0..<count where bytes[position + index] != word.utf8Start[index] { return false }
    position += count
    return true
  }

  /// Reads a number the way the reference library's JSON parser does: up to 19 digits as one
  /// integer, then one multiplication or division by a power of ten.
  ///
  /// This may miss the nearest double by one unit in the last place, and must: scores of pieces
  /// decide ties.
  mutating func readNumber() throws -> Double {
    skipWhitespace()
    let isNegative = peek() == UInt8(ascii: "-")
    if isNegative { position += 1 }
    var significand: UInt64 = 0
    var exponent = 0
    try readDigits(into: &significand, exponent: &exponent, isFraction: false)
    if peek() == UInt8(ascii: ".") {
      position += 1
      try readDigits(into: &significand, exponent: &exponent, isFraction: true)
    }
    if peek() == UInt8(ascii: "e") || peek() == UInt8(ascii: "E") {
      position += 1
      exponent += try readExponent()
    }
    var value = Double(significand)
    if significand != 0 {
      if exponent < -308 {
        value /= 1e308
        exponent = max(exponent + 308, -308)
      }
      if exponent < 0 {
        value /= powersOfTen[-exponent]
      } else if exponent <= 308 {
        value *= powersOfTen[exponent]
      } else {
        value = .infinity
      }
    }
    guard value.isFinite else { throw malformed("a finite number") }
    return isNegative ? -value : value
  }

  private mutating func readDigits(
    into significand: inout UInt64, exponent: inout Int, isFraction: Bool
  ) throws {
    let start = position
    while case let byte = peek(), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
      let digit = UInt64(byte - UInt8(ascii: "0"))
      let (product, overflow) = significand.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(digit)
      if overflow || carry {
        // Digits past the 64th bit only move the decimal point.
        if !isFraction { exponent += 1 }
      } else {
        significand = sum
        if isFraction { exponent -= 1 }
      }
      position += 1
    }
    guard position > start else { throw malformed("a digit") }
    if !isFraction, position - start > 1, bytes[start] == UInt8(ascii: "0") {
      throw malformed("a number without leading zeros", at: start)
    }
  }

  private mutating func readExponent() throws -> Int {
    var isNegative = false
    if peek() == UInt8(ascii: "-") {
      isNegative = true
      position += 1
    } else if peek() == UInt8(ascii: "+") {
      position += 1
    }
    let start = position
    var value = 0
    while case let byte = peek(), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
      value = min(value * 10 + Int(byte - UInt8(ascii: "0")), 100_000)
      position += 1
    }
    guard position > start else { throw malformed("a digit") }
    return isNegative ? -value : value
  }

  /// Reads a number that must be a whole one in 0...`limit`.
  mutating func readCount(limit: Int) throws -> Int {
    skipWhitespace()
    let start = position
    let value = try readNumber()
    guard value >= 0, value <= Double(limit), value.rounded(.towardZero) == value else {
      throw malformed("a whole number of at most \(limit)", at: start)
    }
    return Int(value)
  }

  // MARK: Strings

  /// Reads a string and checks it; its text is made by `append(_:to:)` when needed.
  mutating func readRawString() throws -> RawString {
    try expect(UInt8(ascii: "\""), "'\"'")
    let start = position
    var hasEscapes = false
    var index = position
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "\"") {
        position = index + 1
        return RawString(start: start, end: index, hasEscapes: hasEscapes)
      }
      if byte == UInt8(ascii: "\\") {
        hasEscapes = true
        guard index + 1 < bytes.count else { break }
        index += 2
      } else if byte < 0x20 {
        throw malformed("a character that needs no escape", at: index)
      } else if byte < 0x80 {
        index += 1
      } else {
        let length = UTF8Text.sequenceLength(in: bytes, at: index)
        guard length > 0 else { throw malformed("UTF-8", at: index) }
        index += length
      }
    }
    throw malformed("'\"' at the end of a string", at: bytes.count)
  }

  /// Appends the text of a string, escapes resolved, as UTF-8.
  func append(_ string: RawString, to text: inout [UInt8]) throws {
    guard string.hasEscapes else {
      text.append(contentsOf: bytes[string.start..<string.end])
      return
    }
    var index = string.start
    while index < string.end {
      guard bytes[index] == UInt8(ascii: "\\") else {
        text.append(bytes[index])
        index += 1
        continue
      }
      let kind = bytes[index + 1]
      index += 2
      if kind == UInt8(ascii: "u") {
        try appendUnicodeEscape(at: &index, end: string.end, to: &text)
      } else if let byte = simpleEscape(kind) {
        text.append(byte)
      } else {
        throw malformed("an escape of JSON", at: index - 1)
      }
    }
  }

  /// The text of a string.
  func text(of string: RawString) throws -> String {
    var text: [UInt8] = []
    try append(string, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  private func simpleEscape(_ kind: UInt8) -> UInt8? {
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): kind
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "t"): 0x09
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    default: nil
    }
  }

  private func appendUnicodeEscape(
    at index: inout Int, end: Int, to text: inout [UInt8]
  ) throws {
    let start = index
    var value = try hexadecimalQuad(at: &index, end: end)
    if value >= 0xD800, value < 0xDC00, index + 6 <= end,
      bytes[index] == UInt8(ascii: "\\"), bytes[index + 1] == UInt8(ascii: "u")
    {
      index += 2
      let low = try hexadecimalQuad(at: &index, end: end)
      guard low >= 0xDC00, low < 0xE000 else {
        throw malformed("the second half of a surrogate pair", at: start)
      }
      value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
    }
    guard value < 0xD800 || value >= 0xE000 else {
      throw malformed("a whole surrogate pair", at: start)
    }
    UTF8Text.append(value, to: &text)
  }

  private func hexadecimalQuad(at index: inout Int, end: Int) throws -> UInt32 {
    guard index + 4 <= end else { throw malformed("four hexadecimal digits", at: index) }
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(bytes[index])).hexDigitValue, bytes[index] < 0x80
      else { throw malformed("a hexadecimal digit", at: index) }
      value = value << 4 | UInt32(digit)
      index += 1
    }
    return value
  }
}

/// The powers of ten from 1e0 to 1e308, each the double nearest to its value.
private let powersOfTen: [Double] = (0...308).map { Double("1e\($0)") ?? .infinity }
