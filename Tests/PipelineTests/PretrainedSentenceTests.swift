import Glibc
import PipitFormats
import PipitPipelines
import PipitTensors
import Testing

/// Trained sentence encoders, which are too large to lie here, against what transformers makes of a hundred
/// sentences (Goldens/make_pretrained_sentences.py). They are looked for in the folder that `PIPIT_PRETRAINED` names.
/// Those of multilingual-e5-small are the published ones rounded to 4 bits (Goldens/make_e5_folder.py).
@Suite struct PretrainedSentenceTests {
  private static let folder = getenv("PIPIT_PRETRAINED").map { String(cString: $0) } ?? "/nowhere"
  private static let goldens: String = {
    let here = #filePath
    return String(here[..<(here.lastIndex(of: "/") ?? here.startIndex)]) + "/Goldens/"
  }()
  private static let models = ["all-MiniLM-L6-v2", "all-mpnet-base-v2", "multilingual-e5-small"]

  private static func isThere(_ name: String) -> Bool {
    access("\(folder)/\(name)/model.safetensors", R_OK) == 0
  }

  // Swift 6.0.3 crashes over a text with values in a macro's arguments.
  private static let found = models.filter(isThere)

  @Test(
    .enabled(if: !found.isEmpty, "PIPIT_PRETRAINED names no folder with a model that is known here"),
    arguments: found)
  func embeddingsEqualTheReference(name: String) throws {
    let file = try Safetensors(path: "\(Self.goldens)pretrained-\(name).safetensors")
    let entry = try #require(file.entries["embeddings"])
    let expected = Weight(
      name: "embeddings", shape: entry.shape, storage: .dense(entry.elementType),
      bytes: file.bytes(of: entry), owner: file.file
    ).floats()
    let text = try MappedFile(path: Self.goldens + "pretrained-sentences.txt")
    let lines = String(decoding: text.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    #expect(lines.count == 100 && entry.shape[0] == 100)
    let encoder = try TextEncoder(
      try ModelFolder(path: "\(Self.folder)/\(name)"), machine: Machine(threadCount: 2))
    let width = entry.shape[1]
    for (index, found) in try encoder.embeddings(of: lines).enumerated() {
      let wanted = Array(expected[index * width..<(index + 1) * width])
      #expect(Self.cosine(found, wanted) >= 0.9999, "'\(lines[index].prefix(60))'")
    }
  }

  private static func cosine(_ a: [Float], _ b: [Float]) -> Double {
    guard a.count == b.count else { return 0 }
    func dot(_ x: [Float], _ y: [Float]) -> Double {
      zip(x, y).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
  }
}
