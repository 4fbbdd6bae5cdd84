import FoundationEssentials
import PipitFormats
import PipitTensors

/// What a board can do on paper: the numbers that a projection is made from, each with its source.
package struct Board: Codable, Sendable {
  package struct Fact: Codable, Sendable {
    package let value: Double
    /// Who says so, or that it is derived or assumed.
    package let source: String
  }

  package let name: String
  package let title: String
  package let core: String
  package let cores: Fact
  package let clock_ghz: Fact
  /// Multiply-adds in f32, two operations each.
  package let f32_gflops_per_core: Fact
  /// Multiply-adds of 8-bit numbers, two operations each.
  package let int8_gops_per_core: Fact
  /// Multiply-adds in half precision, two operations each; `nil` where cores have none.
  package let f16_gflops_per_core: Fact?
  package let memory_mb: Fact
  /// What all cores together read or write, in 10^9 bytes a second.
  package let memory_gb_s: Fact
  /// The last level of cache: activations that fit do not wait for memory.
  package let cache_kb: Fact
  /// Reading the card in sequence, in 10^6 bytes a second.
  package let card_mb_s: Fact
  /// The share of the peak that products are taken to reach.
  package let compute_efficiency: Fact

  /// The boards that come with the program, smallest first.
  package static let known: [Board] = [
    PackageResources.zero2_json, PackageResources.pi4_json, PackageResources.pi5_json,
    PackageResources.i8mm_json,
  ].compactMap { try? Board(json: $0, path: "Benchmarks/boards") }

  /// A board that comes with the program, by name, or of a JSON file like those in Benchmarks/boards.
  package static func find(_ name: String) throws -> Board {
    if let board = known.first(where: { $0.name == name }) { return board }
    guard name.contains("/") || name.hasSuffix(".json") else {
      let names = known.map(\.name).joined(separator: ", ")
      throw FormatError(
        path: name, expected: "a board (\(names)) or a board's JSON file", found: "neither")
    }
    let file = try MappedFile(path: name)
    return try Board(json: Array(file.bytes.prefix(1 << 20)), path: name)
  }

  /// Reads and checks a board; `path` is for the error message.
  package init(json: [UInt8], path: String) throws {
    do {
      self = try JSONDecoder().decode(Board.self, from: Data(json))
    } catch {
      throw FormatError(
        path: path, expected: "a board as in Benchmarks/boards", found: "something else")
    }
    for (name, fact) in facts where !(fact.value > 0 && fact.value <= 1e9) {
      throw FormatError(
        path: path, part: "'\(name)'", expected: "more than 0, at most 1e9", found: "\(fact.value)")
    }
    guard compute_efficiency.value <= 1 else {
      throw FormatError(
        path: path, part: "'compute_efficiency'", expected: "at most 1",
        found: "\(compute_efficiency.value)")
    }
  }

  /// All numbers by name.
  package var facts: [(name: String, fact: Fact)] {
    [
      ("cores", cores), ("clock_ghz", clock_ghz), ("f32_gflops_per_core", f32_gflops_per_core),
      ("int8_gops_per_core", int8_gops_per_core), ("memory_mb", memory_mb),
      ("memory_gb_s", memory_gb_s), ("cache_kb", cache_kb), ("card_mb_s", card_mb_s),
      ("compute_efficiency", compute_efficiency),
    ] + (f16_gflops_per_core.map { [("f16_gflops_per_core", $0)] } ?? [])
  }

  /// Whether bytes are multiplied four times as fast as floats, or faster.
  package var hasDotProducts: Bool { int8_gops_per_core.value >= 4 * f32_gflops_per_core.value }

  /// f32 operations a second of all cores at the stated efficiency.
  var sustainedOperations: Double {
    cores.value * f32_gflops_per_core.value * 1e9 * compute_efficiency.value
  }
}
