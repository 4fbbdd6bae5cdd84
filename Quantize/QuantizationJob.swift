import Glibc
import PipitFormats
package import PipitPipelines

/// All that `pipit quantize` does: runs the model for calibration, quantizes it, runs both to compare them,
/// and searches for the layers that must stay f32 to reach a target.
package struct QuantizationJob {
  private let model: StoredModel
  private let machine: Machine
  var request: QuantizationRequest
  private let progress: (_ stage: String, _ done: Int, _ total: Int) throws -> Void

  package init(
    _ model: StoredModel, request: QuantizationRequest, machine: Machine,
    progress: @escaping (_ stage: String, _ done: Int, _ total: Int) throws -> Void = { _, _, _ in }
  ) {
    self.model = model
    self.request = request
    self.machine = machine
    self.progress = progress
  }

  package var isRunnable: Bool { model.isRunnable }

  /// Whether some layer needs calibration to become what is asked for. Throws what is wrong with the model
  /// or the rules.
  package func needsCalibration() throws -> Bool {
    let plan = try model.quantizer(request, kernels: machine.kernels).plan
    return plan.contains { $0.reason == SchemeChoice.notCalibrated }
  }

  /// Whether some layer's weights are rounded better where its inputs have been seen.
  package func gainsByCalibration() throws -> Bool {
    guard isRunnable else { return false }
    return try model.quantizer(request, kernels: machine.kernels).plan.contains { choice in
      if case .w4 = choice.scheme { return true }
      return choice.activations == .dynamicPerToken
    }
  }

  /// Runs the float model and watches its layers' inputs.
  package mutating func calibrate(on material: Material) throws {
    let calibration = Calibration(root: model.root)
    calibration.watch(machine)
    defer { machine.observer = nil }
    _ = try ModelRun(machine: machine, material: material).outcomes(model) { [progress] in
      try progress("calibration:", $0, $1)
    }
    request.calibration = calibration
  }

  /// Quantizes; see `ModelQuantizer.run`.
  package func quantize(to output: String?, force: Bool = false) throws -> QuantizationReport {
    let quantizer = try model.quantizer(request, kernels: machine.kernels)
    let total = quantizer.byteCount / 1_000_000
    return try quantizer.run(output: output, force: force) { [progress] done in
      try progress("MB quantized:", done / 1_000_000, total)
    }
  }

  // MARK: Comparison

  /// What the float model makes of material.
  package struct Reference {
    fileprivate let material: Material
    fileprivate let outcomes: [Outcome]
    fileprivate let times: LayerTimes
  }

  package func reference(on material: Material) throws -> Reference {
    let times = LayerTimes(root: model.root)
    let outcomes = try run(model, material, times, "float model:")
    return Reference(material: material, outcomes: outcomes, times: times)
  }

  /// Runs the quantized model on the same material; what comes of it goes into the report.
  package func compare(
    _ quantized: String, with reference: Reference, into report: inout QuantizationReport
  ) throws {
    let copy = try model.copy(at: quantized)
    let times = LayerTimes(root: copy.root)
    let outcomes = try run(copy, reference.material, times, "quantized model:")
    var measurements: [Measurement] = []
    for (float, integer) in zip(reference.outcomes, outcomes) {
      measurements += Outcome.compare(float, integer)
      report.addPictures(float, integer)
    }
    report.add(measurements, float: reference.times, quantized: times)
  }

  private func run(
    _ model: StoredModel, _ material: Material, _ times: LayerTimes, _ stage: String
  ) throws -> [Outcome] {
    times.watch(machine)
    defer { machine.observer = nil }
    return try ModelRun(machine: machine, material: material).outcomes(model) { [progress] in
      try progress(stage, $0, $1)
    }
  }
}
