import PipitGraph
import PipitKernels
import PipitTensors

/// The one block of memory that a program computes in, laid out before it runs.
final class Arena {
  let plan: ArenaPlan
  private let memory: UnsafeMutableRawPointer
  private let lifetimes: Lifetimes

  init(_ graph: Graph) {
    lifetimes = Lifetimes(graph)
    plan = ArenaPlan(lifetimes.buffers)
    memory = BlockMemory.allocate(byteCount: plan.byteCount)
  }

  deinit { memory.deallocate() }

  /// Where a value lies; `nil` for constants.
  func address(of value: ValueID) -> UnsafeMutableRawPointer? {
    lifetimes.bufferOfValue[value.index].map {
      memory + plan.offsets[$0] + lifetimes.offsetOfValue[value.index]
    }
  }
}
