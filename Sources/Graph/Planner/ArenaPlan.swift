/// Where each buffer lies in the one block of memory that a program computes in.
package struct ArenaPlan: Sendable {
  /// Offsets are multiples of this: a cache line, and the widest vector.
  package static let alignment = 64

  /// Byte offset of each buffer, in the order of `Lifetimes.buffers`.
  package let offsets: [Int]
  package let byteCount: Int
  /// No plan can be smaller: the largest sum of aligned buffers that live at the same step.
  package let lowerBound: Int

  /// Plans by several greedy orders and a short search that swaps neighbours, and keeps the smallest.
  package init(_ buffers: [Lifetimes.Buffer]) {
    lowerBound = ArenaPlan.lowerBound(buffers)
    var best: (offsets: [Int], byteCount: Int)?
    for order in ArenaPlan.orders(buffers) {
      var order = order
      var plan = ArenaPlan.place(buffers, order)
      ArenaPlan.improve(&plan, &order, buffers, until: lowerBound)
      if plan.byteCount < best?.byteCount ?? Int.max { best = plan }
      if plan.byteCount == lowerBound { break }
    }
    offsets = best?.offsets ?? []
    byteCount = best?.byteCount ?? 0
  }

  /// The plan's size over the lower bound; 1 is perfect.
  package var ratio: Double { lowerBound == 0 ? 1 : Double(byteCount) / Double(lowerBound) }

  static func aligned(_ byteCount: Int) -> Int {
    (byteCount + alignment - 1) / alignment * alignment
  }

  private static func lowerBound(_ buffers: [Lifetimes.Buffer]) -> Int {
    // The sum of live buffers changes only where one begins, so it is enough to look there.
    var bound = 0
    for buffer in buffers {
      let live = buffers.filter { $0.first <= buffer.first && buffer.first <= $0.last }
      bound = max(bound, live.reduce(0) { $0 + aligned($1.byteCount) })
    }
    return bound
  }

  /// Orders in which buffers are placed: largest first, longest first, largest area first, and by time.
  private static func orders(_ buffers: [Lifetimes.Buffer]) -> [[Int]] {
    func order(_ key: (Lifetimes.Buffer) -> Int) -> [Int] {
      // The index breaks ties, so that a plan never depends on the sort's whims.
      buffers.indices.sorted { (-key(buffers[$0]), $0) < (-key(buffers[$1]), $1) }
    }
    return [
      order { $0.byteCount },
      order { ($0.last - $0.first + 1) * ($0.byteCount / alignment + 1) },
      order { $0.last - $0.first },
      Array(buffers.indices),
    ]
  }

  /// Places buffers one by one at the lowest gap among those that live at the same time.
  private static func place(
    _ buffers: [Lifetimes.Buffer], _ order: [Int]
  ) -> (offsets: [Int], byteCount: Int) {
    var offsets = [Int](repeating: 0, count: buffers.count)
    var placed: [Int] = []  // by offset
    var total = 0
    for index in order {
      let buffer = buffers[index]
      var offset = 0
      for other in placed {
        let neighbour = buffers[other]
        guard neighbour.first <= buffer.last, buffer.first <= neighbour.last else { continue }
        if offsets[other] >= offset + aligned(buffer.byteCount) { break }
        offset = max(offset, offsets[other] + aligned(neighbour.byteCount))
      }
      offsets[index] = offset
      placed.insert(index, at: placed.firstIndex { offsets[$0] > offset } ?? placed.count)
      total = max(total, offset + aligned(buffer.byteCount))
    }
    return (offsets, total)
  }

  /// Swaps neighbours in the order while that helps. The number of tries is bounded: planning a
  /// large graph must not take longer than reading its weights.
  private static func improve(
    _ plan: inout (offsets: [Int], byteCount: Int), _ order: inout [Int],
    _ buffers: [Lifetimes.Buffer], until bound: Int
  ) {
    var tries = buffers.count < 2 ? 0 : min(200, 40_000 / buffers.count)
    var position = 0
    while tries > 0, plan.byteCount > bound {
      order.swapAt(position, position + 1)
      let candidate = place(buffers, order)
      if candidate.byteCount < plan.byteCount {
        plan = candidate
      } else {
        order.swapAt(position, position + 1)
      }
      position = (position + 1) % (buffers.count - 1)
      tries -= 1
    }
  }
}
