import PipitFormats
import PipitTensors
import Testing

@Suite struct ConfigurationTests {
  private func configuration(_ text: String) throws -> Configuration {
    let folder = TemporaryFolder()
    return try JSON.configuration(path: folder.write("config.json", text))
  }

  @Test func readsTypes() throws {
    let settings = try configuration(
      #"{"i": 3, "n": 2.5, "s": "x", "b": true, "l": [1, 2], "t": ["a"], "o": {"k": 1}, "z": null}"#
    )
    #expect(try settings.integer("i", in: 0...5) == 3)
    #expect(try settings.number("n") == 2.5)
    #expect(try settings.number("i") == 3)
    #expect(try settings.string("s") == "x")
    #expect(try settings.bool("b"))
    #expect(try settings.integers("l", in: 0...5) == [1, 2])
    #expect(try settings.strings("t") == ["a"])
    #expect(try settings.object("o")?.integer("k", in: 0...5) == 1)
    #expect(try settings.integer("z", in: 0...9, fallback: 9) == 9)
    #expect(try settings.object("missing") == nil)
  }

  @Test func namesWhatIsWrong() throws {
    let settings = try configuration(#"{"i": 99999, "s": 5, "l": [1, "x"]}"#)
    let range = message { try settings.integer("i", in: 1...10) }
    #expect(range.contains("'i': expected 1 to 10, found 99999"))
    #expect(throws: ConfigurationError.self) { try settings.string("s") }
    #expect(throws: ConfigurationError.self) { try settings.integers("l", in: 0...5) }
    #expect(throws: ConfigurationError.self) { try settings.integer("missing", in: 0...5) }
    #expect(throws: ConfigurationError.self) { try settings.require("s", .bool(true)) }
  }

  @Test(arguments: ["", "[1]", "{", "nul", "{\"a\": 1e999}", "\u{FEFF}{}", "{\"a\":1} trailing"])
  func refusesWhatIsNoObject(text: String) {
    // Some of these are read by lenient parsers; none may trap.
    if let settings = try? configuration(text) { #expect(settings.values.count <= 1) }
  }

  /// Python writes numbers that JSON does not have; they are read as their names, so that only who wants
  /// such a setting complains.
  @Test func readsWhatPythonWrites() throws {
    let settings = try configuration(
      #"{"a": -Infinity, "b": [Infinity, NaN], "c": "is \"NaN", "d": 2}"#)
    #expect(settings.values["a"] == .string("-Infinity"))
    #expect(settings.values["b"] == .array([.string("Infinity"), .string("NaN")]))
    #expect(settings.values["c"] == .string("is \"NaN"))
    #expect(try settings.integer("d", in: 0...9) == 2)
    for broken in [#"{"a": -Infinity"#, #"{"a": NaN NaN}"#, #"{NaN}"#, #"{"a": "NaN\"#] {
      #expect(throws: FormatError.self, "\(broken)") { try configuration(broken) }
    }
  }

  @Test func livesThroughDamage() {
    let text = #"{"a": [1, 2.5, "x\n", {"b": null}], "c": true, "d": -12e3, "e": "\u00e9"}"#
    abuse(Array(text.utf8)) { _ = try JSON.configuration(path: $0) }
  }

  @Test func foldersSayWhatTheyLack() throws {
    let folder = TemporaryFolder()
    #expect(throws: FormatError.self) { try ModelFolder(path: folder.path) }
    #expect(throws: FileError.self) { try ModelFolder(path: folder.path + "/none") }
    folder.write("config.json", #"{"architectures": ["BertModel"]}"#)
    let model = try ModelFolder(path: folder.path)
    #expect(model.layout == .component && model.architecture == "BertModel")
    #expect(throws: FormatError.self) { try model.component("vae") }
    #expect(throws: FormatError.self) { try model.weights() }
  }
}
