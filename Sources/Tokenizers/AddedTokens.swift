/// Tokens that are found in a text before the model sees it: special ones like `</s>`, and words
/// added after training.
struct AddedTokens: Sendable {
  struct Token: Sendable {
    var content: String
    var isSingleWord = false
    var stripsLeft = false
    var stripsRight = false
    /// Whether it is looked for in the normalized text, by its own normalized form.
    var isNormalized = false
  }

  /// A part of a text: an added token, or what lies between.
  typealias Part = (range: Range<Int>, id: Int32?)

  /// Ids of contents.
  private(set) var ids: [String: Int32] = [:]
  private var tokens: [Int32: Token] = [:]
  /// Tokens to find in the text as it comes, and those to find after normalization.
  private var verbatim: Vocabulary?
  private var normalized: Vocabulary?

  /// Added tokens that are accepted; published models have at most a few thousand.
  private static let countLimit = 1 << 17

  /// Tokens get the id that the model has for them, or else the next free one, whatever the file
  /// says: this is what the reference does.
  init(
    _ list: [Token], modelCount: Int, modelID: (String) -> Int32?,
    normalize: ([UInt8]) -> [UInt8], file: String
  ) throws {
    guard list.count <= Self.countLimit else {
      throw TokenizerError.tooLarge(
        file: file, what: "added tokens", limit: Self.countLimit, found: list.count)
    }
    var nextID = Int32(modelCount)
    for token in list where !token.content.isEmpty {
      var id = ids[token.content] ?? modelID(token.content)
      if id == nil {
        id = nextID
        nextID += 1
      }
      ids[token.content] = id
      if let id { tokens[id] = token }
    }
    var verbatim = Vocabulary()
    var normalized = Vocabulary()
    for (id, token) in tokens.sorted(by: { $0.key < $1.key }) {
      let content = Array(token.content.utf8)
      if token.isNormalized {
        let form = normalize(content)
        if !form.isEmpty { try normalized.add(id: id, file: file) { $0 += form } }
      } else {
        try verbatim.add(id: id, file: file) { $0 += content }
      }
    }
    if verbatim.table.count > 0 {
      try verbatim.index(file: file, beginnings: true)
      self.verbatim = verbatim
    }
    if normalized.table.count > 0 {
      try normalized.index(file: file, beginnings: true)
      self.normalized = normalized
    }
  }

  /// Reads `added_tokens` of a tokenizer.json.
  static func parse(_ node: JSONNode) throws -> [Token] {
    guard !node.isNull else { return [] }
    return try node.elements().map { element in
      Token(
        content: try element["content"].string(),
        isSingleWord: try element["single_word"].bool(),
        stripsLeft: try element["lstrip"].bool(),
        stripsRight: try element["rstrip"].bool(),
        isNormalized: try element["normalized"].bool())
    }
  }

  /// Cuts a text as it came.
  func cutVerbatim(_ text: UnsafeBufferPointer<UInt8>) -> [Part] {
    cut(text, by: verbatim)
  }

  /// Cuts a normalized text.
  func cutNormalized(_ text: UnsafeBufferPointer<UInt8>) -> [Part] {
    cut(text, by: normalized)
  }

  /// At each place from the left the longest token counts; the search goes on after it.
  private func cut(_ text: UnsafeBufferPointer<UInt8>, by vocabulary: Vocabulary?) -> [Part] {
    guard let vocabulary else { return [(0..<text.count, nil)] }
    var parts: [Part] = []
    var done = 0
    var spaceEnd = 0
    var position = 0
    while position < text.count {
      let rest = UnsafeBufferPointer(rebasing: text[position...])
      guard let found = vocabulary.longestPrefix(of: rest), let token = tokens[found.id] else {
        position += 1
        continue
      }
      var range = position..<(position + found.length)
      position = range.upperBound
      if token.isSingleWord, touchesWord(range, in: text) { continue }
      if token.stripsLeft {
        let start = spaceStart(before: range.lowerBound, downTo: done, in: text)
        range = max(start, done)..<max(range.upperBound, done)
      }
      if token.stripsRight {
        // A token of spaces may be found again among the spaces it took before.
        if spaceEnd < range.upperBound {
          spaceEnd = self.spaceEnd(after: range.upperBound, in: text)
        }
        range = range.lowerBound..<spaceEnd
      }
      if done < range.lowerBound { parts.append((done..<range.lowerBound, nil)) }
      parts.append((range, found.id))
      done = range.upperBound
    }
    if done < text.count { parts.append((done..<text.count, nil)) }
    return parts
  }

  private func touchesWord(_ range: Range<Int>, in text: UnsafeBufferPointer<UInt8>) -> Bool {
    if range.lowerBound > 0 {
      var index = start(ofScalarBefore: range.lowerBound, in: text)
      if UnicodeRules.isWord(UTF8Text.next(in: text, at: &index)) { return true }
    }
    guard range.upperBound < text.count else { return false }
    var index = range.upperBound
    return UnicodeRules.isWord(UTF8Text.next(in: text, at: &index))
  }

  private func spaceStart(
    before end: Int, downTo limit: Int, in text: UnsafeBufferPointer<UInt8>
  ) -> Int {
    var start = end
    while start > limit {
      let previous = self.start(ofScalarBefore: start, in: text)
      var index = previous
      guard UnicodeRules.isWhitespace(UTF8Text.next(in: text, at: &index)) else { break }
      start = previous
    }
    return start
  }

  private func spaceEnd(after start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
    var end = start
    while end < text.count {
      var next = end
      guard UnicodeRules.isWhitespace(UTF8Text.next(in: text, at: &next)) else { break }
      end = next
    }
    return end
  }

  private func start(ofScalarBefore end: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
    var start = end - 1
    while text[start] & 0xC0 == 0x80 { start -= 1 }
    return start
  }
}
