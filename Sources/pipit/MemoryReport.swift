import PipitEngine
import PipitPipelines

/// Memory, stage by stage, for people and scripts.
struct MemoryReport: Encodable {
  struct Stage: Encodable {
    let name: String
    let weightBytes: Int
    let workBytes: Int
    let bytes: Int
  }

  let stages: [Stage]
  let peakBytes: Int
  let freeBytes: Int?

  init(_ plan: MemoryPlan) { self.init(MemoryEstimate(plan)) }

  init(_ estimate: MemoryEstimate) {
    stages = estimate.stages.map {
      Stage(
        name: $0.name, weightBytes: $0.weightByteCount, workBytes: $0.workByteCount,
        bytes: $0.byteCount)
    }
    peakBytes = estimate.peakByteCount
    freeBytes = MemoryEstimate.freeByteCount
  }

  func print() {
    for stage in stages {
      Swift.print(
        "\(stage.name): \(Console.bytes(stage.bytes)) "
          + "(weights \(Console.bytes(stage.weightBytes)), work \(Console.bytes(stage.workBytes)))")
    }
    Swift.print(peakLine)
  }

  /// The peak, and what can be had.
  var peakLine: String {
    let free = freeBytes.map { ", \(Console.bytes($0)) are free" } ?? ""
    return "at most \(Console.bytes(peakBytes)) at a time\(free)"
  }
}
