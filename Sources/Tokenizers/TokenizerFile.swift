/// Reads a tokenizer.json in one pass: the vocabulary goes straight into its table, everything else
/// is small and read as a tree.
struct TokenizerFile {
  private var steps = Tokenizer.Steps()
  private var model: Tokenizer.Model?
  private var padToken: String?
  private let file: String

  init(_ bytes: UnsafeBufferPointer<UInt8>, file: String) throws {
    self.file = file
    var reader = JSONReader(bytes, file: file)
    try reader.readObject { reader, key in
      let name = try reader.text(of: key)
      if name == "model" {
        model = try ModelReader.read(&reader)
      } else {
        let node = JSONNode(value: try reader.readValue(), path: name, file: file)
        try take(node, named: name)
      }
    }
    try reader.finish()
  }

  private mutating func take(_ node: JSONNode, named name: String) throws {
    switch name {
    case "version":
      let version = try node.string()
      guard version == "1.0" else { throw node.invalid("'1.0'", found: "'\(version)'") }
    case "added_tokens": steps.addedTokens = try AddedTokens.parse(node)
    case "normalizer": steps.normalizers = try Normalizer.parse(node)
    case "pre_tokenizer": steps.preTokenizers = try PreTokenizer.parse(node)
    case "post_processor": steps.postProcessor = try PostProcessor(node)
    case "padding": padToken = try node["pad_token"].stringIfAny()
    // `truncation` records a setting of the training, `decoder` is for the way back.
    default: break
    }
  }

  func makeTokenizer(_ configuration: TokenizerConfiguration) throws -> Tokenizer {
    guard let model else {
      throw TokenizerError.invalid(
        file: file, member: "model", expected: "a model", found: "nothing")
    }
    var configuration = configuration
    configuration.padToken = configuration.padToken ?? padToken
    return try Tokenizer(model: model, steps: steps, configuration: configuration, file: file)
  }
}

/// Reads `model` of a tokenizer.json, whose type may be told after the vocabulary, or not at all.
struct ModelReader {
  private var pieces: PieceTable?
  private var scores: [Double] = []
  private var vocabulary: Vocabulary?
  private var merges: BytePairs.Merges?
  private var options: [String: JSONValue] = [:]

  static func read(_ reader: inout JSONReader) throws -> Tokenizer.Model {
    var result = ModelReader()
    try reader.readObject { reader, key in
      let name = try reader.text(of: key)
      switch (name, try reader.nextKind()) {
      case ("vocab", .array): try result.readPieces(&reader)
      case ("vocab", .object): result.vocabulary = try Vocabulary.read(&reader)
      case ("merges", .array): result.merges = try BytePairs.Merges(&reader)
      default: result.options[name] = try reader.readValue()
      }
    }
    return try result.makeModel(file: reader.file)
  }

  /// Reads `[["piece", score], ...]`.
  private mutating func readPieces(_ reader: inout JSONReader) throws {
    var pieces = PieceTable()
    var scores: [Double] = []
    try reader.readArray { reader in
      try reader.expect(UInt8(ascii: "["), "'['")
      let piece = try reader.readRawString()
      try pieces.add(file: reader.file) { try reader.append(piece, to: &$0) }
      try reader.expect(UInt8(ascii: ","), "','")
      scores.append(try reader.readNumber())
      try reader.expect(UInt8(ascii: "]"), "']'")
    }
    self.pieces = pieces
    self.scores = scores
  }

  private func makeModel(file: String) throws -> Tokenizer.Model {
    let node = JSONNode(value: .object(options), path: "model", file: file)
    switch try node["type"].stringIfAny() ?? guessedType {
    case "Unigram": return .unigram(try makeUnigram(node))
    case "WordPiece": return .wordPiece(try makeWordPiece(node))
    case "BPE": return .bytePairs(try makeBytePairs(node))
    case let type:
      throw TokenizerError.unsupported(file: file, component: "model", type: type)
    }
  }

  /// Files of the first versions do not name the type.
  private var guessedType: String {
    if pieces != nil { return "Unigram" }
    if merges != nil { return "BPE" }
    return options["max_input_chars_per_word"] != nil ? "WordPiece" : "unknown"
  }

  private func makeUnigram(_ node: JSONNode) throws -> Unigram {
    guard var pieces else {
      throw node["vocab"].invalid("an array of pieces", found: "none")
    }
    try pieces.index(file: node.file, beginnings: true)
    return try Unigram(
      pieces: pieces, scores: scores, unknownID: try node["unk_id"].count(),
      usesByteFallback: try node["byte_fallback"].bool(or: false), file: node.file)
  }

  private func makeWordPiece(_ node: JSONNode) throws -> WordPiece {
    guard var vocabulary else {
      throw node["vocab"].invalid("an object of pieces", found: "none")
    }
    try vocabulary.index(file: node.file, beginnings: true)
    return try WordPiece(
      vocabulary: vocabulary, unknownToken: try node["unk_token"].string(),
      continuationMark: try node["continuing_subword_prefix"].string(),
      maximumCharacters: try node["max_input_chars_per_word"].count(), file: node.file)
  }

  /// A short text that every character may get.
  private func mark(_ node: JSONNode) throws -> [UInt8] {
    let mark = Array((try node.stringIfAny() ?? "").utf8)
    guard mark.count <= 64 else {
      throw TokenizerError.tooLarge(
        file: node.file, what: "bytes of \(node.path)", limit: 64, found: mark.count)
    }
    return mark
  }

  private func makeBytePairs(_ node: JSONNode) throws -> BytePairs {
    guard var vocabulary, let merges else {
      throw node["vocab"].invalid("an object of pieces, and merges", found: "none")
    }
    guard try node["dropout"].isNull || node["dropout"].count() == 0 else {
      throw TokenizerError.unsupported(
        file: node.file, component: "model", type: "BPE with dropout")
    }
    try vocabulary.index(file: node.file, beginnings: false)
    let options = BytePairs.Options(
      unknownToken: try node["unk_token"].stringIfAny(),
      continuationMark: try mark(node["continuing_subword_prefix"]),
      endOfWordMark: try mark(node["end_of_word_suffix"]),
      fusesUnknown: try node["fuse_unk"].bool(or: false),
      usesByteFallback: try node["byte_fallback"].bool(or: false),
      ignoresMerges: try node["ignore_merges"].bool(or: false))
    return try BytePairs(
      vocabulary: vocabulary, merges: merges, options: options, file: node.file)
  }
}

extension BytePairs.Merges {
  /// Reads `[["a", "b"], ...]` or, as older files have it, `["a b", ...]`.
  init(_ reader: inout JSONReader) throws {
    var line: [UInt8] = []
    try reader.readArray { reader in
      if try reader.nextKind() == .string {
        let start = reader.position
        line.removeAll(keepingCapacity: true)
        try reader.append(try reader.readRawString(), to: &line)
        guard try line.withUnsafeBufferPointer({ try add(line: $0, file: reader.file) }) else {
          throw reader.malformed("two pieces with a space between", at: start)
        }
        return
      }
      try reader.expect(UInt8(ascii: "["), "'['")
      try reader.append(try reader.readRawString(), to: &text)
      let left = text.count
      try reader.expect(UInt8(ascii: ","), "','")
      try reader.append(try reader.readRawString(), to: &text)
      try reader.expect(UInt8(ascii: "]"), "']'")
      try add(left: left, file: reader.file)
    }
  }

  /// Adds `a b`; false if the line is not of that form.
  ///
  /// Lines with the version are passed over.
  mutating func add(line: UnsafeBufferPointer<UInt8>, file: String) throws -> Bool {
    if line.starts(with: "#version".utf8) { return true }
    let parts = line.split(separator: 0x20, omittingEmptySubsequences: false)
    guard parts.count == 2 else { return false }
    text.append(contentsOf: parts[0])
    let left = text.count
    text.append(contentsOf: parts[1])
    try add(left: left, file: file)
    return true
  }

  private mutating func add(left: Int, file: String) throws {
    ends.append((left, text.count))
    guard ends.count <= PieceTable.countLimit else {
      throw TokenizerError.tooLarge(
        file: file, what: "merges", limit: PieceTable.countLimit, found: ends.count)
    }
  }
}
