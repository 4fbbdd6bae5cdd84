import Glibc
import PipitTokenizers
import Testing

@Suite struct GoldenTests {
  /// The committed goldens, and those in `PIPIT_TOKENIZER_GOLDENS` where that is set.
  static let goldens: [String] = {
    let more = getenv("PIPIT_TOKENIZER_GOLDENS").map { String(cString: $0) }
    return GoldenLines.goldens(in: GoldenLines.folder)
      + (more.map(GoldenLines.goldens(in:)) ?? [])
  }()

  @Test func thereAreEnoughLines() {
    #expect(GoldenLines.committed.count >= 5_000)
  }

  @Test(arguments: goldens)
  func idsEqualTheReference(golden: String) throws {
    let text = String(decoding: try #require(GoldenLines.read(golden)), as: UTF8.self)
    let rows = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
    let folder = String(try #require(rows.first))
    let files = GoldenLines.tokenizerFiles(
      in: folder.hasPrefix("/") ? folder : GoldenLines.folder + "/" + folder)
    let tokenizer = try Tokenizer(folder: folder, contents: files)
    let place = GoldenLines.path(ofFolderOf: golden)
    let lines =
      place == GoldenLines.folder ? GoldenLines.committed : GoldenLines.lines(in: place)
    #expect(rows.count - 1 == lines.count)
    var mismatches = 0
    for (row, (expected, line)) in zip(rows.dropFirst(), lines).enumerated()
    where row % GoldenLines.stride == 0 {
      let ids = tokenizer.encode(
        utf8: line, maximumCount: row % 8 == 3 ? 12 : nil, addSpecialTokens: row % 8 != 5)
      let columns = expected.split(separator: " ")
      if columns.first.map(String.init) != GoldenLines.digest(ids) {
        mismatches += 1
        if mismatches <= 5 {
          let text = String(decoding: line.prefix(300), as: UTF8.self)
          Issue.record("row \(row): \(text.debugDescription): \(ids.prefix(60)), not \(expected)")
        }
      } else if columns.count > 1 {
        #expect(columns.dropFirst().compactMap { Int32($0) } == ids)
      }
    }
    #expect(mismatches == 0)
  }
}
