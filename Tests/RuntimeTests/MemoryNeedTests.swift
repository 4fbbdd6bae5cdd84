import PipitGraph
import PipitKernels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

/// What is told before a program is made is what it then has.
@Suite struct MemoryNeedTests {
  private func convolution(
    _ g: GraphBuilder, _ x: Value, _ name: String, to channels: Int, groups: Int = 1,
    stride: Int = 1
  ) throws -> Value {
    let weight = RandomWeights.make(name, [channels, x.shape.columns / groups, 3, 3])
    let op = Conv2D(
      weight: weight, bias: nil, stride: stride, padding: Conv2D.Padding(1), groups: groups)
    return try g.add(.conv2D(op), [x], name)
  }

  private func linear(_ g: GraphBuilder, _ x: Value, _ name: String, to columns: Int) throws
    -> Value
  {
    let weight = RandomWeights.make(name, [columns, x.shape.columns])
    return try g.add(.linear(Linear(weights: [weight], biases: [nil])), [x], name)
  }

  /// An 8-bit weight whose products are integer ones.
  private func integers(_ name: String, _ shape: Shape) -> Weight {
    let count = shape.count
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    for index in 0..<count { bytes[index] = UInt8(index % 256) }
    let owner = Bytes(UnsafeRawBufferPointer(bytes))
    return Weight(
      name: name, shape: shape, storage: .int8(scales: [Float](repeating: 1, count: shape[0])),
      activations: .dynamicPerToken, bytes: owner.bytes, owner: owner)
  }

  /// Every way to compute a product: merged and single, Winograd's, grouped, direct and depthwise, and of
  /// integers.
  private func graph(side: Int, for kernels: KernelTable = .best) throws -> Graph {
    let g = GraphBuilder(weights: RandomWeights())
    let x = g.input("x", [1, side, side, 24])
    var y = try convolution(g, x, "winograd", to: 37)
    y = try g.add(.upsample2x, [y], "upsample")
    y = try convolution(g, y, "enlarged", to: 32)
    y = try convolution(g, y, "grouped", to: 34, groups: 2)
    y = try convolution(g, y, "depthwise", to: 34, groups: 34)
    y = try convolution(g, y, "strided", to: 20, stride: 2)
    let rows = try g.reshape(y, to: [1, y.shape[1] * y.shape[2], 20])
    let attended = try g.attention(
      q: try linear(g, rows, "q", to: 20), k: try linear(g, rows, "k", to: 20),
      v: try linear(g, rows, "v", to: 20), heads: 2, at: Scope("attention"))
    var z = try linear(g, attended, "out", to: 32)
    for (name, activation) in [("i8.0", Activation.gelu), ("i8.1", .silu)] {
      z = try g.activation(activation, z)
      let op = Linear(weights: [integers(name, [32, 32])], biases: [nil])
      z = try g.add(.linear(op), [z], name)
    }
    z = try g.reshape(z, to: [1, 1, z.shape[1], 32])
    let op = Conv2D(
      weight: integers("i8 convolution", [16, 32, 3, 3]), bias: nil, padding: Conv2D.Padding(1))
    z = try g.add(.conv2D(op), [z], "i8 convolution")
    z = try g.add(.upsample2x, [z], "upsample again")
    let enlarged = Conv2D(
      weight: integers("i8 enlarged", [16, 16, 3, 3]), bias: nil, padding: Conv2D.Padding(1))
    g.output("y", try g.add(.conv2D(enlarged), [z], "i8 enlarged"))
    return Optimizer.optimize(g.graph, for: kernels, leastWork: 0)
  }

  @Test(arguments: [1, 3]) func needIsWhatProgramsHave(threads: Int) throws {
    let pool = ThreadPool(threadCount: threads)
    for kernels in KernelTable.available {
      let graphs = [try graph(side: 24, for: kernels), try graph(side: 9, for: kernels)]
      // The first program's weights and those of the second are not the same objects.
      for count in 1...2 {
        let weights = PackedWeights(kernels: kernels, pool: pool)
        let programs = graphs[..<count].map {
          Program(graph: $0, kernels: kernels, pool: pool, weights: weights)
        }
        let need = MemoryNeed(Array(graphs[..<count]), kernels: kernels, threadCount: threads)
        #expect(need.packed == weights.byteCount, "\(kernels.name)")
        let scratch = programs.reduce(0) { $0 + $1.scratchByteCount }
        #expect(need.scratch == scratch, "\(kernels.name)")
        let arena = programs.reduce(0) { $0 + $1.plan.byteCount }
        #expect(need.arena == arena, "\(kernels.name)")
        #expect(need.peak >= need.packed + need.arena + need.scratch)
      }
    }
  }

  /// Neither values that live nor another thread's block lie where a step writes.
  @Test(arguments: [1, 2, 5]) func scratchLiesWhereNothingLives(threads: Int) throws {
    let graph = try graph(side: 24)
    let buffers = Lifetimes(graph).buffers
    let arena = ArenaPlan(buffers)
    for size in [4096, 8192, 65536] {
      let sizes = graph.nodes.indices.map { $0 % 3 == 0 ? 0 : size }
      let plan = ScratchPlan(sizes, threadCount: threads, buffers: buffers, arena: arena)
      var inside = 0
      for (node, blocks) in plan.offsets.enumerated() {
        #expect(blocks.count == (sizes[node] == 0 ? 0 : threads))
        let ranges = blocks.map { $0..<$0 + size }
        for (index, range) in ranges.enumerated() {
          #expect(range.upperBound <= arena.byteCount + plan.byteCount)
          #expect(ranges[..<index].allSatisfy { !$0.overlaps(range) })
          guard range.lowerBound < arena.byteCount else { continue }
          inside += 1
          #expect(range.upperBound <= arena.byteCount)
          for (buffer, offset) in zip(buffers, arena.offsets)
          where buffer.first <= node && node <= buffer.last {
            #expect(!range.overlaps(offset..<offset + buffer.byteCount), "node \(node)")
          }
        }
      }
      #expect(inside > 0 || size > 8192)
    }
  }

  /// What is given back comes again when it is needed: the same bits, from fewer pages.
  @Test func givingBackChangesNoNumber() throws {
    let pool = ThreadPool(threadCount: 2)
    let weights = PackedWeights(kernels: .best, pool: pool)
    let program = Program(graph: try graph(side: 9), kernels: .best, pool: pool, weights: weights)
    func run() throws -> [UInt32] {
      let input = try program.input("x")
      for index in input.indices { input[index] = Float(index % 7) - 3 }
      try program.run()
      return try program.output("y").map(\.bitPattern)
    }
    let expected = try run()
    SpentMemory.giveBackBlocks()
    SpentMemory.giveBackCode()
    #expect(try run() == expected)
  }

  @Test func weightsOfTwoProgramsCountOnce() throws {
    let graph = try graph(side: 9)
    let one = MemoryNeed([graph], kernels: .best, threadCount: 1)
    let two = MemoryNeed([graph, graph], kernels: .best, threadCount: 1)
    #expect(two.packed == one.packed && two.arena == 2 * one.arena)
  }
}

/// Owns a block of bytes.
private final class Bytes: Sendable {
  // SAFETY: never written after construction; freed in `deinit`.
  nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  deinit { bytes.deallocate() }
}
