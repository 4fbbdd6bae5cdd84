import PipitFormats
import PipitKernels
import PipitTensors

/// Quantizes the weights of one component's folder.
struct ComponentQuantizer {
  private let folder: String
  private let files: WeightFiles
  private let shards: [ShardQuantizer]
  private let configuration: [UInt8]

  /// Plans everything, reading headers only. Throws for a folder without safetensors weights, and for one
  /// that is quantized already.
  init(
    folder: String, prefix: String, request: QuantizationRequest, kernels: KernelTable,
    usedRules: inout Set<Int>
  ) throws {
    self.folder = folder
    files = try WeightFiles(folder: folder)
    let path = folder + "/config.json"
    let file = try MappedFile(path: path)
    configuration = withExtendedLifetime(file) { Array(file.bytes) }
    let settings = try JSON.configuration(path: path)
    guard settings.values["quantization_config"] == nil else {
      throw AlreadyQuantized(path: path, found: "'quantization_config'")
    }
    let sources = try files.names.map { try Safetensors(path: folder + "/" + $0) }
    let smoothing = request.smoothing(sources, prefix: prefix, kernels: kernels)
    var shards: [ShardQuantizer] = []
    for source in sources {
      shards.append(
        try ShardQuantizer(
          source, prefix: prefix, request: request, smoothing: smoothing, kernels: kernels,
          usedRules: &usedRules))
    }
    self.shards = shards
  }

  /// Bytes of the tensors that are to be read.
  var byteCount: Int { shards.reduce(0) { $0 + $1.source.file.bytes.count } }

  var choices: [SchemeChoice] { shards.flatMap { $0.work.map(\.choice) } }

  /// Names of files that `write` writes, in the component's folder.
  var ownFiles: Set<String> { Set(files.names + [files.index ?? "", "config.json"]) }

  /// Does the work; without a folder to write to only the report comes of it. `progress` is told of bytes
  /// that have been read.
  func run(
    to output: String?, report: inout QuantizationReport, progress: (Int) throws -> Void
  ) throws {
    var rows: [QuantizationReport.Row] = []
    for (shard, name) in zip(shards, files.names) {
      rows += try shard.run(to: output.map { $0 + "/" + name }, progress: progress)
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
    for (shard, name) in zip(shards, files.names) {
      for tensor in shard.plan.tensors {
        map[tensor.name] = .string(name)
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
