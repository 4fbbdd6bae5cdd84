extension Tokenizer {
  /// The files of a folder that say anything about its tokenizer.
  ///
  /// Not all must be there.
  package static let fileNames = [
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt",
  ]

  /// Makes the tokenizer of a folder from its files' contents, by file name (see `fileNames`;
  /// others are ignored).
  ///
  /// The bytes are read here and not kept.
  ///
  /// `tokenizer.json` says everything. Without it, `vocab.txt` is read as BERT's, and `vocab.json`
  /// with `merges.txt` as RoBERTa's if it has a piece `<s>`, else as CLIP's.
  ///
  /// - Parameter folder: Named in errors.
  /// - Throws: `TokenizerError`.
  package init(folder: String, files: [String: UnsafeRawBufferPointer]) throws {
    func path(_ name: String) -> String { folder.isEmpty ? name : folder + "/" + name }
    var configuration = TokenizerConfiguration()
    if let bytes = files["tokenizer_config.json"] {
      configuration = try bytes.withMemoryRebound(to: UInt8.self) {
        try TokenizerConfiguration(JSONNode(parsing: $0, file: path("tokenizer_config.json")))
      }
    }
    if let bytes = files["tokenizer.json"] {
      self = try bytes.withMemoryRebound(to: UInt8.self) {
        try TokenizerFile($0, file: path("tokenizer.json")).makeTokenizer(configuration)
      }
    } else if let bytes = files["vocab.txt"] {
      self = try bytes.withMemoryRebound(to: UInt8.self) {
        try LegacyFiles.bert(vocabulary: $0, configuration, file: path("vocab.txt"))
      }
    } else if let vocabulary = files["vocab.json"], let merges = files["merges.txt"] {
      self = try vocabulary.withMemoryRebound(to: UInt8.self) { vocabulary in
        try merges.withMemoryRebound(to: UInt8.self) { merges in
          let file = path("vocab.json")
          let vocabulary = try LegacyFiles.read(vocabulary, file: file)
          let merges = try LegacyFiles.readMerges(merges, file: path("merges.txt"))
          let isRoberta =
            vocabulary.id(of: "<s>") != nil && vocabulary.id(of: "<|startoftext|>") == nil
          return isRoberta
            ? try LegacyFiles.roberta(vocabulary, merges, configuration, file: file)
            : try LegacyFiles.clip(vocabulary, merges, configuration, file: file)
        }
      }
    } else {
      throw TokenizerError.invalid(
        file: folder, member: "tokenizer",
        expected: "tokenizer.json, vocab.txt, or vocab.json and merges.txt", found: "none of them")
    }
  }

  /// As above, from arrays.
  package init(folder: String, contents: [String: [UInt8]]) throws {
    // Each array's bytes must stay where they are until all are read.
    func open(
      _ rest: ArraySlice<(key: String, value: [UInt8])>, _ files: [String: UnsafeRawBufferPointer]
    ) throws -> Tokenizer {
      guard let (name, bytes) = rest.first else {
        return try Tokenizer(folder: folder, files: files)
      }
      return try bytes.withUnsafeBytes { bytes in
        try open(rest.dropFirst(), files.merging([name: bytes]) { $1 })
      }
    }
    self = try open(contents.filter { Self.fileNames.contains($0.key) }.map { $0 }[...], [:])
  }
}
