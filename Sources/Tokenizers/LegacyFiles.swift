/// Folders from before tokenizer.json: the vocabulary lies in a file of its own, and the rest is
/// known by the kind of model, with a few choices in tokenizer_config.json.
enum LegacyFiles {
  /// BERT: `vocab.txt` holds a piece a line, numbered from 0.
  static func bert(
    vocabulary bytes: UnsafeBufferPointer<UInt8>, _ configuration: TokenizerConfiguration,
    file: String
  ) throws -> Tokenizer {
    var vocabulary = Vocabulary()
    try forEachLine(of: bytes, file: file) { number, line in
      try vocabulary.add(id: Int32(number), file: file) { $0.append(contentsOf: line) }
    }
    try vocabulary.index(file: file, beginnings: true)
    var configuration = configuration
    let unknown = configuration.unknownToken ?? "[UNK]"
    let separator = configuration.separatorToken ?? "[SEP]"
    let pad = configuration.padToken ?? "[PAD]"
    let start = configuration.classToken ?? "[CLS]"
    let mask = configuration.maskToken ?? "[MASK]"
    configuration.unknownToken = unknown
    configuration.padToken = pad
    var steps = Tokenizer.Steps()
    steps.normalizers = [
      .bert(
        BertNormalizer(
          lowercases: configuration.lowercases, stripsAccents: configuration.stripsAccents,
          isolatesIdeographs: configuration.isolatesIdeographs))
    ]
    steps.preTokenizers = [.bert]
    steps.postProcessor = PostProcessor(
      prefix: [try id(of: start, in: vocabulary, file: file)],
      suffix: [try id(of: separator, in: vocabulary, file: file)])
    steps.addedTokens = [unknown, separator, pad, start, mask].map {
      AddedTokens.Token(content: $0)
    }
    let model = try WordPiece(
      vocabulary: vocabulary, unknownToken: unknown, continuationMark: "##",
      maximumCharacters: 100, file: file)
    return try Tokenizer(
      model: .wordPiece(model), steps: steps, configuration: configuration, file: file)
  }

  /// CLIP: `vocab.json` maps pieces to ids, `merges.txt` holds a merge a line.
  static func clip(
    _ vocabulary: Vocabulary, _ merges: BytePairs.Merges,
    _ configuration: TokenizerConfiguration, file: String
  ) throws -> Tokenizer {
    var configuration = configuration
    let start = configuration.startToken ?? "<|startoftext|>"
    let end = configuration.endToken ?? "<|endoftext|>"
    let unknown = configuration.unknownToken ?? "<|endoftext|>"
    let pad = configuration.padToken ?? "<|endoftext|>"
    configuration.unknownToken = unknown
    configuration.padToken = pad
    var steps = Tokenizer.Steps()
    steps.normalizers = [.form(.nfc), .replace(.whitespaceRun, by: [0x20]), .lowercase]
    steps.preTokenizers = [
      .split(.clip(keepsSpecials: true), .removed, inverted: true),
      .byteLevel(addsPrefixSpace: false, splitsWords: true),
    ]
    steps.postProcessor = PostProcessor(
      prefix: [try id(of: start, in: vocabulary, file: file)],
      suffix: [try id(of: end, in: vocabulary, file: file)])
    // A token keeps what is first said of it: the end token is often the unknown and pad token too.
    steps.addedTokens = [
      AddedTokens.Token(content: start, isNormalized: configuration.normalizesStart),
      AddedTokens.Token(content: end, isNormalized: configuration.normalizesEnd),
    ]
    for token in [unknown, pad] where token != start && token != end {
      steps.addedTokens.append(AddedTokens.Token(content: token))
    }
    let options = BytePairs.Options(unknownToken: unknown, endOfWordMark: Array("</w>".utf8))
    let model = try BytePairs(
      vocabulary: vocabulary, merges: merges, options: options, file: file)
    return try Tokenizer(
      model: .bytePairs(model), steps: steps, configuration: configuration, file: file)
  }

  /// RoBERTa: the files are CLIP's, but pieces are GPT-2's, case and spaces kept.
  static func roberta(
    _ vocabulary: Vocabulary, _ merges: BytePairs.Merges,
    _ configuration: TokenizerConfiguration, file: String
  ) throws -> Tokenizer {
    var configuration = configuration
    let start = configuration.classToken ?? "<s>"
    let separator = configuration.separatorToken ?? "</s>"
    let unknown = configuration.unknownToken ?? "<unk>"
    let pad = configuration.padToken ?? "<pad>"
    configuration.unknownToken = unknown
    configuration.padToken = pad
    var steps = Tokenizer.Steps()
    steps.preTokenizers = [
      .byteLevel(addsPrefixSpace: configuration.addsPrefixSpace, splitsWords: true)
    ]
    steps.postProcessor = PostProcessor(
      prefix: [try id(of: start, in: vocabulary, file: file)],
      suffix: [try id(of: separator, in: vocabulary, file: file)])
    let mask = configuration.maskToken ?? "<mask>"
    steps.addedTokens = [start, separator, unknown, pad, mask].map {
      AddedTokens.Token(content: $0)
    }
    let model = try BytePairs(
      vocabulary: vocabulary, merges: merges, options: BytePairs.Options(), file: file)
    return try Tokenizer(
      model: .bytePairs(model), steps: steps, configuration: configuration, file: file)
  }

  private static func id(
    of token: String, in vocabulary: Vocabulary, file: String
  ) throws -> Int32 {
    guard let id = vocabulary.id(of: token) else {
      throw TokenizerError.invalid(
        file: file, member: "vocabulary", expected: "a piece '\(token)'", found: "none")
    }
    return id
  }

  /// Reads `vocab.json`.
  static func read(_ bytes: UnsafeBufferPointer<UInt8>, file: String) throws -> Vocabulary {
    var reader = JSONReader(bytes, file: file)
    var vocabulary = try Vocabulary.read(&reader)
    try reader.finish()
    try vocabulary.index(file: file, beginnings: false)
    return vocabulary
  }

  /// Reads `merges.txt`.
  static func readMerges(
    _ bytes: UnsafeBufferPointer<UInt8>, file: String
  ) throws -> BytePairs.Merges {
    var merges = BytePairs.Merges()
    try forEachLine(of: bytes, file: file) { number, line in
      guard try line.isEmpty || merges.add(line: line, file: file) else {
        throw TokenizerError.invalid(
          file: file, member: "line \(number + 1)", expected: "two pieces with a space between",
          found: "'\(String(decoding: line.prefix(80), as: UTF8.self))'")
      }
    }
    return merges
  }

  /// Calls `body` with the number and text of each line, which must be UTF-8.
  private static func forEachLine(
    of bytes: UnsafeBufferPointer<UInt8>, file: String,
    _ body: (Int, UnsafeBufferPointer<UInt8>) throws -> Void
  ) throws {
    var number = 0
    var start = 0
    var index = 0
    while index < bytes.count {
      let length = UTF8Text.sequenceLength(in: bytes, at: index)
      guard length > 0 else {
        throw TokenizerError.malformed(
          file: file, offset: index, expected: "UTF-8", found: "byte \(bytes[index])")
      }
      index += length
      guard index == bytes.count || bytes[index - 1] == 0x0A else { continue }
      var end = index
      if bytes[end - 1] == 0x0A { end -= 1 }
      if end > start, bytes[end - 1] == 0x0D { end -= 1 }
      try body(number, UnsafeBufferPointer(rebasing: bytes[start..<end]))
      number += 1
      start = index
    }
  }
}
