import ArgumentParser
import Glibc
import PipitFormats
import PipitKernels
import PipitPipelines
import PipitQuantize

struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Store a model's weights in fewer bits: the same layout, a quarter of the size.",
    discussion: """
      IN is a pipeline's folder or one component's, in safetensors; OUT is made. Schemes:
        w8a8  8-bit integers, a scale for each output channel, and products of integers (default)
        w8    the same integers, products in f32
        w4    4-bit integers, a scale for each 32 (--group) columns; convolutions get w8
        f16   half precision
        keep  as it is
      Vectors stay as they are, and so do, where integers are asked for, the first and last convolutions, time
      embeddings, tables of positions, and heads, unless a rule says otherwise. Of several rules
      that match a tensor's name the last one counts.

      Examples:
        pipit quantize all-MiniLM-L6-v2 all-MiniLM-L6-v2-int8
        pipit quantize MODEL OUT --scheme w4 --rule 'attention=w8' --keep 'layer\\.11\\.'
        pipit quantize MODEL OUT --dry-run
      """)

  @Argument(help: "The model's folder.")
  var input: String

  @Argument(help: "The folder to write.")
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

  mutating func run() throws {
    let request = try request()
    let folder = try ModelFolder(path: input)
    let quantizer: FolderQuantizer
    do {
      quantizer = try FolderQuantizer(folder, request: request, kernels: try KernelTable.chosen())
    } catch let error as RuleError {
      throw Failure(code: EX_USAGE, error.description)
    }
    if !dryRun, !force, access(output, F_OK) == 0 {
      throw Failure(code: EX_CANTCREAT, "'\(output)' is there already; add --force to replace it")
    }
    var line = ProgressLine(quiet: quiet)
    let total = quantizer.byteCount
    defer { line.clear() }
    let report = try quantizer.run(output: dryRun ? nil : output, force: force) { done in
      line.show("MB quantized:", done: done / 1_000_000, total: total / 1_000_000)
    }
    line.clear()
    if json {
      try Console.printJSON(report)
    } else {
      print(report)
    }
  }

  // MARK: What is asked for

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
    Swift.print("scheme  SQNR dB    cosine       before        after  tensor")
    for row in report.rows where row.scheme != "keep" {
      let sqnr = row.sqnr_dB.map { Console.fixed($0, digits: 1) } ?? "exact"
      Swift.print(
        row.scheme.padded(to: 6) + sqnr.padded(to: -9)
          + Console.fixed(row.cosine, digits: 6).padded(to: -10)
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
    let ratio = Double(report.bytes_after) / Double(max(report.bytes_before, 1))
    Swift.print(
      "weights \(Console.bytes(report.bytes_before)) -> \(Console.bytes(report.bytes_after)) "
        + "(\(Console.fixed(ratio, digits: 3)))" + (dryRun ? "; nothing was written" : ""))
  }
}

extension String {
  /// With blanks behind up to a width, before it for a negative one.
  fileprivate func padded(to width: Int) -> String {
    let blanks = String(repeating: " ", count: max(0, abs(width) - count))
    return width < 0 ? blanks + self : self + blanks
  }
}
