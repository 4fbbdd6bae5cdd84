import Glibc
import PipitFormats
import PipitKernels

/// Quantizes one file of weights into another one: what `FolderQuantizer` does for folders.
struct FileQuantizer: ModelQuantizer {
  private let path: String
  private let shard: ShardQuantizer

  /// Plans everything, reading the header only.
  init(
    _ file: Safetensors, request: QuantizationRequest, kernels: KernelTable
  ) throws {
    guard file.metadata["quantization_config"] == nil else {
      throw AlreadyQuantized(path: file.file.path, found: "'quantization_config' in its metadata")
    }
    path = file.file.path
    var usedRules: Set<Int> = []
    shard = try ShardQuantizer(
      file, prefix: "", tellsSettings: true, request: request,
      smoothing: request.smoothing([file], prefix: "", kernels: kernels), kernels: kernels,
      usedRules: &usedRules)
    try request.refuseUnused(usedRules)
  }

  var plan: [SchemeChoice] { shard.work.map(\.choice) }

  var byteCount: Int { shard.source.file.bytes.count }

  func run(
    output: String?, force: Bool, progress: (_ done: Int) throws -> Void
  ) throws -> QuantizationReport {
    if let output { try refuse(output, force: force) }
    var done = 0
    let rows = try shard.run(to: output) { count in
      done += count
      try progress(done)
    }
    var report = QuantizationReport()
    report.add(rows, bytesBefore: byteCount, bytesAfter: shard.plan.byteCount)
    return report
  }

  /// Neither a folder nor the model itself may be written over, other files only where that is asked for.
  private func refuse(_ output: String, force: Bool) throws {
    func wrong(_ expected: String, _ found: String) -> FormatError {
      FormatError(path: output, expected: expected, found: found)
    }
    guard !FileTree.isFolder(output) else {
      throw wrong("a file to write, as the model is one", "a folder")
    }
    if let place = FileTree.resolved(output) {
      guard place != FileTree.resolved(path) else {
        throw wrong("another file than the model's '\(path)'", "the same one")
      }
      guard force else { throw wrong("a file that is not there yet (or --force)", "one") }
    }
  }
}
