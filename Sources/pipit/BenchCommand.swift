import ArgumentParser
import FoundationEssentials
import Glibc
import PipitBenchmarks
import PipitFormats
import PipitGraph
import PipitKernels
import PipitPipelines
import PipitRuntime
import PipitTensors

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure latency as a whole and per layer, against what this machine could do.",
    discussion: """
      The peak of arithmetic and the pace of memory are measured in the same run.
      GFLOP/s are nominal (two operations a multiply-add of the definition): fast
      convolution can pass 100 %.

      Examples:
        pipit bench                               (the default model's components)
        pipit bench Models/Default/vae --per-layer -t 1,2
        pipit bench FOLDER --in input_ids=ids.npy --in attention_mask=mask.npy
        pipit bench FOLDER --per-layer --html report.html --trace trace.json
        pipit bench FOLDER --per-layer --compare old.json
        pipit bench --kernel gemm_f32 --shape 4096x320x2880 --isa avx2
        pipit bench --kernel all
        pipit bench --project pi5 --per-layer     (on paper, for a Raspberry Pi 5)
      """)

  @Argument(help: "A model's folder or name, or one component's folder.")
  var model = "Default"

  @Option(name: .customLong("in"), help: "NAME=FILE.npy, once for each input of a component.")
  var inputs: [String] = []

  @Flag(help: "Time every layer.")
  var perLayer = false

  @Option(name: .shortAndLong, help: "Numbers of threads, e.g. 1,2,4 (default: all processors).")
  var threads: String?

  @Option(name: .shortAndLong, help: "How many runs are timed.")
  var repetitions = 10

  @Option(help: "How many runs come before.")
  var warmUps = 2

  @Option(name: .shortAndLong, help: "table, md, csv, json or jsonl.")
  var output: ReportFormat = .table

  @Option(help: "Write a timeline for Perfetto.")
  var trace: String?

  @Option(help: "Write a page with bars, roofline and memory plan.")
  var html: String?

  @Option(help: "An older report (-o json): tell what changed beyond noise.")
  var compare: String?

  @Option(help: "Time one kernel, or all of them: \(KernelBenchmark.kinds.map(\.name).joined(separator: ", "))")
  var kernel: String?

  @Option(help: "The kernel's shape, e.g. 512x512x512 (default: the models' shapes).")
  var shape: String?

  @Option(help: "The instruction-set level (default: the best, or $PIPIT_ISA).")
  var isa: String?

  @Flag(help: "Run even a model that seems to take more memory than the machine has.")
  var force = false

  @Option(
    help: ArgumentHelp(
      "Compute on paper, without running, what a board would take: "
        + "\(Board.known.map(\.name).joined(separator: ", ")) or a board's JSON file.",
      valueName: "board"))
  var project: String?

  mutating func run() throws {
    if let project {
      try self.project(project)
      return
    }
    try checkOptions()
    if let isa { setenv("PIPIT_ISA", isa, 1) }
    let counts = try threadCounts()
    let older = try compare.map(BenchCommand.report)
    let before = MachineState.now()
    if let kernel {
      try kernels(kernel, counts, before, older)
      return
    }
    let folder = try ModelFolder(path: BundleLocation.find(model))
    if folder.layout == .component {
      try bench(folder, name: folder.path, counts, before, older)
      return
    }
    guard inputs.isEmpty, trace == nil, html == nil, compare == nil else {
      throw Failure(
        code: EX_USAGE,
        "'\(model)' is a pipeline; --in, --trace, --html and --compare need one component's folder")
    }
    for name in folder.configuration.values.keys.sorted() where folder.has(name + "/config.json") {
      try bench(try folder.component(name), name: name, counts, before, nil)
    }
  }

  private func checkOptions() throws {
    guard (1...100_000).contains(repetitions) else {
      throw Failure(code: EX_USAGE, "-r: expected 1 to 100000, found \(repetitions)")
    }
    guard (0...100_000).contains(warmUps) else {
      throw Failure(code: EX_USAGE, "--warm-ups: expected 0 to 100000, found \(warmUps)")
    }
    if kernel != nil, !inputs.isEmpty || perLayer || trace != nil || html != nil {
      throw Failure(
        code: EX_USAGE, "--kernel runs no model; it goes with --shape, --isa, -t, -r, -o and --compare only")
    }
    guard shape == nil || kernel != nil else {
      throw Failure(code: EX_USAGE, "--shape goes with --kernel, whose shape it is")
    }
    if let trace { try OutputFile.check(trace, "--trace") }
    if let html { try OutputFile.check(html, "--html") }
  }

  // MARK: Models

  private func bench(
    _ folder: ModelFolder, name: String, _ counts: [Int], _ before: MachineState,
    _ older: BenchmarkReport?
  ) throws {
    let arrays = try npyArrays(inputs)
    var report: BenchmarkReport?
    var graph: Graph?
    for count in counts {
      let machine = try Machine(threadCount: count, ignoresMemory: force)
      let peaks = Peaks.measured(kernels: machine.kernels, pool: machine.pool)
      let benchmark = try ModelBenchmark(
        name: name, folder: folder, inputs: arrays, machine: machine)
      let (total, rows) = try benchmark.run(
        repetitions: repetitions, warmUps: warmUps, perLayer: wantsLayers, peaks: peaks)
      if report == nil { report = empty(name, machine.kernels.name, before) }
      report?.peaks.append(peaks)
      report?.rows += rows
      report?.totals.append(total)
      graph = benchmark.graph
    }
    guard var report, let graph else { return }
    report.total = report.totals.first
    report.machine_after = MachineState.now()
    try print(report, older)
    if let trace {
      try AtomicFile.write(Array(try JSONEncoder().encode(TraceFile(report))), to: trace)
    }
    if let html { try AtomicFile.write(Array(HTMLReport(report, graph: graph).page.utf8), to: html) }
  }

  private var wantsLayers: Bool { perLayer || trace != nil || html != nil }

  private func empty(_ name: String, _ isa: String, _ before: MachineState) -> BenchmarkReport {
    BenchmarkReport(
      machine: before, version: pipitVersion, isa: isa, model: name, peaks: [])
  }

  // MARK: Kernels

  private func kernels(
    _ name: String, _ counts: [Int], _ before: MachineState, _ older: BenchmarkReport?
  ) throws {
    let kinds = KernelBenchmark.kinds.filter { name == "all" || $0.name == name }
    guard !kinds.isEmpty else {
      let known = KernelBenchmark.kinds.map(\.name).joined(separator: ", ")
      throw Failure(code: EX_USAGE, "--kernel: expected all or one of \(known), found '\(name)'")
    }
    var report: BenchmarkReport?
    for count in counts {
      let machine = try Machine(threadCount: count)
      let peaks = Peaks.measured(kernels: machine.kernels, pool: machine.pool)
      if report == nil { report = empty("kernels", machine.kernels.name, before) }
      report?.peaks.append(peaks)
      for kind in kinds {
        for shape in try shapes(of: kind, on: machine.kernels) {
          report?.rows.append(
            KernelBenchmark.run(
              kind, shape: shape, kernels: machine.kernels, pool: machine.pool,
              repetitions: repetitions, peaks: peaks))
        }
      }
    }
    guard var report else { return }
    report.machine_after = MachineState.now()
    try print(report, older)
  }

  /// The shapes to measure; none of a kernel that was not asked for by name and that the level lacks.
  private func shapes(of kind: KernelBenchmark.Kind, on kernels: KernelTable) throws -> [[Int]] {
    guard let shape else {
      let shapes = kind.standardShapes.filter { kind.computes($0, on: kernels) }
      guard shapes.isEmpty, kernel == kind.name else { return shapes }
      throw Failure(code: EX_USAGE, "--kernel: \(kernels.name) has no \(kind.name)")
    }
    let extents = shape.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    if let expected = kind.extents.problem(with: extents) {
      throw Failure(
        code: EX_USAGE, "--shape: \(kind.name) expects \(expected), found '\(shape)'")
    }
    guard kind.computes(extents, on: kernels) else {
      throw Failure(
        code: EX_USAGE, "--shape: \(kernels.name) does not compute '\(shape)' with \(kind.name); "
          + "without --shape those are measured that are meant for it")
    }
    let needed = kind.extents.byteCount(extents)
    if let free = FreeMemory(), needed > free.byteCount {
      throw Failure(
        code: EX_OSERR, "--shape \(shape): this takes \(Console.bytes(needed)) of memory, "
          + "\(Console.bytes(free.byteCount)) are free (\(free.reason))")
    }
    return [extents]
  }

  // MARK: Input and output

  private func threadCounts() throws -> [Int] {
    guard let threads else {
      var options = MachineOptions()
      options.threads = nil
      return [try options.threadCount() ?? ThreadPool.processorCount]
    }
    let counts = threads.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard counts.allSatisfy({ (1...256).contains($0) }) else {
      throw Failure(code: EX_USAGE, "-t: expected numbers from 1 to 256 like 1,2, found '\(threads)'")
    }
    return counts
  }

  private static func report(_ path: String) throws -> BenchmarkReport {
    let file = try MappedFile(path: path)
    do {
      return try JSONDecoder().decode(BenchmarkReport.self, from: Data(file.bytes))
    } catch {
      throw Failure(
        code: EX_DATAERR, "\(path): expected a report of 'pipit bench -o json', found something else")
    }
  }

  private func print(_ report: BenchmarkReport, _ older: BenchmarkReport?) throws {
    if let older {
      Swift.print(report.comparison(with: older))
      return
    }
    switch output {
    case .json: try Console.printJSON(report)
    case .jsonl: for row in report.rows { try Console.printJSON(row) }
    case .csv: Swift.print(report.text(.csv))
    case .md, .table: printForPeople(report)
    }
  }

  private func printForPeople(_ report: BenchmarkReport) {
    Swift.print("\(report.model): isa \(report.isa), \(report.machine.processor)")
    for peaks in report.peaks {
      Swift.print(
        "  \(peaks.threads) threads: peak \(decimal(peaks.gflops, 1)) GFLOP/s, "
          + "\(decimal(peaks.gops_i8 ?? 0, 0)) GOP/s of 8-bit integers, "
          + "reads \(decimal(peaks.readGBs, 1)) GB/s")
    }
    if !report.rows.isEmpty { Swift.print(report.text(output)) }
    for total in report.totals { Swift.print("  " + BenchmarkReport.line(total)) }
  }
}

extension ReportFormat: ExpressibleByArgument {}
