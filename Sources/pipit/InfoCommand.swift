import ArgumentParser
import Glibc
import PipitBenchmarks
import PipitFormats
import PipitGraph
import PipitKernels
import PipitPipelines
import PipitRuntime

struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract:
      "Tell what a model needs, what a PNG was made from, and what this machine computes with.",
    discussion: """
      Examples:
        pipit info                      (this machine and the default model)
        pipit info Models/Default/vae   (one component)
        pipit info model.safetensors    (a single-file Stable Diffusion checkpoint)
        pipit info cat.png              (prompt, seed and settings of a picture)
        pipit info Models/Default/vae --graph
        pipit info Models/Default/vae --plan --plan-image plan.svg
      """)

  @Argument(help: "A model's folder or name, a single-file checkpoint, or a PNG file.")
  var subject = "Default"

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Print a component's graph as it is built and after the passes.")
  var graph = false

  @Flag(help: "Print a component's graph after the passes in Graphviz's language.")
  var dot = false

  @Flag(help: "Print the memory plan: arena, lower bound, ratio.")
  var plan = false

  @Option(help: "Draw the memory plan into an SVG file.")
  var planImage: String?

  mutating func run() throws {
    if graph || dot || plan || planImage != nil {
      guard !json else {
        throw Failure(code: EX_USAGE, "--json goes without --graph, --dot, --plan and --plan-image")
      }
      if let planImage { try OutputFile.check(planImage, "--plan-image") }
      try showGraphs(try ModelFolder(path: BundleLocation.find(subject)))
      return
    }
    if let texts = try pictureTexts() {
      try show(texts)
      return
    }
    try show(try MachineReport(model: subject))
  }

  /// The texts of the subject if it is a file.
  private func pictureTexts() throws -> [PNGText]? {
    var status = stat()
    guard stat(subject, &status) == 0, status.st_mode & S_IFMT != S_IFDIR,
      !subject.hasSuffix(".safetensors")
    else { return nil }
    return try PNG.texts(path: subject)
  }

  /// The graphs of a component, or of each component of a pipeline.
  private func showGraphs(_ folder: ModelFolder) throws {
    if folder.layout == .pipeline {
      guard planImage == nil, !dot else {
        throw Failure(
          code: EX_USAGE, "'\(subject)' is a pipeline; --dot and --plan-image need one component")
      }
      for name in folder.configuration.values.keys.sorted()
      where folder.has(name + "/config.json") {
        print("== \(name)")
        try showGraphs(try folder.component(name))
      }
      return
    }
    let kernels = try KernelTable.chosen()
    for (index, built) in try ComponentReport.graphs(folder).enumerated() {
      let optimized = Optimizer.cutIntoStrips(Optimizer.optimize(built, for: kernels))
      if graph {
        print("-- as built\n\(built.listing)\n-- after the passes\n\(optimized.listing)")
      }
      if dot { print(optimized.graphviz) }
      if plan { print(PlanLine(optimized).text) }
      if let planImage, index == 0 {
        try AtomicFile.write(Array(PlanPicture(optimized).svg.utf8), to: planImage)
      }
    }
  }

  private func show(_ texts: [PNGText]) throws {
    if json {
      try Console.printJSON(
        Dictionary(texts.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first }))
      return
    }
    if texts.isEmpty { print("'\(subject)' holds no texts") }
    for text in texts { print("\(Console.visible(text.key)): \(Console.visible(text.value))") }
  }

  private func show(_ report: MachineReport) throws {
    if json {
      try Console.printJSON(report)
    } else {
      report.print()
    }
  }
}

/// The machine, and what a model needs on it.
private struct MachineReport: Encodable {
  struct Part: Encodable {
    let name: String
    let architecture: String
    let parameters: Int
    let fileBytes: Int
    let packedBytes: Int
    let arenaBytes: Int
    let arenaLowerBound: Int

    init(_ name: String, _ report: ComponentReport) {
      self.name = name
      architecture = report.architecture
      parameters = report.parameterCount
      fileBytes = report.fileByteCount
      packedBytes = report.packedByteCount
      arenaBytes = report.arenaByteCount
      arenaLowerBound = report.arenaLowerBound
    }
  }

  let version = pipitVersion
  let processor: String
  let isa: String
  let isaReason: String
  let isaLevels: [String]
  /// "on" where products over weights of f16 are computed in half precision, "off", or "none" on this processor.
  let f16: String
  let threads: Int
  let model: String
  let components: [Part]
  let memory: MemoryReport

  init(model name: String) throws {
    processor = KernelTable.processorSummary
    let chosen = try KernelTable.chosen()
    isa = chosen.name
    isaLevels = KernelTable.available.map(\.name)
    let missing = KernelTable.unavailable.map { "\($0.name) needs \($0.missing)" }
    isaReason =
      chosen.name == KernelTable.best.name
      ? "the strongest level that this processor runs" : "PIPIT_ISA asks for it"
    f16 = chosen.multipliesHalves ? "on" : chosen.missingForHalves == nil ? "off" : "none"
    threads = ThreadPool.processorCount
    let machine = try Machine()
    model = BundleLocation.find(name)
    if OriginalCheckpoint.isFile(model) {
      var options = OriginalCheckpoint.Options()
      options.assumesEpsilon = true
      let checkpoint = try OriginalCheckpoint(path: model, options: options)
      components = try MachineReport.parts(checkpoint, machine)
      let pipeline = StableDiffusion(checkpoint, machine: machine)
      memory = MemoryReport(try pipeline.memoryPlan())
    } else {
      let folder = try ModelFolder(path: model)
      components = try MachineReport.parts(folder, machine)
      memory = MemoryReport(try MemoryPlan(folder, machine: machine))
    }
    self.missing = missing
  }

  private let missing: [String]

  private enum CodingKeys: String, CodingKey {
    case version, processor, isa, isaReason, isaLevels, f16, threads, model, components, memory
  }

  private static func parts(
    _ checkpoint: OriginalCheckpoint, _ machine: Machine
  ) throws -> [Part] {
    var parts = [
      Part("text_encoder", try ComponentReport(try checkpoint.textEncoder(), machine: machine)),
      Part("unet", try ComponentReport(try checkpoint.denoiser(), machine: machine)),
    ]
    if let vae = try checkpoint.autoencoder() {
      parts.append(Part("vae", try ComponentReport(vae, machine: machine)))
    }
    return parts
  }

  private static func parts(_ folder: ModelFolder, _ machine: Machine) throws -> [Part] {
    guard folder.layout == .pipeline else {
      return [Part(folder.path, try ComponentReport(folder, machine: machine))]
    }
    return try folder.configuration.values.keys.sorted().compactMap { name in
      guard folder.has(name + "/config.json") else { return nil }
      return Part(name, try ComponentReport(try folder.component(name), machine: machine))
    }
  }

  func print() {
    Swift.print("pipit \(version)")
    Swift.print("processor   \(processor)")
    Swift.print(
      "isa         \(isa) (\(isaReason); available: \(isaLevels.joined(separator: ", ")))")
    for line in missing { Swift.print("            \(line)") }
    if f16 != "none" {
      let state = f16 == "on" ? "PIPIT_F16=1 asks for it" : "PIPIT_F16=1 turns it on"
      Swift.print("f16         \(f16) (products over f16 weights in half precision; \(state))")
    }
    Swift.print("threads     \(threads)")
    Swift.print("model       \(model)")
    for part in components {
      Swift.print(
        "  \(part.name): \(part.architecture), \(decimal(Double(part.parameters) / 1e6, 2)) M parameters"
      )
      Swift.print(
        "    file \(Console.bytes(part.fileBytes)) (mapped), packed \(Console.bytes(part.packedBytes)), "
          + "arena \(Console.bytes(part.arenaBytes)) (lower bound \(Console.bytes(part.arenaLowerBound)))"
      )
    }
    let files = components.reduce(0) { $0 + $1.fileBytes }
    Swift.print(
      "  in all: files \(Console.bytes(files)); components are loaded one after the other: "
        + memory.peakLine)
  }
}

/// A memory plan in one line.
private struct PlanLine {
  let text: String

  init(_ graph: Graph) {
    let plan = ArenaPlan(Lifetimes(graph).buffers)
    let inputs = graph.inputs.map { "\($0.name) \(graph[$0.value].shape)" }.joined(separator: ", ")
    text =
      "\(inputs): arena \(plan.byteCount) bytes, lower bound \(plan.lowerBound) bytes, "
      + "ratio \(decimal(plan.ratio, 4))"
  }
}
