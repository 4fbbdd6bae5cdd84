import ArgumentParser
import Glibc
import PipitFormats
import PipitPipelines
import PipitQuantize
import PipitTensors

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Store a model's weights in fewer bits: the same layout, a quarter of the size.",
    discussion: """
      The input is a pipeline's folder, one component's, or one file in safetensors
      (a Stable Diffusion 1.x or 2.x checkpoint, or a component's weights); the
      output will be of the same layout. Schemes:
        w8a8  8-bit integers, a scale for each output channel, and products of
              integers (default)
        w8    the same integers, products in f32
        w4    4-bit integers, a scale for each 32 (--group) columns; convolutions
              get w8
        f16   half precision
        keep  as it is
      Convolutions become products of integers by numbers from calibration: the
      model is run in f32 on built-in texts and pictures, or on those of --calibrate
      FILE (one text a line, a PNG, a folder of PNGs, a .npy of the component's
      latents). With --calibrate none they are w8. Matrices of text models are
      rounded so that errors on what was seen make up for each other.

      Vectors stay as they are. Where integers are asked for, the first and last
      convolutions, time embeddings, tables of positions, and heads get f16, unless
      a rule says otherwise. Of several rules that match a tensor's name the last
      one counts.

      Examples:
        pipit quantize all-MiniLM-L6-v2 all-MiniLM-L6-v2-int8
        pipit quantize MODEL OUT --scheme w4 --rule 'attention=w8' --keep 'layer.11'
        pipit quantize MODEL OUT --calibrate prompts.txt --report report.html
        pipit quantize MODEL OUT --target psnr=38
        pipit quantize model.safetensors int8.safetensors --tokenizer sd15/tokenizer
        pipit quantize MODEL OUT --dry-run
      """)

  @Argument(help: "The model's folder or file.")
  var input: String

  @Argument(help: "The folder or file to write.")
  var output: String

  @Option(help: "\(StorageScheme.names.joined(separator: ", ")).")
  var scheme = "w8a8"

  @Option(help: "Columns that share a scale under w4: 32 or 64.")
  var group = 32

  @Option(help: "REGEX=SCHEME for tensors whose names (in a pipeline: COMPONENT/NAME) match.")
  var rule: [String] = []

  @Option(help: "REGEX of names of tensors that stay as they are.")
  var keep: [String] = []

  @Option(help: "How scales are chosen: mse (least squared error) or absmax.")
  var clip = "mse"

  @Flag(help: "Print the table without writing anything.")
  var dryRun = false

  @Flag(help: "Replace OUT if it is there.")
  var force = false

  @Flag(help: "Print the report as JSON.")
  var json = false

  @Flag(help: "Show no progress.")
  var quiet = false

  @Option(help: "Texts, pictures or a .npy array to run the model on for calibration; default, none.")
  var calibrate: String?

  @Option(help: "What to compare the models on; what calibration ran on unless given.")
  var evaluate: String?

  @Option(help: "Write the report, with pictures, to this .html file, and as .json beside it.")
  var report: String?

  @Option(help: "psnr=DB, agreement=PERCENT or cosine=C: keep as many layers in f32 as that takes.")
  var target: String?

  @Option(help: "For a single-file checkpoint: the folder of the tokenizer's files.")
  var tokenizer: String?

  @Option(help: "For a single-file checkpoint: a diffusers folder to take settings and tokenizer from.")
  var config: String?

  @Option(help: "For a single-file checkpoint: what it predicts, epsilon or v (default: its metadata).")
  var prediction: String?

  @Option(help: "How many threads the model runs on.")
  var threads: Int?

  /// Whether the model is to be run for more than calibration.
  private var wantsReport: Bool { report != nil || evaluate != nil || target != nil }

  mutating func run() throws {
    let request = try request()
    let aim = try aim()
    try checkReport()
    let model = try model()
    if !dryRun, !force, access(output, F_OK) == 0 {
      throw Failure(code: EX_CANTCREAT, "'\(output)' is there already; add --force to replace it")
    }
    var options = MachineOptions()
    options.threads = threads
    let machine = try Machine(threadCount: try options.threadCount(), prefersFloats: false)
    let line = SharedProgress(quiet: quiet)
    defer { line.clear() }
    Interrupt.watch()
    let output = self.output
    var job = QuantizationJob(model, request: request, machine: machine) {
      line.show($0, $1, $2)
      guard !Interrupt.isRequested else {
        throw Failure(code: Interrupt.exitCode, "stopped; nothing was written to '\(output)'")
      }
    }
    do {
      let result = try work(&job, aim, line)
      line.clear()
      if json { try Console.printJSON(result) } else { print(result) }
      try write(result)
    } catch let error as RuleError {
      throw Failure(code: EX_USAGE, error.description)
    } catch let error as MemoryError {
      let advice = "--calibrate none quantizes without running the model"
      throw Failure(code: EX_OSERR, "\(error); \(advice)")
    }
  }

  private func work(
    _ job: inout QuantizationJob, _ aim: QuantizationTarget?, _ line: SharedProgress
  ) throws -> QuantizationReport {
    let material = try material(calibrate)
    let compared = try evaluate.map { try self.material($0) } ?? material
    let isNeeded = try job.needsCalibration()
    if isNeeded, !job.isRunnable, calibrate == nil {
      line.clear()
      Console.writeError(
        "pipit: not calibrated, as the file says nothing of its layers: convolutions become w8\n")
    } else if calibrate != "none", isNeeded || calibrate != nil || wantsReport {
      do {
        try job.calibrate(on: material)
      } catch let error as ConfigurationError where calibrate == nil && !wantsReport {
        // An architecture that is not known: what needs no calibration is done.
        line.clear()
        Console.writeError("pipit: not calibrated, as the model cannot be run: \(error)\n")
      }
    } else if calibrate == nil, !dryRun, try job.gainsByCalibration() {
      return try gaining(&job, material, line)
    }
    guard !dryRun else { return try job.quantize(to: nil) }
    guard wantsReport else { return try job.quantize(to: output, force: force) }
    let reference = try job.reference(on: compared)
    if let aim {
      return try job.quantize(to: output, force: force, target: aim, reference: reference)
    }
    var result = try job.quantize(to: output, force: force)
    try job.compare(output, with: reference, into: &result)
    return result
  }

  /// Quantizes with what can be seen of layers' inputs, and without it where the model cannot be run.
  private func gaining(
    _ job: inout QuantizationJob, _ material: Material, _ line: SharedProgress
  ) throws -> QuantizationReport {
    var failure: (any Error)?
    do { try job.calibrate(on: material) } catch { failure = error }
    let result = try job.quantize(to: output, force: force)
    if let failure {
      line.clear()
      Console.writeError("pipit: weights are rounded to nearest, as the model cannot be run: \(failure)\n")
    }
    return result
  }

  /// The model, and whether what is asked for can be done with it.
  private func model() throws -> StoredModel {
    var options = OriginalCheckpoint.Options()
    (options.tokenizer, options.settings) = (tokenizer, config)
    guard [nil, "epsilon", "v"].contains(prediction) else {
      throw Failure(
        code: EX_USAGE, "--prediction: expected epsilon or v, found '\(prediction ?? "")'")
    }
    options.isVPrediction = prediction.map { $0 == "v" }
    options.assumesEpsilon = calibrate == "none" && !wantsReport
    let model = try StoredModel(path: input, options: options)
    if !model.isFile { try refuseCheckpointOptions(tokenizer, config, prediction, input) }
    func refuse(_ isWrong: Bool, _ words: String) throws {
      if isWrong { throw Failure(code: EX_USAGE, words) }
    }
    try refuse(
      model.isFile && !output.hasSuffix(".safetensors"),
      "'\(input)' is one file, and so is what is made of it: expected OUT to end in .safetensors, "
        + "found '\(output)'")
    try refuse(
      !model.isRunnable && calibrate != nil && calibrate != "none",
      "--calibrate: '\(input)' holds weights alone and cannot be run; quantize its folder instead")
    try refuse(
      !model.isComparable && wantsReport,
      "--report, --evaluate, --target: '\(input)' is no model that can be run by itself; quantize its "
        + "folder instead")
    return model
  }

  private func material(_ path: String?) throws -> Material {
    guard let path, path != "default", path != "none" else { return .builtIn }
    return try Material(path: path)
  }

  /// Finds out that the report cannot be written before a model has been waited for.
  private func checkReport() throws {
    guard let report else { return }
    guard report.hasSuffix(".html") else {
      throw Failure(
        code: EX_USAGE, "--report: expected a name that ends in .html, found '\(report)'")
    }
    try OutputFile.check(report, "--report")
  }

  private func write(_ result: QuantizationReport) throws {
    guard let report else { return }
    let page = ReportPage(result, title: "\(input) -> \(output)")
    try AtomicFile.write(Array(page.html.utf8), to: report)
    let stem = report.dropLast(".html".count)
    try AtomicFile.write(Array((try Console.json(result) + "\n").utf8), to: stem + ".json")
  }

  // MARK: What is asked for

  private func aim() throws -> QuantizationTarget? {
    guard let target else { return nil }
    guard let aim = QuantizationTarget(target) else {
      let names = QuantizationTarget.names.map { $0 + "=NUMBER" }.joined(separator: ", ")
      throw Failure(code: EX_USAGE, "--target: expected \(names), found '\(target)'")
    }
    guard !dryRun else { throw Failure(code: EX_USAGE, "--target needs a model to be written") }
    return aim
  }

  private func request() throws -> QuantizationRequest {
    guard StorageScheme.groups.contains(group) else {
      throw Failure(code: EX_USAGE, "--group: expected 32 or 64, found \(group)")
    }
    guard let clipping = Clipping(rawValue: clip) else {
      throw Failure(code: EX_USAGE, "--clip: expected mse or absmax, found '\(clip)'")
    }
    var request = QuantizationRequest()
    request.clipping = clipping
    request.scheme = try scheme(scheme, "--scheme")
    for text in rule {
      guard let equals = text.lastIndex(of: "="), equals != text.startIndex else {
        throw Failure(code: EX_USAGE, "--rule: expected REGEX=SCHEME, found '\(text)'")
      }
      let name = String(text[text.index(after: equals)...])
      request.rules.append(
        try rule(String(text[..<equals]), try scheme(name, "--rule '\(text)'"), text))
    }
    for text in keep { request.rules.append(try rule(text, .keep, text)) }
    return request
  }

  private func scheme(_ name: String, _ flag: String) throws -> StorageScheme {
    if let scheme = StorageScheme(name, group: group) { return scheme }
    let names = StorageScheme.names.joined(separator: ", ")
    throw Failure(code: EX_USAGE, "\(flag): expected a scheme of \(names), found '\(name)'")
  }

  private func rule(_ pattern: String, _ scheme: StorageScheme, _ text: String) throws -> StorageRule {
    do {
      return try StorageRule(pattern: pattern, scheme: scheme, text: text)
    } catch {
      throw Failure(code: EX_USAGE, "'\(pattern)' is no regular expression: \(error)")
    }
  }

  // MARK: For people

  private func print(_ report: QuantizationReport) {
    // The layer's output where it is known what goes in, else the weight alone.
    Swift.print("scheme  SQNR dB    cosine       before        after  tensor")
    for row in report.rows where row.scheme != "keep" {
      let harm = row.harm_dB
      let sqnr = harm.isFinite ? decimal(harm, 1) : "exact"
      Swift.print(
        row.scheme.padded(to: 6) + sqnr.padded(to: -9)
          + decimal(row.output_cosine ?? row.cosine, 6).padded(to: -10)
          + Console.bytes(row.bytes_before).padded(to: -13)
          + Console.bytes(row.bytes_after).padded(to: -13) + "  \(row.name) \(row.shape)")
    }
    for (reason, names) in report.exceptions {
      let shown = names.prefix(6).joined(separator: ", ") + (names.count > 6 ? ", ..." : "")
      Swift.print("\(reason): \(names.count) tensors: \(shown)")
    }
    for name in report.copied_components {
      Swift.print("\(name): quantized already, \(dryRun ? "would be copied" : "copied") as it is")
    }
    for name in report.left_out { Swift.print("\(name): left out, another form of the weights") }
    for measurement in report.measurements {
      let part = measurement.part.isEmpty ? "" : measurement.part + ": "
      let value = decimal(measurement.value, measurement.value < 10 ? 5 : 2)
      Swift.print("\(part)\(measurement.name) \(value) (of \(measurement.count))")
    }
    if report.float_ms > 0 {
      let share = decimal(report.quantized_ms / report.float_ms, 2)
      Swift.print("time: \(share) of f32's")
    }
    let ratio = Double(report.bytes_after) / Double(max(report.bytes_before, 1))
    Swift.print(
      "weights \(Console.bytes(report.bytes_before)) -> \(Console.bytes(report.bytes_after)) "
        + "(\(decimal(ratio, 3)))" + (dryRun ? "; nothing was written" : ""))
  }
}

/// A progress line that closures share; each stage begins anew.
private final class SharedProgress {
  private let isQuiet: Bool
  private var line: ProgressLine
  private var stage = ""

  init(quiet: Bool) {
    isQuiet = quiet
    line = ProgressLine(quiet: quiet)
  }

  func show(_ stage: String, _ done: Int, _ total: Int) {
    if stage != self.stage {
      line.clear()
      (self.stage, line) = (stage, ProgressLine(quiet: isQuiet))
    }
    line.show(stage, done: done, total: total)
  }

  func clear() { line.clear() }
}

extension String {
  /// With blanks behind up to a width, before it for a negative one.
  fileprivate func padded(to width: Int) -> String {
    let blanks = String(repeating: " ", count: max(0, abs(width) - count))
    return width < 0 ? blanks + self : self + blanks
  }
}
