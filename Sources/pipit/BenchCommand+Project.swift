import FoundationEssentials
import Glibc
import PipitBenchmarks
import PipitFormats
import PipitGraph
import PipitKernels
import PipitPipelines
import PipitRuntime
import PipitTensors

extension BenchCommand {
  /// `--project BOARD`: tells what a board would take, without running anything.
  func project(_ name: String) throws {
    guard kernel == nil, shape == nil, trace == nil, html == nil, compare == nil else {
      throw Failure(
        code: EX_USAGE, "--project runs nothing; it goes with --in, --per-layer and -o json only")
    }
    let board = try Board.find(name)
    let halves = try KernelTable.asksForHalves()
    guard !halves || board.f16_gflops_per_core != nil else {
      throw Failure(code: EX_USAGE, "PIPIT_F16=1: the board '\(board.name)' has no half-precision arithmetic")
    }
    let folder = try ModelFolder(path: BundleLocation.find(model))
    guard inputs.isEmpty || folder.layout == .component else {
      throw Failure(code: EX_USAGE, "'\(model)' is a pipeline; --in needs one component's folder")
    }
    let runs = try ComponentReport.runs(folder, inputs: try projectedShapes())
    let graphs = runs.map { run in
      let graph = Optimizer.optimize(run.graph, hasDotProducts: board.hasDotProducts)
      return (name: run.name, runs: run.runs, graph: graph)
    }
    let projection = Projection(
      board: board, model: model, graphs: graphs,
      fileByteCount: try ComponentReport.fileByteCount(folder), halves: halves)
    switch output {
    case .json, .jsonl: try Console.printJSON(projection)
    default: Swift.print(projection.text(perLayer: perLayer))
    }
  }

  /// The shapes of `--in NAME=1x128` or, as for a measurement, `--in NAME=FILE.npy`.
  private func projectedShapes() throws -> [String: Shape] {
    var shapes: [String: Shape] = [:]
    for option in inputs {
      let parts = option.split(separator: "=", maxSplits: 1)
      let words = parts.count == 2 ? parts[1].split(separator: "x", omittingEmptySubsequences: false) : []
      if !words.isEmpty, words.allSatisfy({ Int($0) != nil }) {
        guard let shape = BenchCommand.shape(words.map { Int($0) ?? 0 }) else {
          throw Failure(
            code: EX_USAGE,
            "--in: expected 1 to 6 extents from 1 to 1048576, at most 2^28 numbers, found '\(option)'")
        }
        shapes[String(parts[0])] = shape
      } else {
        shapes.merge(try npyArrays([option]).mapValues(\.shape)) { _, new in new }
      }
    }
    return shapes
  }

  /// A shape of sensible size.
  private static func shape(_ extents: [Int]) -> Shape? {
    guard (1...6).contains(extents.count), extents.allSatisfy({ (1...1 << 20).contains($0) })
    else { return nil }
    let count = extents.reduce(1.0) { $0 * Double($1) }
    return count <= 0x1p28 ? Shape(extents) : nil
  }
}
