/// What `Replace` and `Split` look for.
///
/// Regular expressions are known by their text: those of the published tokenizer families are
/// written out here as matchers, and others are refused by name.
enum TextPattern: Sendable, Equatable {
  case literal([UInt8])
  /// `\s+`
  case whitespaceRun
  /// ` {2,}`
  case severalSpaces
  /// The words of GPT-2 and RoBERTa.
  case gpt2
  /// The words of CLIP. Newer files keep its two special tokens together.
  case clip(keepsSpecials: Bool)

  private static let expressions: [String: TextPattern] = [
    #"\s+"#: .whitespaceRun,
    " {2,}": .severalSpaces,
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: .gpt2,
    #"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"#: .clip(keepsSpecials: false),
    #"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"#:
      .clip(keepsSpecials: true),
  ]

  init(_ node: JSONNode) throws {
    if let text = try node["String"].stringIfAny() {
      guard !text.isEmpty else { throw node.invalid("a pattern", found: "an empty string") }
      self = .literal(Array(text.utf8))
      return
    }
    let expression = try node["Regex"].string()
    guard let pattern = Self.expressions[expression] else {
      throw TokenizerError.unsupported(
        file: node.file, component: node.path, type: "regular expression " + expression)
    }
    self = pattern
  }

  /// The matches in a text from left to right.
  func matches(in text: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var start = 0
    while start < text.count {
      let end = matchEnd(in: text, at: start)
      if end > start {
        found.append(start..<end)
        start = end
      } else {
        start += UTF8Text.length(startingWith: text[start])
      }
    }
    return found
  }

  /// Where the match at `start` ends; `start` itself if there is none.
  private func matchEnd(in text: UnsafeBufferPointer<UInt8>, at start: Int) -> Int {
    switch self {
    case .literal(let literal): return Self.end(of: literal, in: text, at: start)
    case .whitespaceRun: return Self.end(of: .space, in: text, at: start)
    case .severalSpaces:
      var end = start
      while end < text.count, text[end] == 0x20 { end += 1 }
      return end - start >= 2 ? end : start
    case .gpt2: return Self.gpt2End(in: text, at: start)
    case .clip(let keepsSpecials):
      if keepsSpecials {
        for special in Self.clipSpecials {
          let end = Self.end(of: special, in: text, at: start)
          if end > start { return end }
        }
      }
      return Self.clipEnd(in: text, at: start)
    }
  }

  private static let clipSpecials = [Array("<|startoftext|>".utf8), Array("<|endoftext|>".utf8)]

  /// Where `literal` at `start` ends; `start` if it is not there.
  private static func end(
    of literal: [UInt8], in text: UnsafeBufferPointer<UInt8>, at start: Int
  ) -> Int {
    guard start + literal.count <= text.count else { return start }
    for index in literal.indices where text[start + index] != literal[index] { return start }
    return start + literal.count
  }

  private enum Kind { case letter, number, space, other }

  private static func kind(of scalar: UInt32) -> Kind {
    if UnicodeRules.isLetter(scalar) { return .letter }
    if UnicodeRules.isNumber(scalar) { return .number }
    return UnicodeRules.isWhitespace(scalar) ? .space : .other
  }

  /// Where the run of one kind that starts at `start` ends.
  private static func end(
    of kind: Kind, in text: UnsafeBufferPointer<UInt8>, at start: Int
  ) -> Int {
    var end = start
    while end < text.count {
      var next = end
      guard Self.kind(of: UTF8Text.next(in: text, at: &next)) == kind else { break }
      end = next
    }
    return end
  }

  /// Where `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at `start` ends.
  private static func contractionEnd(in text: UnsafeBufferPointer<UInt8>, at start: Int) -> Int {
    guard text[start] == UInt8(ascii: "'"), start + 1 < text.count else { return start }
    let second = start + 2 < text.count ? text[start + 2] : 0
    switch text[start + 1] {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return second == UInt8(ascii: "e") ? start + 3 : start
    case UInt8(ascii: "l"): return second == UInt8(ascii: "l") ? start + 3 : start
    default: return start
    }
  }

  private static func clipEnd(in text: UnsafeBufferPointer<UInt8>, at start: Int) -> Int {
    let contraction = contractionEnd(in: text, at: start)
    if contraction > start { return contraction }
    var next = start
    let kind = kind(of: UTF8Text.next(in: text, at: &next))
    switch kind {
    case .space: return start
    case .number: return next
    case .letter, .other: return end(of: kind, in: text, at: start)
    }
  }

  private static func gpt2End(in text: UnsafeBufferPointer<UInt8>, at start: Int) -> Int {
    let contraction = contractionEnd(in: text, at: start)
    if contraction > start { return contraction }
    var word = start
    if text[start] == 0x20, start + 1 < text.count { word = start + 1 }
    var next = word
    let kind = kind(of: UTF8Text.next(in: text, at: &next))
    if kind != .space { return end(of: kind, in: text, at: word) }
    // White space before a word leaves its last character to the word.
    let end = end(of: .space, in: text, at: start)
    if end == text.count { return end }
    var last = end - 1
    while text[last] & 0xC0 == 0x80 { last -= 1 }
    return last > start ? last : end
  }
}
