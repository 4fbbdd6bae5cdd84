import PipitGraph
import PipitKernels
import PipitTensors

/// The one block of memory that a program computes in, laid out before it runs.
final class Arena {
  let plan: ArenaPlan
  private let memory: UnsafeMutableRawPointer
  private let lifetimes: Lifetimes
  private var spare: UnsafeMutableRawPointer?
  /// Bytes of scratch memory for which there is no room among the values.
  private(set) var scratchByteCount = 0

  init(_ graph: Graph) {
    lifetimes = Lifetimes(graph)
    plan = ArenaPlan(lifetimes.buffers)
    memory = BlockMemory.allocate(byteCount: plan.byteCount)
  }

  deinit {
    memory.deallocate()
    spare?.deallocate()
  }

  /// Gives each node's steps their scratch memory; once.
  func addScratch(_ scratches: [Scratch], threadCount: Int) {
    let places = ScratchPlan(
      scratches.map(\.blockByteCount), threadCount: threadCount, buffers: lifetimes.buffers, arena: plan)
    scratchByteCount = places.byteCount
    let behind = BlockMemory.allocate(byteCount: scratchByteCount)
    spare = behind
    for (scratch, offsets) in zip(scratches, places.offsets) {
      scratch.lie(
        at: offsets.map { $0 < plan.byteCount ? memory + $0 : behind + ($0 - plan.byteCount) })
    }
  }

  /// Where a value lies; `nil` for constants.
  func address(of value: ValueID) -> UnsafeMutableRawPointer? {
    lifetimes.bufferOfValue[value.index].map {
      memory + plan.offsets[$0] + lifetimes.offsetOfValue[value.index]
    }
  }
}
