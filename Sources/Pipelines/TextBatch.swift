import Glibc
import PipitFormats
import PipitRuntime
import PipitTensors
import PipitTokenizers

/// Texts as ids, padded to one length.
struct TextBatch {
  let texts: [[Int32]]
  /// The length, rounded up so that a stream of texts needs few programs.
  let tokens: Int
  /// `[texts, tokens]`, 1 for tokens of a text and 0 for padding.
  let mask: [Int32]

  init(_ texts: [[Int32]], tokenLimit: Int) {
    precondition(!texts.isEmpty)
    let longest = texts.map(\.count).max() ?? 1
    precondition(longest <= tokenLimit)
    let tokens = min((max(longest, 1) + 7) / 8 * 8, tokenLimit)
    self.texts = texts
    self.tokens = tokens
    var mask = [Int32](repeating: 0, count: texts.count * tokens)
    for (row, text) in texts.enumerated() {
      for column in text.indices { mask[row * tokens + column] = 1 }
    }
    self.mask = mask
  }

  /// What tells one program from another.
  var key: String { "\(texts.count)x\(tokens)" }

  /// Writes the inputs that the program has.
  func fill(_ program: Program, paddingID: Int32) throws {
    let ids = try program.idInput("input_ids")
    for index in ids.indices { ids[index] = paddingID }
    for (row, text) in texts.enumerated() {
      for (column, id) in text.enumerated() { ids[row * tokens + column] = id }
    }
    guard program.graph.inputs.contains(where: { $0.name == "attention_mask" }) else { return }
    let maskInput = try program.idInput("attention_mask")
    for index in mask.indices { maskInput[index] = mask[index] }
  }

  /// Results for texts, in their order; texts of about the same length go through `body` together, `count` at
  /// a time, so that little is spent on padding.
  static func map<Result>(
    _ texts: [[Int32]], count: Int, _ body: ([[Int32]]) throws -> [Result]
  ) rethrows -> [Result] {
    let order = texts.indices.sorted { (texts[$0].count, $0) < (texts[$1].count, $1) }
    var results = [Result?](repeating: nil, count: texts.count)
    for start in stride(from: 0, to: order.count, by: count) {
      let part = order[start..<min(start + count, order.count)]
      for (index, result) in zip(part, try body(part.map { texts[$0] })) { results[index] = result }
    }
    return results.compactMap { $0 }
  }
}

extension ModelFolder {
  /// Whether a tokenizer's files lie in the folder or in `tokenizer` beside it.
  package var hasTokenizer: Bool { (try? ModelFolder.tokenizer(at: tokenizerPlace)) != nil }

  /// The tokenizer whose files lie in the folder or, as in pipelines of diffusers, in `tokenizer` beside it,
  /// if the model has a row for each of its ids, and the most tokens that a text may have: the least of the
  /// model's limit and the tokenizer's, and more than there are special tokens.
  func tokenizer(
    vocabularyCount: Int, tokenLimit: Int
  ) throws -> (tokenizer: Tokenizer, tokenLimit: Int) {
    try ModelFolder.tokenizer(
      at: tokenizerPlace, vocabularyCount: vocabularyCount, tokenLimit: tokenLimit)
  }

  private var tokenizerPlace: String {
    let files = Set(Tokenizer.fileNames).subtracting(["tokenizer_config.json"])
    // By name, not by "..": folders of pipelines may be links.
    let parent = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    let isBeside = !files.contains(where: has) && access(parent + "tokenizer", F_OK) == 0
    return isBeside ? parent + "tokenizer" : path
  }

  /// The tokenizer whose files lie in a folder.
  private static func tokenizer(at place: String) throws -> Tokenizer {
    // The mappings live until the tokenizer has read them.
    var mapped: [String: MappedFile] = [:]
    for name in Tokenizer.fileNames where access(place + "/" + name, F_OK) == 0 {
      mapped[name] = try MappedFile(path: place + "/" + name)
    }
    return try withExtendedLifetime(mapped) {
      try Tokenizer(folder: place, files: mapped.mapValues(\.bytes))
    }
  }

  /// As the method, of the folder where the tokenizer's files lie.
  static func tokenizer(
    at place: String, vocabularyCount: Int, tokenLimit: Int
  ) throws -> (tokenizer: Tokenizer, tokenLimit: Int) {
    let tokenizer = try tokenizer(at: place)
    let tokenLimit = min(tokenLimit, tokenizer.maximumCount ?? tokenLimit)
    guard tokenizer.specialCount < tokenLimit else {
      throw FormatError(
        path: place, part: "the most tokens of a text",
        expected: "more than the tokenizer's \(tokenizer.specialCount) special tokens",
        found: "\(tokenLimit)")
    }
    guard tokenizer.vocabularyCount <= vocabularyCount else {
      throw FormatError(
        path: place + "/tokenizer.json", part: "vocabulary",
        expected: "at most vocab_size \(vocabularyCount) ids",
        found: "\(tokenizer.vocabularyCount)")
    }
    return (tokenizer, tokenLimit)
  }
}
