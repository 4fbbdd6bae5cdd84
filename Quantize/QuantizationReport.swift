/// What became of every tensor.
package struct QuantizationReport: Encodable, Sendable {
  package struct Row: Encodable, Sendable {
    /// The tensor's name, with its component's before it in a pipeline.
    package let name: String
    package let scheme: String
    /// Why it has another scheme than was asked for; empty where it has that one.
    package let reason: String
    package let shape: [Int]
    package let bytes_before: Int
    package let bytes_after: Int
    /// Signal to noise in decibels; absent where nothing was lost.
    package let sqnr_dB: Double?
    /// The cosine of the angle between the tensor before and after.
    package let cosine: Double

    /// What becomes of the layer's input: "float", "each token", or the numbers from calibration.
    package let input: String
    /// As above, of the layer's output on inputs that calibration saw; absent where none was run.
    package let output_sqnr_dB: Double?
    package let output_cosine: Double?
    /// Milliseconds of the layer in the float and in the quantized model on the same material, where both were
    /// run; several layers that are computed as one are told of by the first.
    package fileprivate(set) var float_ms: Double?
    package fileprivate(set) var quantized_ms: Double?

    init(_ name: String, _ work: TensorQuantizer, _ outcome: TensorQuantizer.Outcome) {
      self.name = name
      scheme = work.choice.scheme.name
      reason = work.choice.reason
      shape = work.weight.shape.extents
      bytes_before = work.weight.bytes.count
      bytes_after = work.outputByteCount
      sqnr_dB = outcome.error.sqnr_dB
      cosine = outcome.error.cosine
      output_sqnr_dB = outcome.output?.sqnr_dB
      output_cosine = outcome.output?.cosine
      switch work.choice.activations {
      case .float: input = "float"
      case .dynamicPerToken:
        input = "each token" + (work.choice.smoothing.map { ", smoothed by \($0)" } ?? "")
      case .staticPerTensor(let scale, let zeroPoint):
        input = "scale \(scale), zero \(zeroPoint), \(work.choice.method?.rawValue ?? "given")"
      }
    }

    /// What the tensor's rounding does to its layer's output where that is known, else to itself.
    package var harm_dB: Double { output_sqnr_dB ?? sqnr_dB ?? .infinity }
  }

  /// The tensors that hurt most first; those that lost nothing at the end, by name.
  package fileprivate(set) var rows: [Row] = []
  /// Bytes of weight files.
  package fileprivate(set) var bytes_before = 0
  package fileprivate(set) var bytes_after = 0
  /// Components that were copied as they are, since they hold integers already.
  package fileprivate(set) var copied_components: [String] = []
  /// Other forms of the weights, which were not copied.
  package fileprivate(set) var left_out: [String] = []

  mutating func add(_ rows: [Row], bytesBefore: Int, bytesAfter: Int) {
    self.rows += rows
    bytes_before += bytesBefore
    bytes_after += bytesAfter
    self.rows.sort {
      let (a, b) = ($0.harm_dB, $1.harm_dB)
      return a == b ? $0.name < $1.name : a < b
    }
  }

  /// How near the quantized model's results are to the float one's.
  package private(set) var measurements: [Measurement] = []
  /// Milliseconds of all operations on the same material; 0 where none was run.
  package private(set) var float_ms = 0.0
  package private(set) var quantized_ms = 0.0
  /// Pictures of the float model and the quantized one.
  private(set) var pictures: [(part: String, float: Image, quantized: Image)] = []

  private enum CodingKeys: String, CodingKey {
    case rows, bytes_before, bytes_after, copied_components, left_out, measurements, float_ms
    case quantized_ms
  }

  mutating func add(_ measurements: [Measurement], float: LayerTimes, quantized: LayerTimes) {
    self.measurements = measurements
    (float_ms, quantized_ms) = (Double(float.total) / 1e6, Double(quantized.total) / 1e6)
    for index in rows.indices {
      rows[index].float_ms = float.milliseconds(rows[index].name)
      rows[index].quantized_ms = quantized.milliseconds(rows[index].name)
    }
  }

  mutating func addPictures(_ float: Outcome, _ quantized: Outcome) {
    guard case .images(let before) = float.results,
      case .images(let after) = quantized.results
    else { return }
    pictures += zip(before, after).map { (float.part, $0, $1) }
  }

  mutating func addCopied(_ component: String) { copied_components.append(component) }
  mutating func addLeftOut(_ file: String) { left_out.append(file) }

  /// Tensors that are not as was asked for, by reason.
  package var exceptions: [(reason: String, names: [String])] {
    Dictionary(grouping: rows.filter { !$0.reason.isEmpty && $0.reason != "vector" }, by: \.reason)
      .map { (reason: $0.key, names: $0.value.map(\.name).sorted()) }
      .sorted { $0.reason < $1.reason }
  }
}
