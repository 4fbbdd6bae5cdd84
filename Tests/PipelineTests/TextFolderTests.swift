import Glibc
import PipitFormats
import PipitModels
import PipitPipelines
import PipitTensors
import Testing

/// Folders as users have them, made and run by the reference libraries (Goldens/make_text_folders.py).
@Suite struct TextFolderTests {
  private static let goldens: String = {
    let here = #filePath
    return String(here[..<(here.lastIndex(of: "/") ?? here.startIndex)]) + "/Goldens/"
  }()

  private func floats(_ golden: Configuration, _ key: String) throws -> [Float] {
    guard case .array(let values) = golden.values[key] else { return [] }
    return try values.map { try #require(TextFolderTests.number($0)) }
  }

  private static func number(_ value: JSONValue) -> Float? {
    switch value {
    case .integer(let integer): Float(integer)
    case .number(let number): Float(number)
    default: nil
    }
  }

  @Test(arguments: ["classifier-stars", "classifier-numbers", "classifier-emotions"])
  func moodsEqualTheReference(name: String) throws {
    let folder = try ModelFolder(path: Self.goldens + name)
    let golden = try folder.settings("golden.json")
    let texts = try golden.strings("texts")
    let labels = try golden.strings("labels")
    let confidences = try floats(golden, "confidences")
    let scores = try floats(golden, "scores")
    let classifier = try TextClassification(folder, machine: Machine(threadCount: 2))
    let moods = try classifier.moods(of: texts)
    #expect(moods.count == texts.count && texts.count == labels.count)
    for index in texts.indices {
      let mood = moods[index]
      #expect(mood.label == labels[index], "'\(texts[index])'")
      #expect(abs(mood.confidence - confidences[index]) < 2e-5, "'\(texts[index])'")
      #expect(abs(mood.score - scores[index]) < 2e-5, "'\(texts[index])'")
    }
  }

  @Test(arguments: ["sentences-first", "sentences-mean", "sentences-clip"])
  func embeddingsEqualTheReference(name: String) throws {
    let folder = try ModelFolder(path: Self.goldens + name)
    let golden = try folder.settings("golden.json")
    let texts = try golden.strings("texts")
    guard case .array(let rows) = golden.values["embeddings"] else { return #expect(Bool(false)) }
    let encoder = try TextEncoder(folder, machine: Machine(threadCount: 2))
    let embeddings = try encoder.embeddings(of: texts)
    #expect(embeddings.count == rows.count)
    for (index, row) in rows.enumerated() {
      guard case .array(let values) = row else { return #expect(Bool(false)) }
      let expected = values.compactMap(Self.number)
      #expect(expected.count == embeddings[index].count)
      for (found, wanted) in zip(embeddings[index], expected) {
        #expect(abs(found - wanted) < 2e-5, "'\(texts[index])'")
      }
    }
  }

  /// The reference's states for one text are those of its tokens in a batch of longer ones.
  @Test func batchesGiveWhatSingleTextsGive() throws {
    let folder = try ModelFolder(path: Self.goldens + "classifier-numbers")
    let classifier = try TextClassification(folder, machine: Machine(threadCount: 1))
    let texts = (0..<21).map { String(repeating: "good day ", count: $0 * 7 % 11) }
    let together = try classifier.moods(of: texts)
    for (text, mood) in zip(texts, together) {
      #expect(abs(try classifier.mood(of: text).score - mood.score) < 1e-5)
    }
  }

  @Test func whatIsNoTextModelIsRefused() throws {
    let machine = try Machine(threadCount: 1)
    let classifier = try ModelFolder(path: Self.goldens + "classifier-stars")
    let encoder = try ModelFolder(path: Self.goldens + "sentences-first")
    #expect(throws: FormatError.self) { try TextEncoder(classifier, machine: machine) }
    #expect(throws: FormatError.self) { try TextClassification(encoder, machine: machine) }
  }
}

@Suite struct MoodScaleTests {
  private func scale(_ labels: [String]) throws -> MoodScale {
    try MoodScale(labels: labels, file: "config.json")
  }

  /// Labels, and where each lies.
  static let scales: [(labels: [String], valences: [Double])] = [
    (["negative", "neutral", "positive"], [-1, 0, 1]),
    (["POSITIVE", "NEGATIVE"], [1, -1]),
    (["NEG", "NEU", "POS"], [-1, 0, 1]),
    (["LABEL_0", "LABEL_1"], [-1, 1]),
    (["LABEL_0", "LABEL_1", "LABEL_2"], [-1, 0, 1]),
    (["5 stars", "1 star", "3 stars", "2 stars", "4 stars"], [1, -1, 0, -0.5, 0.5]),
    (
      ["Very Negative", "Negative", "Neutral", "Positive", "Very Positive"], [-1, -0.5, 0, 0.5, 1]
    ),
    (["very_positive", "positive", "negative"], [1, 0.5, -0.5]),
    (["joy", "optimism", "anger", "sadness", "surprise"], [1, 1, -1, -1, 0]),
  ]

  @Test(arguments: scales.indices) func valences(index: Int) throws {
    #expect(try scale(Self.scales[index].labels).valences == Self.scales[index].valences)
  }

  @Test func numbersGetNames() throws {
    #expect(try scale(["LABEL_0", "LABEL_1"]).labels == ["negative", "positive"])
    #expect(try scale(["LABEL_1", "LABEL_0", "bad", "good"]).labels[0] == "LABEL_1")
    #expect(try scale(["1 star", "2 stars"]).labels == ["1 star", "2 stars"])
  }

  static let others: [[String]] = [
    [], ["LABEL_0"], ["toxic", "obscene"], ["positive"], ["positive", "neutral"], ["1 star"],
    ["1 star", "3 stars"], ["1 star", "1 star"], ["0 stars", "1 star"],
    ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"], ["9223372036854775808 stars", "1 star"],
  ]

  @Test(arguments: others)
  func labelsWithoutMoodAreRefused(labels: [String]) {
    #expect(throws: FormatError.self) { try scale(labels) }
  }
}

/// Files of sentence-transformers that ask for what is not there.
@Suite struct SentenceSettingsTests {
  /// A folder with these files, read as a sentence encoder's.
  private func settings(_ files: [String: String]) throws -> SentenceSettings {
    var template = Array("/tmp/pipit-sentence-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw FileError(path: "/tmp", action: "write", code: errno)
    }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    mkdir(folder + "/1_Pooling", 0o700)
    let all = files.merging(["config.json": "{}"]) { first, _ in first }
    defer {
      for name in all.keys { unlink(folder + "/" + name) }
      rmdir(folder + "/1_Pooling")
      rmdir(folder)
    }
    for (name, text) in all {
      let file = try #require(fopen(folder + "/" + name, "w"))
      fputs(text, file)
      fclose(file)
    }
    return try SentenceSettings(try ModelFolder(path: folder))
  }

  private func modules(_ path: String, _ type: String) -> String {
    """
    [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
     {"idx": 1, "path": "\(path)", "type": "sentence_transformers.models.\(type)"}]
    """
  }

  @Test func nothingMeansTheMean() throws {
    let settings = try settings([:])
    #expect(settings.pooling == SentencePooling(.mean, normalizes: false))
    #expect(settings.prompt.isEmpty && settings.tokenLimit == nil && !settings.lowercases)
  }

  @Test func allIsRead() throws {
    let settings = try settings([
      "modules.json": modules("1_Pooling", "Pooling").dropLast()
        + #", {"idx": 2, "path": "2_Normalize", "type": "x.Normalize"}]"#,
      "1_Pooling/config.json":
        #"{"pooling_mode_cls_token": true, "pooling_mode_max_tokens": false}"#,
      "sentence_bert_config.json": #"{"max_seq_length": 77, "do_lower_case": true}"#,
      "config_sentence_transformers.json":
        #"{"prompts": {"a": "A: ", "b": "B: "}, "default_prompt_name": "b"}"#,
    ])
    #expect(settings.pooling == SentencePooling(.first, normalizes: true))
    #expect(settings.tokenLimit == 77 && settings.lowercases && settings.prompt == "B: ")
  }

  @Test(arguments: ["Dense", "CLIPModel", "LSTM", ""])
  func otherModulesAreNamed(type: String) {
    #expect(throws: ConfigurationError.self) {
      try settings(["modules.json": modules("2_Dense", type)])
    }
  }

  @Test(arguments: ["..", "../1_Pooling", "/etc", ""])
  func pathsStayInTheFolder(path: String) {
    #expect(throws: ConfigurationError.self) {
      try settings(["modules.json": modules(path, "Pooling")])
    }
  }

  @Test(arguments: [
    "{}", #"{"pooling_mode_max_tokens": true}"#, #"{"pooling_mode": "lasttoken"}"#,
    #"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#,
    #"{"pooling_mode_mean_tokens": true, "include_prompt": false}"#,
    #"{"pooling_mode_mean_tokens": "yes"}"#,
  ])
  func otherPoolingsAreNamed(pooling: String) {
    #expect(throws: ConfigurationError.self) {
      try settings([
        "modules.json": modules("1_Pooling", "Pooling"), "1_Pooling/config.json": pooling,
      ])
    }
  }

  @Test(arguments: ["{}", "[1]", "[[]]", "x", #"[{"type": 1}]"#])
  func modulesThatAreNoneAreRefused(text: String) {
    #expect(throws: (any Error).self) { try settings(["modules.json": text]) }
  }
}
