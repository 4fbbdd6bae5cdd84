import PipitKernels

/// Quantizes a model into one of the same layout.
protocol ModelQuantizer {
  /// What is to become of each tensor.
  var plan: [SchemeChoice] { get }

  /// Bytes of weights that will be read.
  var byteCount: Int { get }

  /// Writes the quantized model to `output`, or nothing where that is `nil`. On any error nothing is left.
  /// `progress` is told how many bytes of weights have been read.
  func run(
    output: String?, force: Bool, progress: (_ done: Int) throws -> Void
  ) throws -> QuantizationReport
}

extension StoredModel {
  /// Plans everything, reading settings and headers only: what is wrong with them, or with the rules, is told
  /// before anything is written.
  func quantizer(
    _ request: QuantizationRequest, kernels: KernelTable
  ) throws -> any ModelQuantizer {
    switch self {
    case .folder(let folder):
      return try FolderQuantizer(folder, request: request, kernels: kernels)
    case .checkpoint(let checkpoint):
      return try FileQuantizer(checkpoint.file, request: request, kernels: kernels)
    case .weights(let file, _):
      return try FileQuantizer(file, request: request, kernels: kernels)
    }
  }
}

extension QuantizationRequest {
  /// A rule that decides about nothing is a slip of the pen that would go unseen.
  func refuseUnused(_ used: Set<Int>) throws {
    for (index, rule) in rules.enumerated() where !used.contains(index) {
      throw RuleError(rule: rule.text)
    }
  }
}
