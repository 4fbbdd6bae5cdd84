import PipitFormats
import PipitKernels
import PipitTensors

/// Quantizes the weights of one component's folder.
struct ComponentQuantizer {
  private let folder: String
  /// Put before tensors' names: empty, or the component's name and a slash.
  private let prefix: String
  private let files: WeightFiles
  private let shards: [Shard]
  private let configuration: [UInt8]

  /// One file of weights, and what becomes of its tensors.
  private struct Shard {
    let source: Safetensors
    let name: String
    let work: [TensorQuantizer]
    let plan: SafetensorsPlan
  }

  /// Plans everything, reading headers only. Throws for a folder without safetensors weights, and for one
  /// that is quantized already.
  init(
    folder: String, prefix: String, request: QuantizationRequest, kernels: KernelTable,
    usedRules: inout Set<Int>
  ) throws {
    self.folder = folder
    self.prefix = prefix
    files = try WeightFiles(folder: folder)
    let path = folder + "/config.json"
    let file = try MappedFile(path: path)
    configuration = withExtendedLifetime(file) { Array(file.bytes) }
    let settings = try JSON.configuration(path: path)
    guard settings.values["quantization_config"] == nil else {
      throw AlreadyQuantized(path: path, found: "'quantization_config'")
    }
    var shards: [Shard] = []
    for name in files.names {
      let source = try Safetensors(path: folder + "/" + name)
      var work: [TensorQuantizer] = []
      for entry in source.entries.values.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
        if entry.elementType == .i8 || entry.name.hasSuffix("_packed") {
          throw AlreadyQuantized(path: source.file.path, found: "tensor '\(entry.name)'")
        }
        let weight = Weight(
          name: entry.name, shape: entry.shape, storage: .dense(entry.elementType),
          bytes: source.bytes(of: entry), owner: source.file)
        let choice = request.choice(
          for: weight, name: prefix + entry.name, kernels: kernels, usedRules: &usedRules)
        work.append(
          TensorQuantizer(
            weight: weight, choice: choice, clipping: request.clipping, kernels: kernels,
            path: source.file.path, inputs: request.calibration?.input(prefix + entry.name)))
      }
      let plan = try ComponentQuantizer.plan(work, source)
      shards.append(Shard(source: source, name: name, work: work, plan: plan))
    }
    self.shards = shards
  }

  private static func plan(
    _ work: [TensorQuantizer], _ source: Safetensors
  ) throws -> SafetensorsPlan {
    let tensors = work.flatMap(\.outputs)
    var names: Set<String> = []
    for tensor in tensors where !names.insert(tensor.name).inserted {
      throw FormatError(
        path: source.file.path, part: "tensor '\(tensor.name)'",
        expected: "no tensor of that name, which is needed for scales", found: "one")
    }
    return SafetensorsPlan(tensors, metadata: source.metadata)
  }

  /// Bytes of the tensors that are to be read.
  var byteCount: Int { shards.reduce(0) { $0 + $1.source.file.bytes.count } }

  var choices: [SchemeChoice] { shards.flatMap { $0.work.map(\.choice) } }

  /// Names of files that `write` writes, in the component's folder.
  var ownFiles: Set<String> { Set(files.names + [files.index ?? "", "config.json"]) }

  /// Does the work; without a folder to write to only the report comes of it. `progress` is told of bytes
  /// that have been read.
  func run(
    to output: String?, report: inout QuantizationReport, progress: (Int) -> Void
  ) throws {
    var rows: [QuantizationReport.Row] = []
    for shard in shards {
      func work(_ sink: TensorQuantizer.Sink) throws {
        // Matrices first: their biases take away what rounding adds to their outputs.
        var shifts: [String: [Double]] = [:]
        for tensor in shard.work.filter(\.isMatrix) + shard.work.filter({ !$0.isMatrix }) {
          let outcome = try tensor.run(shift: shifts[tensor.weight.name], sink)
          if let name = tensor.biasName { shifts[name] = outcome.shift }
          rows.append(QuantizationReport.Row(prefix + tensor.weight.name, tensor, outcome))
          shard.source.file.dropPages(tensor.weight.bytes)
          progress(tensor.weight.bytes.count)
        }
      }
      guard let output else {
        try work { _, _ in }
        continue
      }
      try shard.plan.write(to: output + "/" + shard.name) { writer in
        try work { try writer.append($0, to: $1) }
      }
    }
    report.add(
      rows, bytesBefore: byteCount, bytesAfter: shards.reduce(0) { $0 + $1.plan.byteCount })
    if let output { try writeSettings(to: output) }
  }

  // MARK: Settings

  private func writeSettings(to output: String) throws {
    if let index = files.index {
      try AtomicFile.write(Array((JSON.text(indexValue, indent: 0) + "\n").utf8), to: output + "/" + index)
    }
    var text = configuration
    if let settings = QuantizationSettings(shards.flatMap(\.work)).value {
      text = try ComponentQuantizer.adding(settings, to: text, path: folder + "/config.json")
    }
    try AtomicFile.write(text, to: output + "/config.json")
  }

  /// Which tensor lies in which shard.
  private var indexValue: JSONValue {
    var map: [String: JSONValue] = [:]
    var total = 0
    for shard in shards {
      for tensor in shard.plan.tensors {
        map[tensor.name] = .string(shard.name)
        total += tensor.byteCount
      }
    }
    return .object(["metadata": .object(["total_size": .integer(total)]), "weight_map": .object(map)])
  }

  /// The settings' file with one more setting at its end. All else stays letter by letter, so that 0.0
  /// does not become 0, and keys keep their order.
  private static func adding(_ value: JSONValue, to text: [UInt8], path: String) throws -> [UInt8] {
    let blanks = Array(" \t\r\n".utf8)
    guard let close = text.lastIndex(of: UInt8(ascii: "}")),
      let last = text[..<close].lastIndex(where: { !blanks.contains($0) })
    else {
      throw FormatError(path: path, expected: "a JSON object", found: "another value")
    }
    let comma = text[last] == UInt8(ascii: "{") ? "" : ","
    let setting = "\(comma)\n  \"quantization_config\": " + JSON.text(value, indent: 2) + "\n}\n"
    return Array(text[...last]) + Array(setting.utf8)
  }
}

/// A component that holds integers has nothing to give.
struct AlreadyQuantized: Error, CustomStringConvertible {
  let path: String
  let found: String

  var description: String {
    "'\(path)': expected a model that is not quantized yet, found \(found)"
  }
}
