import PipitTokenizers
import Testing

/// Damaged tokenizer files: an error that says where, or a tokenizer that still encodes; never a
/// trap, never a hang.
@Suite struct HostileFileTests {
  /// Small folders of each family, and the file of it to damage.
  static let targets = [
    "bert/tokenizer.json", "clip/tokenizer.json", "odd_pairs/tokenizer.json",
    "unigram/tokenizer.json", "clip_without_json/vocab.json", "clip_without_json/merges.txt",
    "roberta_without_json/vocab.json", "bert_without_json/vocab.txt",
    "clip_without_json/tokenizer_config.json",
  ]

  private static let sample = "It's a café, 猫 👩‍👩‍👧 \u{1}</s> [SEP] <mask> 12,5"

  /// Loads a folder with one file replaced; what loads must also encode.
  private func load(_ files: [String: [UInt8]], _ name: String, _ bytes: [UInt8]) throws {
    var files = files
    files[name] = bytes
    do {
      let tokenizer = try Tokenizer(folder: "damaged", contents: files)
      #expect(tokenizer.encode(Self.sample, maximumCount: 40).count <= 40)
      for line in GoldenLines.committed[100..<140] { _ = tokenizer.encode(utf8: line) }
    } catch let error as TokenizerError {
      #expect(error.description.hasPrefix("damaged"))
    }
  }

  private func parts(of target: String) throws -> (files: [String: [UInt8]], name: String) {
    let slash = try #require(target.lastIndex(of: "/"))
    let files = GoldenLines.tokenizerFiles(in: GoldenLines.folder + "/" + target[..<slash])
    return (files, String(target[target.index(after: slash)...]))
  }

  @Test(arguments: targets)
  func truncatedFilesAreErrors(target: String) throws {
    let (files, name) = try parts(of: target)
    let bytes = try #require(files[name])
    let isJSON = name.hasSuffix(".json")
    let lastBrace = isJSON ? try #require(bytes.lastIndex(of: UInt8(ascii: "}"))) : 0
    for step in stride(from: 0, to: 60, by: GoldenLines.stride) {
      let count = bytes.count * step / 60
      let start = Array(bytes[..<count])
      if isJSON, count <= lastBrace {
        #expect(throws: TokenizerError.self) {
          var files = files
          files[name] = start
          _ = try Tokenizer(folder: "damaged", contents: files)
        }
      } else {
        try load(files, name, start)
      }
    }
  }

  @Test(arguments: targets)
  func flippedBitsAreErrorsOrHarmless(target: String) throws {
    let (files, name) = try parts(of: target)
    var bytes = try #require(files[name])
    var state: UInt64 = 0x5EED
    for _ in 0..<(400 / GoldenLines.stride) {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      // Half of the damage goes to the first kilobytes, where the structure is.
      let span = state & 1 == 0 ? bytes.count : min(bytes.count, 3_000)
      let position = Int(state >> 33) % span
      let bit = UInt8(1) << UInt8(state >> 8 & 7)
      bytes[position] ^= bit
      try load(files, name, bytes)
      bytes[position] ^= bit
    }
  }

  /// Letters of the base64 text changed: the trie then points anywhere.
  @Test func damagedReplacementMapsAreErrorsOrHarmless() throws {
    let bundle = GoldenLines.folder + "/../../../Models/Default/text_encoder"
    let files = GoldenLines.tokenizerFiles(in: bundle)
    var bytes = try #require(files["tokenizer.json"])
    let name = Array(#""precompiled_charsmap""#.utf8)
    let start = try #require(
      bytes.indices.dropLast(300_000).first { bytes[$0...].starts(with: name) })
    var state: UInt64 = 77
    for round in 0..<(220 / GoldenLines.stride) {
      let saved = bytes
      for _ in 0..<(1 << (round % 12)) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        // Half near the root, where all searches pass.
        let span = state & 1 == 0 ? 300_000 : 1_000
        let position = start + name.count + 10 + Int(state >> 33) % span
        if bytes[position] != UInt8(ascii: "A") { bytes[position] = UInt8(ascii: "B") }
      }
      try load(files, "tokenizer.json", bytes)
      bytes = saved
    }
  }

  @Test func deepNestingIsAnError() {
    for opening in ["[", "{\"a\":"] {
      let text = String(repeating: opening, count: 100_000)
      #expect(throws: TokenizerError.self) {
        _ = try Tokenizer(folder: "deep", contents: ["tokenizer.json": Array(text.utf8)])
      }
      let member = "{\"decoder\":" + text
      #expect(throws: TokenizerError.self) {
        _ = try Tokenizer(folder: "deep", contents: ["tokenizer.json": Array(member.utf8)])
      }
    }
  }

  @Test func aFolderWithoutFilesIsAnError() {
    #expect(
      throws: TokenizerError.invalid(
        file: "nowhere", member: "tokenizer",
        expected: "tokenizer.json, vocab.txt, or vocab.json and merges.txt",
        found: "none of them")
    ) {
      _ = try Tokenizer(folder: "nowhere", contents: ["merges.txt": [], "other.txt": []])
    }
  }

  /// Each is a whole tokenizer.json but for one wrong thing.
  @Test(arguments: [
    (#""normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA$"}"#, "charsmap"),
    (#""normalizer": {"type": "Precompiled", "precompiled_charsmap": "////fw=="}"#, "trie"),
    (#""normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}"#, "4 bytes"),
    (#""normalizer": {"type": "Unknown"}"#, "normalizer of type 'Unknown'"),
    (#""normalizer": {"type": "Replace", "pattern": {"Regex": "a+"}, "content": ""}"#, "a+"),
    (#""normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": ""}"#, "pattern"),
    (#""pre_tokenizer": {"type": "UnicodeScripts"}"#, "pre_tokenizer of type 'UnicodeScripts'"),
    (#""pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "X"}]}"#, "'X'"),
    (#""pre_tokenizer": {"type": "Metaspace", "replacement": "ab"}"#, "one character"),
    (#""pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "x"}"#, "'x'"),
    (#""post_processor": {"type": "Other"}"#, "post_processor of type 'Other'"),
    (#""post_processor": {"type": "TemplateProcessing", "single": []}"#, "no text"),
    (#""version": "2.0""#, "'2.0'"),
    (#""added_tokens": [{"id": 1}]"#, "added_tokens[0].content"),
    (#""added_tokens": 7"#, "an array"),
  ])
  func whatIsNotSupportedIsNamed(member: String, mention: String) {
    let model = #""model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}"#
    expectError("{\(member), \(model)}", mentioning: mention)
  }

  @Test(arguments: [
    (#"{"type": "Unigram", "unk_id": 5, "vocab": [["<unk>", 0.0]]}"#, "below 1"),
    (#"{"type": "Unigram", "unk_id": -1, "vocab": [["<unk>", 0.0]]}"#, "unk_id"),
    (#"{"type": "Unigram", "vocab": [["<unk>", 0.0]]}"#, "unk_id"),
    (#"{"type": "Unigram", "unk_id": 0, "vocab": []}"#, "below 0"),
    (#"{"type": "Unigram", "unk_id": 0}"#, "an array of pieces"),
    (#"{"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 1e999]]}"#, "finite"),
    (#"{"type": "Unigram", "unk_id": 0, "vocab": [["<unk>"]]}"#, "','"),
    (#"{"type": "Unigram", "unk_id": 0, "vocab": [["\ud800", 0]]}"#, "surrogate"),
    (#"{"type": "WordLevel", "vocab": {"a": 1}}"#, "model of type 'WordLevel'"),
    (#"{"type": "WordPiece", "vocab": {"a": 1}, "unk_token": "u"}"#, "continuing_subword_prefix"),
    (#"{"type": "BPE", "vocab": {"a": 99999999999}, "merges": []}"#, "whole number"),
    (#"{"type": "BPE", "vocab": {"a": 0.5}, "merges": []}"#, "whole number"),
    (#"{"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}"#, "'ab'"),
    (#"{"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}"#, "a space between"),
    (#"{"type": "BPE", "vocab": {"a": 0}, "merges": [], "dropout": 0.1}"#, "dropout"),
    (#"{"type": "BPE", "vocab": {"a": 0}}"#, "merges"),
    ("7", "'{'"),
    ("{}", "unknown"),
  ])
  func damagedModelsAreErrors(model: String, mention: String) {
    expectError("{\"model\": \(model)}", mentioning: mention)
  }

  @Test(arguments: [
    ("", "a value"), ("{", "'\"'"), ("{\"decoder\": }", "a value"), ("{}", "a model"),
    ("{\"a\": nul}", "null"), ("{\"a\": 01}", "leading zeros"), ("{\"a\": -}", "digit"),
    ("{\"a\": 1e}", "digit"), ("{\"a\": 1.}", "digit"), ("{\"a\": \"\u{1}\"}", "escape"),
    ("{\"a\": \"\\x\"}", "escape"), ("{\"a\": \"\\u12\"}", "hexadecimal"),
    ("{\"a\": \"\\ud800\\u0041\"}", "surrogate"), ("{\"a\": [1,]}", "a value"),
    ("{\"a\": 1} x", "the end"), ("{\"a\" 1}", "':'"), ("{\"a\": 1 \"b\"}", "','"),
  ])
  func brokenJSONIsAnError(text: String, mention: String) {
    // The first value read is the file itself, so an empty file misses its '{'.
    expectError(text, mentioning: text.isEmpty ? "'{'" : mention)
  }

  private func expectError(
    _ text: String, mentioning mention: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      _ = try Tokenizer(folder: "bad", contents: ["tokenizer.json": Array(text.utf8)])
      Issue.record("no error for \(text)", sourceLocation: sourceLocation)
    } catch {
      #expect(
        "\(error)".contains(mention), "\(error)", sourceLocation: sourceLocation)
      #expect("\(error)".hasPrefix("bad/tokenizer.json"), sourceLocation: sourceLocation)
    }
  }

  @Test func piecesThatBeginEachOtherAreFast() throws {
    var vocabulary = "[[\"<unk>\", 0]"
    for count in 1...800 {
      vocabulary += ",[\"" + String(repeating: "a", count: count) + "\", -1]"
    }
    let text = "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": \(vocabulary)]}}"
    let tokenizer = try Tokenizer(folder: "", contents: ["tokenizer.json": Array(text.utf8)])
    #expect(tokenizer.encode(String(repeating: "a", count: 8_000)).count == 10)
  }

  /// Small files that would make endless texts, or search endlessly.
  @Test func whatGrowsWithoutLimitIsRefused() {
    func repeated(_ text: String, _ count: Int) -> String {
      Array(repeating: text, count: count).joined(separator: ",")
    }
    let model = #""model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0]]}"#
    let doubling = #"{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}"#
    let byteLevel = #"{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}"#
    func expectRefused(_ member: String, _ list: String, _ steps: String, _ mention: String) {
      let sequence = "{\"type\": \"Sequence\", \"\(list)\": [\(steps)]}"
      expectError("{\"\(member)\": \(sequence), \(model)}", mentioning: mention)
    }
    expectRefused("normalizer", "normalizers", repeated(doubling, 40), "growth")
    expectRefused("normalizer", "normalizers", repeated(#"{"type": "NFC"}"#, 99), "steps")
    expectRefused("pre_tokenizer", "pretokenizers", repeated(byteLevel, 40), "growth")
    let long = String(repeating: "a", count: 3_000)
    expectError(
      #"{"model": {"type": "Unigram", "unk_id": 0, "vocab": [["\#(long)", 0.0]]}}"#,
      mentioning: "bytes of a piece")
    let special = #"{"SpecialToken": {"id": "x", "type_id": 0}}"#
    expectError(
      """
      {"post_processor": {"type": "TemplateProcessing", "single": [\(repeated(special, 600))],
       "special_tokens": {"x": {"id": "x", "ids": [1, 2], "tokens": ["x", "y"]}}}, \(model)}
      """, mentioning: "special ids")
  }
}
