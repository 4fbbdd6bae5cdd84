package import PipitGraph

/// Memory that the steps of one node use while they run, one block for each thread.
final class Scratch {
  private var floatCount = 0
  private var blocks: [UnsafeMutablePointer<Float>] = []

  /// Asks for blocks of at least `count` floats; before the memory is there.
  ///
  /// A step that asks for none (the scalar level's) gets them too: it hands a pointer on all the same.
  func reserve(_ count: Int) { floatCount = max(floatCount, count, 1) }

  /// Bytes of one thread's block; 0 where none was asked for.
  var blockByteCount: Int { ScratchPlan.blockByteCount(floatCount) }

  /// Takes the memory of all threads' blocks.
  func lie(at blocks: [UnsafeMutableRawPointer]) {
    self.blocks = blocks.map { $0.assumingMemoryBound(to: Float.self) }
  }

  func block(_ worker: Int) -> UnsafeMutablePointer<Float> { blocks[worker] }
}

/// Where the scratch memory of each node lies: in the arena, where no value lives while the node is computed, or
/// behind it where there are no such gaps.
package struct ScratchPlan {
  /// Of each node the blocks of all threads, in bytes from the arena's beginning; those that begin at its end or
  /// behind are not in it. None of nodes without.
  package let offsets: [[Int]]
  /// Bytes that are needed behind the arena.
  package let byteCount: Int

  /// - Parameter sizes: Bytes of a thread's block by node, in whole pages; 0 for none.
  package init(
    _ sizes: [Int], threadCount: Int, buffers: [Lifetimes.Buffer], arena: ArenaPlan
  ) {
    let order = buffers.indices.sorted { arena.offsets[$0] > arena.offsets[$1] }
    var behind = 0
    offsets = sizes.enumerated().map { node, size in
      guard size > 0 else { return [] }
      var places: [Int] = []
      // From the arena's end, which is mostly free: so that most nodes use the same memory.
      var end = arena.byteCount
      for index in order where buffers[index].first <= node && node <= buffers[index].last {
        let used = arena.offsets[index] + buffers[index].byteCount
        ScratchPlan.fill(used..<max(end, used), size, upTo: threadCount, &places)
        end = min(end, arena.offsets[index])
      }
      ScratchPlan.fill(0..<end, size, upTo: threadCount, &places)
      let left = threadCount - places.count
      behind = max(behind, left * size)
      return places + (0..<left).map { arena.byteCount + $0 * size }
    }
    byteCount = behind
  }

  /// Places blocks at the end of a gap.
  private static func fill(
    _ gap: Range<Int>, _ size: Int, upTo count: Int, _ places: inout [Int]
  ) {
    var place = gap.upperBound / page * page - size
    while places.count < count, place >= gap.lowerBound {
      places.append(place)
      place -= size
    }
  }

  private static let page = 4096

  /// Bytes of a thread's block of so many floats: whole pages, so that no two threads write to one.
  package static func blockByteCount(_ floatCount: Int) -> Int {
    (floatCount * MemoryLayout<Float>.stride + page - 1) / page * page
  }
}
