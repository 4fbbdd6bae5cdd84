import Glibc
package import PipitGraph
package import PipitKernels
package import PipitTensors

/// What whoever runs a program gave it cannot be computed with.
package enum ProgramError: Error, Sendable, CustomStringConvertible {
  case noSuchPort(name: String, available: [String])
  case idOutOfRange(input: String, id: Int32, limit: Int)

  package var description: String {
    switch self {
    case .noSuchPort(let name, let available):
      "there is no input or output '\(name)' of that type; there are: \(available.joined(separator: ", "))"
    case .idOutOfRange(let input, let id, let limit):
      "input '\(input)': id \(id) is outside the table of \(limit) rows"
    }
  }
}

/// Sees the values that a program computes on their way, such as the inputs of layers for calibration.
package protocol ProgramObserver: AnyObject {
  /// Called before a node is computed: its inputs are in memory (its output may be about to take the place of
  /// one of them).
  func willCompute(node: Int, of program: Program)
}

/// HOW a graph is computed: steps over one arena, with every pointer resolved and every weight packed.
///
/// Set all inputs, call `run`, read the outputs; inputs must be set again before the next run,
/// since their memory is used for other values once they have been read. Not for several threads at
/// once: it uses the pool's threads itself.
package final class Program {
  package let graph: Graph
  package let plan: ArenaPlan
  private let arena: Arena
  private let pool: ThreadPool
  private let steps: [LoweredNode]
  private let constants: [FloatStorage]
  private let idChecks: [IDCheck]
  /// Bytes of weights that were packed for it; 0 once what that left in memory is given back.
  private var packedByteCount: Int

  /// Who is shown the values of every run; `nil` for nobody.
  package var observer: (any ProgramObserver)?

  /// Nanoseconds of the last traced run, a node each.
  package private(set) var trace: [Int64] = []

  /// Lowers an optimized graph: plans memory, packs weights that `weights` does not have yet.
  package init(graph: Graph, kernels: KernelTable, pool: ThreadPool, weights: PackedWeights) {
    precondition(weights.level == kernels.name)
    self.graph = graph
    self.pool = pool
    arena = Arena(graph)
    plan = arena.plan
    var lowering = Lowering(
      graph: graph, kernels: kernels, threadCount: pool.threadCount, arena: arena, weights: weights)
    let packed = weights.byteCount
    // Most is in memory while the last weights are packed, and when the program first runs.
    if packed == 0 { SpentMemory.giveBackCode() }
    steps = lowering.lower()
    constants = Array(lowering.constants.values)
    idChecks = lowering.idChecks
    arena.addScratch(lowering.scratches, threadCount: pool.threadCount)
    packedByteCount = weights.byteCount - packed
  }

  /// The kernel that computes a node, by name; `nil` for nodes of which nothing is computed.
  package func kernelName(ofNode index: Int) -> String? {
    guard let first = steps[index].steps.first else { return nil }
    let type = graph[graph.nodes[index].output].elementType == .i8 ? "_i8" : "_f32"
    return first.kernelName ?? graph.nodes[index].op.name + type
  }

  /// Bytes of memory that steps use besides the arena while they run.
  package var scratchByteCount: Int { arena.scratchByteCount }

  /// The memory of an f32 input, to be filled before `run`.
  package func input(_ name: String) throws(ProgramError) -> UnsafeMutableBufferPointer<Float> {
    let (address, count) = try port(name, in: graph.inputs, .f32)
    return UnsafeMutableBufferPointer(
      start: address.assumingMemoryBound(to: Float.self), count: count)
  }

  /// The memory of an i32 input, to be filled before `run`.
  package func idInput(_ name: String) throws(ProgramError) -> UnsafeMutableBufferPointer<Int32> {
    let (address, count) = try port(name, in: graph.inputs, .i32)
    return UnsafeMutableBufferPointer(
      start: address.assumingMemoryBound(to: Int32.self), count: count)
  }

  /// The memory of an output, valid after `run` until the next change of an input.
  package func output(_ name: String) throws(ProgramError) -> UnsafeBufferPointer<Float> {
    let (address, count) = try port(name, in: graph.outputs, .f32)
    return UnsafeBufferPointer(start: address.assumingMemoryBound(to: Float.self), count: count)
  }

  package func shape(ofInput name: String) -> Shape? {
    graph.inputs.first { $0.name == name }.map { graph[$0.value].shape }
  }

  package func shape(ofOutput name: String) -> Shape? {
    graph.outputs.first { $0.name == name }.map { graph[$0.value].shape }
  }

  private func port(
    _ name: String, in ports: [Port], _ type: ElementType
  ) throws(ProgramError) -> (UnsafeMutableRawPointer, Int) {
    guard let port = ports.first(where: { $0.name == name }), graph[port.value].elementType == type,
      let address = arena.address(of: port.value)
    else { throw .noSuchPort(name: name, available: ports.map(\.name)) }
    return (address, graph[port.value].shape.count)
  }

  /// Computes the outputs. Throws before computing anything if an id is outside its table.
  package func run() throws(ProgramError) {
    for check in idChecks { try check.verify() }
    if packedByteCount > 0 { giveBackLoading() }
    if let observer { return runObserved(by: observer) }
    for node in steps {
      for step in node.steps { pool.run(step, tileCount: step.tileCount) }
    }
  }

  /// Before the first run. The next small model would only ask for its blocks again.
  private func giveBackLoading() {
    if packedByteCount >= 16 << 20 { SpentMemory.giveBackBlocks() }
    SpentMemory.giveBackCode()
    packedByteCount = 0
  }

  private func runObserved(by observer: any ProgramObserver) {
    for (index, node) in steps.enumerated() {
      observer.willCompute(node: index, of: self)
      for step in node.steps { pool.run(step, tileCount: step.tileCount) }
    }
  }

  /// The memory of an f32 value, for observers; `nil` for constants and ids.
  package func memory(of value: ValueID) -> UnsafeBufferPointer<Float>? {
    let info = graph[value]
    guard info.elementType == .f32, let address = arena.address(of: value) else { return nil }
    return UnsafeBufferPointer(
      start: address.assumingMemoryBound(to: Float.self), count: info.shape.count)
  }

  /// As `run`, noting how long each node takes.
  package func runTraced() throws(ProgramError) {
    for check in idChecks { try check.verify() }
    trace = [Int64](repeating: 0, count: steps.count)
    for (index, node) in steps.enumerated() {
      let start = monotonicNanoseconds()
      for step in node.steps { pool.run(step, tileCount: step.tileCount) }
      trace[index] = monotonicNanoseconds() - start
    }
  }
}

/// Nanoseconds of a clock that only runs forward.
package func monotonicNanoseconds() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// The steps of one node, in order; none for views and constants.
struct LoweredNode {
  let steps: [Step]
}

/// Ids that must lie in a table.
struct IDCheck {
  let input: String
  let ids: UnsafePointer<Int32>
  let count: Int
  let limit: Int

  func verify() throws(ProgramError) {
    for index in 0..<count where ids[index] < 0 || Int(ids[index]) >= limit {
      throw .idOutOfRange(input: input, id: ids[index], limit: limit)
    }
  }
}
