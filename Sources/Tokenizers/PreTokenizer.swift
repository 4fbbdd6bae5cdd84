/// One step of cutting normalized text into words.
enum PreTokenizer: Sendable {
  case bert
  case byteLevel(addsPrefixSpace: Bool, splitsWords: Bool)
  case metaspace(Metaspace)
  case whitespace
  case whitespaceSplit
  case punctuation(SplitText.Behavior)
  case digits(individually: Bool)
  case delimiter(UInt32)
  case split(TextPattern, SplitText.Behavior, inverted: Bool)

  /// The pre-tokenizers that `pre_tokenizer` of a tokenizer.json asks for, in order.
  static func parse(_ node: JSONNode) throws -> [PreTokenizer] {
    let preTokenizers = try node.components(listedIn: "pretokenizers").map(PreTokenizer.init)
    try node.checkGrowth(
      preTokenizers.map { preTokenizer in
        switch preTokenizer {
        case .byteLevel(let addsPrefixSpace, _): addsPrefixSpace ? 4 : 2
        case .metaspace: 8
        default: 1
        }
      }, limit: 64)
    return preTokenizers
  }

  private init(_ node: JSONNode) throws {
    let type = try node["type"].string()
    switch type {
    case "BertPreTokenizer": self = .bert
    case "ByteLevel":
      self = .byteLevel(
        addsPrefixSpace: try node["add_prefix_space"].bool(),
        splitsWords: try node["use_regex"].bool(or: true))
    case "Metaspace": self = .metaspace(try Metaspace(node))
    case "Whitespace": self = .whitespace
    case "WhitespaceSplit": self = .whitespaceSplit
    case "Punctuation":
      self = .punctuation(
        node["behavior"].isNull ? .isolated : try SplitText.Behavior(node["behavior"]))
    case "Digits": self = .digits(individually: try node["individual_digits"].bool())
    case "Delimiter", "CharDelimiterSplit":
      self = .delimiter(try node["delimiter"].scalar())
    case "Split":
      self = .split(
        try TextPattern(node["pattern"]), try SplitText.Behavior(node["behavior"]),
        inverted: try node["invert"].bool())
    default:
      throw TokenizerError.unsupported(file: node.file, component: "pre_tokenizer", type: type)
    }
  }

  func apply(to text: inout SplitText) {
    switch self {
    case .bert:
      text.split(.removed, at: UnicodeRules.isWhitespace)
      text.split(.isolated, at: UnicodeRules.isPunctuation)
    case .byteLevel(let addsPrefixSpace, let splitsWords):
      if addsPrefixSpace {
        text.rewrite { bytes, _, result in
          if bytes[0] != 0x20 { result.append(0x20) }
          result.append(contentsOf: bytes)
        }
      }
      if splitsWords { text.split(.isolated, TextPattern.gpt2.matches) }
      text.rewrite { bytes, _, result in ByteLevel.append(bytes, to: &result) }
    case .metaspace(let metaspace): metaspace.apply(to: &text)
    case .whitespace: text.split(.removed, inverted: true, Self.words)
    case .whitespaceSplit: text.split(.removed, at: UnicodeRules.isWhitespace)
    case .punctuation(let behavior): text.split(behavior, at: UnicodeRules.isPunctuation)
    case .digits(let individually):
      text.split(individually ? .isolated : .contiguous, at: UnicodeRules.isNumeric)
    case .delimiter(let delimiter): text.split(.removed) { $0 == delimiter }
    case .split(let pattern, let behavior, let inverted):
      text.split(behavior, inverted: inverted, pattern.matches)
    }
  }

  /// Runs of word characters, and runs of what is neither word nor white space.
  private static func words(in text: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
    var found: [Range<Int>] = []
    var runIsWord: Bool?
    var start = 0
    var index = 0
    while index < text.count {
      let position = index
      let scalar = UTF8Text.next(in: text, at: &index)
      let isWord: Bool? =
        UnicodeRules.isWord(scalar) ? true : UnicodeRules.isWhitespace(scalar) ? nil : false
      if isWord != runIsWord {
        if runIsWord != nil { found.append(start..<position) }
        start = position
        runIsWord = isWord
      }
    }
    if runIsWord != nil { found.append(start..<text.count) }
    return found
  }
}

/// SentencePiece's way to keep spaces: a visible mark takes their place, and words start with it.
struct Metaspace: Sendable {
  /// Which pieces get a mark at their start that have none.
  enum PrependScheme: String, Sendable {
    case always, first, never
  }

  private let mark: [UInt8]
  private let scheme: PrependScheme
  private let splits: Bool

  init(_ node: JSONNode) throws {
    var mark: [UInt8] = []
    UTF8Text.append(try node["replacement"].scalar(), to: &mark)
    self.mark = mark
    splits = try node["split"].bool(or: true)
    var scheme = PrependScheme.always
    if let name = try node["prepend_scheme"].stringIfAny() {
      guard let known = PrependScheme(rawValue: name) else {
        throw TokenizerError.unsupported(
          file: node.file, component: node["prepend_scheme"].path, type: name)
      }
      scheme = known
    }
    if try node["add_prefix_space"].bool(or: true) == false {
      // Older files say it this way only; together they must agree.
      guard scheme == .never else {
        throw node["prepend_scheme"].invalid(
          "'never', as add_prefix_space is false", found: "'\(scheme.rawValue)'")
      }
    }
    self.scheme = scheme
  }

  func apply(to text: inout SplitText) {
    text.rewrite { bytes, piece, result in
      let startsWithMark = bytes[0] == 0x20 || bytes.starts(with: mark)
      let wantsMark = scheme == .always || scheme == .first && piece.startsInput
      if wantsMark && !startsWithMark { result.append(contentsOf: mark) }
      for byte in bytes {
        if byte == 0x20 { result.append(contentsOf: mark) } else { result.append(byte) }
      }
    }
    if splits { text.split(.mergedWithNext, TextPattern.literal(mark).matches) }
  }
}
