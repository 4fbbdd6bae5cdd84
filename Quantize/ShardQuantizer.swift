import PipitFormats
import PipitKernels
import PipitTensors

/// Quantizes one file of weights, tensor by tensor.
struct ShardQuantizer {
  let source: Safetensors
  /// Put before tensors' names in rules and reports: empty, or the component's name and a slash.
  private let prefix: String
  let work: [TensorQuantizer]
  let plan: SafetensorsPlan

  /// Plans everything, reading the header only. Throws for a file that is quantized already. The new file has
  /// the old one's metadata; with `tellsSettings` also `quantization_config`, for a file that has no `config.json`
  /// to say it.
  init(
    _ source: Safetensors, prefix: String, tellsSettings: Bool = false, request: QuantizationRequest,
    smoothing: Smoothing, kernels: KernelTable, usedRules: inout Set<Int>
  ) throws {
    self.source = source
    self.prefix = prefix
    var work: [TensorQuantizer] = []
    for entry in source.entries.values.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
      if entry.elementType == .i8 || entry.name.hasSuffix("_packed") {
        throw AlreadyQuantized(path: source.file.path, found: "tensor '\(entry.name)'")
      }
      let weight = Weight(
        name: entry.name, shape: entry.shape, storage: .dense(entry.elementType),
        bytes: source.bytes(of: entry), owner: source.file)
      let name = prefix + entry.name
      let choice = request.choice(
        for: weight, name: name, smoothing: smoothing, kernels: kernels, usedRules: &usedRules)
      let factors = smoothing.columnFactors[name]
      let inputs = request.calibration?.input(name)
      work.append(
        TensorQuantizer(
          weight: weight, choice: choice, clipping: request.clipping, kernels: kernels,
          path: source.file.path, inputs: factors.map { inputs?.divided(by: $0) } ?? inputs,
          rowFactors: smoothing.rowFactors[name], columnFactors: factors))
    }
    self.work = work
    var metadata = source.metadata
    if tellsSettings, let settings = QuantizationSettings(work).value {
      metadata["quantization_config"] = JSON.text(settings)
    }
    plan = try ShardQuantizer.plan(work, metadata, path: source.file.path)
  }

  private static func plan(
    _ work: [TensorQuantizer], _ metadata: [String: String], path: String
  ) throws -> SafetensorsPlan {
    let tensors = work.flatMap(\.outputs)
    var names: Set<String> = []
    for tensor in tensors where !names.insert(tensor.name).inserted {
      throw FormatError(
        path: path, part: "tensor '\(tensor.name)'",
        expected: "no tensor of that name, which is needed for scales", found: "one")
    }
    return SafetensorsPlan(tensors, metadata: metadata)
  }

  /// Writes the file, or nothing without a path; what became of each tensor. `progress` is told of bytes that
  /// have been read.
  func run(to path: String?, progress: (Int) throws -> Void) throws -> [QuantizationReport.Row] {
    guard let path else { return try run(progress) { _, _ in } }
    var rows: [QuantizationReport.Row] = []
    try plan.write(to: path) { writer in
      rows = try run(progress) { try writer.append($0, to: $1) }
    }
    return rows
  }

  private func run(
    _ progress: (Int) throws -> Void, _ sink: TensorQuantizer.Sink
  ) throws -> [QuantizationReport.Row] {
    var rows: [QuantizationReport.Row] = []
    // Matrices first: their biases take away what rounding adds to their outputs.
    var shifts: [String: [Double]] = [:]
    for tensor in work.filter(\.isMatrix) + work.filter({ !$0.isMatrix }) {
      let outcome = try tensor.run(shift: shifts[tensor.weight.name], sink)
      if let name = tensor.biasName { shifts[name] = outcome.shift }
      rows.append(QuantizationReport.Row(prefix + tensor.weight.name, tensor, outcome))
      source.file.dropPages(tensor.weight.bytes)
      try progress(tensor.weight.bytes.count)
    }
    return rows
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
