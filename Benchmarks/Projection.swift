package import PipitGraph
import PipitKernels
import PipitTensors

/// How long a board would take on paper. Nothing is run: each layer takes as long as its arithmetic at the
/// stated share of the peak or its bytes at the pace of memory, whichever is longer.
///
/// Left out: handing work to threads, layers whose weights arrive late from memory, and throttling.
package struct Projection: Codable, Sendable {
  package struct Row: Codable, Sendable {
    package let name: String
    package let op: String
    package let shape: String
    /// "direct", "halves", "winograd", "integers" or "elementwise".
    package let algorithm: String
    /// Nominal operations, in 10^6.
    package let mega_operations: Double
    /// Megabytes that pass through memory.
    package let megabytes: Double
    package let compute_us: Double
    package let memory_us: Double
    package var projected_us: Double { max(compute_us, memory_us) }
    package var bound: String { compute_us >= memory_us ? "compute" : "memory" }
  }

  /// One graph, and how often it runs.
  package struct Part: Codable, Sendable {
    package let name: String
    package let runs: Int
    package let rows: [Row]
    package let projected_ms: Double
    /// Bytes of f32 weights.
    package let weight_megabytes: Double
  }

  package let kind = "projection, nothing was run"
  package let board: Board
  package let model: String
  package let parts: [Part]
  /// All parts, each as often as it runs.
  package let projected_ms: Double
  /// Reading the files from the card, once, before anything runs.
  package let card_ms: Double

  private enum CodingKeys: String, CodingKey {
    case kind, board, model, parts, projected_ms, card_ms
  }

  /// Projects optimized graphs, each run so often; `fileByteCount` is what the card must deliver. With `halves`, on a
  /// board that has half precision, products over weights of f16 take it.
  package init(
    board: Board, model: String, graphs: [(name: String, runs: Int, graph: Graph)],
    fileByteCount: Int, halves: Bool = false
  ) {
    precondition(!halves || board.f16_gflops_per_core != nil)
    self.board = board
    self.model = model
    parts = graphs.map { name, runs, graph in
      let rows = graph.nodes.compactMap { Projection.row($0, graph, board, halves: halves) }
      return Part(
        name: name, runs: runs, rows: rows,
        projected_ms: rows.reduce(0) { $0 + $1.projected_us } / 1e3,
        weight_megabytes: Double(graph.cost.weightByteCount) / 1e6)
    }
    projected_ms = parts.reduce(0) { $0 + Double($1.runs) * $1.projected_ms }
    card_ms = Double(fileByteCount) / (board.card_mb_s.value * 1e6) * 1e3
  }

  private static func row(_ node: Node, _ graph: Graph, _ board: Board, halves: Bool) -> Row? {
    guard !node.op.isView else { return nil }
    let cost = graph.cost(of: node)
    let f32 = board.f32_gflops_per_core.value
    let work = ProjectedWork(
      node, graph, nominal: cost.operationCount,
      integerShare: f32 / board.int8_gops_per_core.value,
      halfShare: halves ? board.f16_gflops_per_core.map { f32 / $0.value } : nil)
    // What fits the cache was written just before and is read again at once.
    let fits = Double(cost.activationByteCount) <= board.cache_kb.value * 1024
    let bytes = cost.weightByteCount + (fits ? 0 : cost.activationByteCount)
    let inputs = node.inputs.first.map { "\(graph[$0].shape)" } ?? ""
    return Row(
      name: graph[node.output].name, op: node.op.name + node.op.fusions,
      shape: "\(inputs)->\(graph[node.output].shape)", algorithm: work.algorithm,
      mega_operations: Double(cost.operationCount) / 1e6, megabytes: Double(bytes) / 1e6,
      compute_us: work.operations / board.sustainedOperations * 1e6,
      memory_us: Double(bytes) / (board.memory_gb_s.value * 1e9) * 1e6)
  }
}

/// The arithmetic of a node in units of the multiply-add peak: a vector instruction that is no
/// multiply-add takes the place of one, which is 8 operations of f32.
struct ProjectedWork {
  let algorithm: String
  let operations: Double

  /// Instructions on a vector of four numbers are counted as 2 operations for each number.
  private static let slot = 2.0
  /// Instructions for each output of a simple layer: loads, a few operations, a store.
  private static let simpleInstructions = 8.0

  /// `integerShare` is what a product of 8-bit integers takes of one of floats, `halfShare` what one over weights of
  /// f16 takes; `nil`: these are multiplied as floats.
  init(_ node: Node, _ graph: Graph, nominal: Int, integerShare: Double, halfShare: Double?) {
    switch node.op {
    case .linear(let op) where op.inputQuantization != nil:
      (algorithm, operations) = ("integers", Double(nominal) * integerShare)
    case .linear(let op):
      (algorithm, operations) = ProjectedWork.direct(op.weights, nominal, halfShare)
    case .conv2D(let op) where op.inputQuantization != nil:
      (algorithm, operations) = ("integers", Double(nominal) * integerShare)
    case .conv2D(let op):
      let input = graph[node.inputs[0]].shape, output = graph[node.output].shape
      let isDepthwise = op.groups == input[3] && output[3] == input[3]
      if op.usesWinograd(input: input, output: output) {
        (algorithm, operations) = ("winograd", ProjectedWork.winograd(op, input: input, output: output))
      } else {
        (algorithm, operations) = ProjectedWork.direct([op.weight], nominal, isDepthwise ? nil : halfShare)
      }
    case .attention:
      (algorithm, operations) = ("direct", Double(nominal))
    default:
      algorithm = "elementwise"
      operations = Double(nominal) * ProjectedWork.simpleInstructions * ProjectedWork.slot
    }
  }

  private static func direct(
    _ weights: [Weight], _ nominal: Int, _ halfShare: Double?
  ) -> (algorithm: String, operations: Double) {
    guard let halfShare, PackedFormat(weights).numbers == .f16 else { return ("direct", Double(nominal)) }
    return ("halves", Double(nominal) * halfShare)
  }

  /// Products at the points of evaluation, and the instructions of the three transforms.
  private static func winograd(_ op: Conv2D, input: Shape, output: Shape) -> Double {
    let cost = WinogradCost(op.groupGeometry(input: input, output: output))
    return Double(op.groups) * (2 * cost.products + slot * cost.transforms)
  }
}
