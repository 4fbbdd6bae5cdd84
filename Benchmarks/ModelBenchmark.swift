import Glibc
package import PipitFormats
package import PipitGraph
import PipitModels
package import PipitPipelines
import PipitRuntime
import PipitTensors

/// One component of a model, timed as a whole and layer by layer.
package struct ModelBenchmark {
  package let name: String
  private let component: Component
  private let program: Program
  private let inputs: [String: NpyArray]
  private let machine: Machine

  /// On given inputs, or, where there are none, on made-up ones of the shapes that a pipeline gives.
  package init(
    name: String, folder: ModelFolder, inputs: [String: NpyArray], machine: Machine
  ) throws {
    self.name = name
    self.machine = machine
    let component = try Component(folder, machine: machine)
    self.component = component
    let shapes =
      inputs.isEmpty
      ? (ComponentReport.typicalInputs(component.architecture).first ?? [:])
      : inputs.mapValues(\.shape)
    program = try component.program("bench") {
      try component.architecture.graph(weights: component.weights, inputs: shapes)
    }
    self.inputs = inputs.isEmpty ? ModelBenchmark.madeUp(program) : inputs
    try ComponentRun.check(self.inputs, for: program)
  }

  /// Ids of 1 and normal numbers: what a model computes with them takes as long as with real ones.
  private static func madeUp(_ program: Program) -> [String: NpyArray] {
    var arrays: [String: NpyArray] = [:]
    for port in program.graph.inputs {
      let info = program.graph[port.value]
      let count = info.shape.count
      if info.elementType == .i32 {
        let ones = [Int64](repeating: 1, count: count)
        arrays[port.name] = NpyArray(shape: info.shape, values: .integers(ones))
      } else {
        var noise = GaussianNoise(seed: 1)
        arrays[port.name] = NpyArray(shape: info.shape, values: .floats(noise.next(count)))
      }
    }
    return arrays
  }

  /// Times `repetitions` runs after `warmUps`, and as many traced ones where layers are asked for.
  package func run(
    repetitions: Int, warmUps: Int, perLayer: Bool, peaks: Peaks
  ) throws -> (total: BenchmarkReport.Total, rows: [BenchmarkReport.Row]) {
    for _ in 0..<warmUps { try runOnce { try program.run() } }
    var runs: [Double] = []
    for _ in 0..<repetitions {
      try runOnce {
        let start = monotonicNanoseconds()
        try program.run()
        runs.append(Double(monotonicNanoseconds() - start) / 1e3)
      }
    }
    let timing = Timing(runs)
    let operations = program.graph.cost.operationCount
    let gflops = Double(operations) / timing.median / 1e3
    let memory = component.memory
    let total = BenchmarkReport.Total(
      threads: peaks.threads, median_us: timing.median, spread: timing.spread, runs_us: runs,
      gflops: gflops, peak_share: gflops / peaks.gflops, arena_bytes: program.plan.byteCount,
      arena_lower_bound: program.plan.lowerBound, packed_bytes: memory.packed,
      scratch_bytes: program.scratchByteCount)
    return (total, perLayer ? try layers(repetitions, peaks) : [])
  }

  /// Inputs share memory with values that come later, so they are written before each run.
  private func runOnce(_ body: () throws -> Void) throws {
    for port in program.graph.inputs {
      if let array = inputs[port.name] { try ComponentRun.fill(program, port, array) }
    }
    try body()
  }

  private func layers(_ repetitions: Int, _ peaks: Peaks) throws -> [BenchmarkReport.Row] {
    let graph = program.graph
    var times = [[Double]](repeating: [], count: graph.nodes.count)
    for _ in 0..<repetitions {
      try runOnce { try program.runTraced() }
      for (index, nanoseconds) in program.trace.enumerated() {
        times[index].append(Double(nanoseconds) / 1e3)
      }
    }
    var rows: [BenchmarkReport.Row] = []
    for (index, node) in graph.nodes.enumerated() {
      guard let kernel = program.kernelName(ofNode: index) else { continue }
      let cost = graph.cost(of: node)
      let inputs = node.inputs.first.map { "\(graph[$0].shape)" } ?? ""
      rows.append(
        BenchmarkReport.Row(
          name: graph[node.output].name, op: node.op.name + node.op.fusions,
          shape: "\(inputs)->\(graph[node.output].shape)", kernel: kernel,
          isa: machine.kernels.name, timing: Timing(times[index]),
          operations: cost.operationCount, bytes: cost.byteCount, peaks: peaks))
    }
    let sum = rows.reduce(0) { $0 + $1.median_us }
    for index in rows.indices where sum > 0 { rows[index].share = rows[index].median_us / sum }
    return rows
  }

  /// What was timed.
  package var graph: Graph { program.graph }
}
