import Glibc
import PipitTokenizers
import Testing

@Suite struct TokenizerTests {
  static func tokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer(
      folder: name,
      contents: GoldenLines.tokenizerFiles(in: GoldenLines.folder + "/" + name))
  }

  @Test func truncationKeepsTheEnd() throws {
    let tokenizer = try Self.tokenizer("bert")
    let text = "The old sailor painted a smiling cat in the rain."
    let whole = tokenizer.encode(text)
    #expect(tokenizer.specialCount == 2)
    #expect(tokenizer.encode(text, maximumCount: whole.count) == whole)
    #expect(tokenizer.encode(text, maximumCount: 1_000) == whole)
    for count in 2..<whole.count {
      let ids = tokenizer.encode(text, maximumCount: count)
      #expect(ids == Array(whole.prefix(count - 1)) + [whole[whole.count - 1]])
    }
    #expect(tokenizer.encode(text, maximumCount: 1) == [whole[0]])
    #expect(tokenizer.encode(text, maximumCount: 0).isEmpty)
    let bare = tokenizer.encode(text, addSpecialTokens: false)
    #expect(bare == Array(whole.dropFirst().dropLast()))
    #expect(tokenizer.encode(text, maximumCount: 3, addSpecialTokens: false) == Array(bare[..<3]))
  }

  @Test func emptyTextIsOnlySpecialIDs() throws {
    let tokenizer = try Self.tokenizer("clip")
    #expect(tokenizer.encode("") == [0, 1])
    #expect(tokenizer.encode("", addSpecialTokens: false).isEmpty)
    #expect(tokenizer.encode(utf8: [UInt8]()) == [0, 1])
  }

  @Test func bytesAndStringsAgree() throws {
    let tokenizer = try Self.tokenizer("roberta")
    for line in GoldenLines.committed.prefix(400) {
      let text = String(decoding: line, as: UTF8.self)
      #expect(tokenizer.encode(text) == tokenizer.encode(utf8: Array(text.utf8)))
    }
  }

  // Bytes, and what Python's decode(errors="replace") makes of them.
  @Test(
    arguments: [
      ([0x61, 0xFF, 0x62], "a\u{FFFD}b"),
      ([0xC0, 0x80], "\u{FFFD}\u{FFFD}"),
      ([0xE2, 0x82], "\u{FFFD}"),
      ([0xE2, 0x82, 0x61], "\u{FFFD}a"),
      ([0xED, 0xA0, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"),
      ([0xF0, 0x9F, 0x98], "\u{FFFD}"),
      ([0xF0, 0x9F, 0x98, 0x80], "\u{1F600}"),
      ([0xF0, 0x80, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"),
      ([0xF4, 0x90, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"),
      ([0xF4, 0x8F, 0xBF, 0xBF], "\u{10FFFF}"),
      ([0x80, 0x80], "\u{FFFD}\u{FFFD}"),
    ] as [([UInt8], String)])
  func invalidUTF8IsRepaired(bytes: [UInt8], text: String) throws {
    let tokenizer = try Self.tokenizer("roberta")
    #expect(tokenizer.encode(utf8: bytes) == tokenizer.encode(text))
  }

  @Test func idsOfPieces() throws {
    let tokenizer = try Self.tokenizer("bert_without_json")
    #expect(tokenizer.id(of: "[PAD]") == 0)
    #expect(tokenizer.padID == 0)
    #expect(tokenizer.unknownID == 1)
    #expect(tokenizer.id(of: "[CLS]") == 2)
    #expect(tokenizer.id(of: "no such piece") == nil)
    #expect(tokenizer.id(of: "") == nil)
    #expect(tokenizer.maximumCount == 512)
    #expect(tokenizer.vocabularyCount == 1_500)
  }

  @Test func addedTokensGetTheNextIDs() throws {
    let tokenizer = try Self.tokenizer("odd_pairs")
    let added = ["yesterday", "New York", "##", "猫", "▁the", "café"].compactMap(tokenizer.id(of:))
    #expect(added.count == 6)
    #expect(Int(try #require(added.max())) == tokenizer.vocabularyCount - 1)
  }

  @Test func padIDComesFromTheConfiguration() throws {
    let tokenizer = try Self.tokenizer("clip_without_json")
    #expect(tokenizer.padID == 1)
    #expect(tokenizer.maximumCount == 77)
  }

  /// Sixteen times the text must take about sixteen times the time, not 256 times.
  ///
  /// Time is that of the thread, so that other work on the machine does not count, and 64 times are
  /// allowed.
  @Test(arguments: ["bert", "clip", "roberta", "unigram", "odd_pairs", "odd_words"])
  func longTextsTakeLinearTime(name: String) throws {
    let tokenizer = try Self.tokenizer(name)
    for unit in ["a", "猫", "\u{301}", "</s>", " x", "é"] {
      func seconds(_ count: Int) -> Double {
        let text = String(repeating: unit, count: count)
        return threadSeconds { _ = tokenizer.encode(text) }
      }
      let short = seconds(2_000)
      let long = seconds(32_000)
      #expect(long < short * 64 + 0.02, "\(unit.debugDescription)")
    }
  }

  private func threadSeconds(_ body: () -> Void) -> Double {
    func now() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
    let start = now()
    body()
    return now() - start
  }
}
