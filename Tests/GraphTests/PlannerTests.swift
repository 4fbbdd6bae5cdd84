import PipitGraph
import TestSupport
import Testing

@Suite struct PlannerTests {
  /// Buffers with random sizes and lifetimes.
  private func buffers(seed: UInt64) -> [Lifetimes.Buffer] {
    var generator = SeededGenerator(seed: seed)
    let count = Int.random(in: 1...60, using: &generator)
    return (0..<count).map { index in
      let length = Int.random(in: 0...8, using: &generator)
      return Lifetimes.Buffer(
        byteCount: Int.random(in: 1...5000, using: &generator), first: index - 1,
        last: index - 1 + length)
    }
  }

  @Test(arguments: 0..<60) func liveBuffersNeverOverlap(seed: UInt64) {
    let buffers = buffers(seed: seed)
    let plan = ArenaPlan(buffers)
    #expect(plan.byteCount >= plan.lowerBound)
    for (i, a) in buffers.enumerated() {
      #expect(plan.offsets[i] % ArenaPlan.alignment == 0)
      #expect(plan.offsets[i] + a.byteCount <= plan.byteCount)
      for (j, b) in buffers.enumerated() where j < i && a.first <= b.last && b.first <= a.last {
        let apart =
          plan.offsets[i] + a.byteCount <= plan.offsets[j]
          || plan.offsets[j] + b.byteCount <= plan.offsets[i]
        #expect(apart, "buffers \(i) and \(j) overlap")
      }
    }
  }

  @Test func samePlanEachTime() {
    #expect(ArenaPlan(buffers(seed: 3)).offsets == ArenaPlan(buffers(seed: 3)).offsets)
  }

  @Test func elementwiseWritesOverItsDyingInput() throws {
    let g = GraphBuilder(weights: NoWeights())
    let x = g.input("x", [4, 8])
    g.output("y", try g.activation(.relu, try g.activation(.tanh, x)))
    #expect(Lifetimes(g.graph).buffers.count == 1)
  }

  @Test func inputsThatAreReadLaterAreKept() throws {
    let g = GraphBuilder(weights: NoWeights())
    let x = g.input("x", [4, 8])
    let y = try g.activation(.tanh, x)
    g.output("y", try g.add(y, x))
    let lifetimes = Lifetimes(g.graph)
    #expect(lifetimes.buffers.count == 2)
  }

  @Test func outputsLiveToTheEnd() throws {
    let g = GraphBuilder(weights: NoWeights())
    let x = g.input("x", [4, 8])
    let early = try g.activation(.tanh, x)
    g.output("early", early)
    g.output("late", try g.activation(.relu, early))
    let lifetimes = Lifetimes(g.graph)
    let buffer = try #require(lifetimes.bufferOfValue[early.id.index])
    #expect(lifetimes.buffers[buffer].last == g.graph.nodes.count)
  }

  @Test func whatLiesInOnePieceIsAView() throws {
    let g = GraphBuilder(weights: NoWeights())
    let x = try g.activation(.tanh, g.input("x", [1, 6, 4]))
    let rows = try g.slice(x, axis: 1, 2..<5)
    let columns = try g.slice(x, axis: 2, 1..<3)
    let overRows = try g.activation(.relu, rows)
    g.output("rows", overRows)
    g.output("columns", try g.activation(.relu, columns))
    let lifetimes = Lifetimes(g.graph)
    let buffer = try #require(lifetimes.bufferOfValue[x.id.index])
    #expect(lifetimes.bufferOfValue[rows.id.index] == buffer)
    #expect(lifetimes.offsetOfValue[rows.id.index] == 2 * 4 * 4)
    #expect(lifetimes.bufferOfValue[columns.id.index] != buffer)
    // The view's last reader writes over it, and what it writes is an output.
    #expect(lifetimes.bufferOfValue[overRows.id.index] == buffer)
    #expect(lifetimes.offsetOfValue[overRows.id.index] == 2 * 4 * 4)
    #expect(lifetimes.buffers[buffer].last == g.graph.nodes.count)
  }

  @Test func whatIsConcatenatedIsMadeInItsPlace() throws {
    let g = GraphBuilder(weights: NoWeights())
    let x = g.input("x", [1, 2, 4])
    let first = try g.activation(.tanh, x)
    let second = try g.activation(.relu, x)
    let whole = try g.concatenate([first, x, second], axis: 1)
    g.output("y", try g.activation(.tanh, whole))
    let lifetimes = Lifetimes(g.graph)
    let buffer = try #require(lifetimes.bufferOfValue[whole.id.index])
    #expect(lifetimes.bufferOfValue[first.id.index] == buffer)
    #expect(lifetimes.bufferOfValue[second.id.index] == buffer)
    #expect(lifetimes.bufferOfValue[x.id.index] != buffer)
    let offsets = [first, second, whole].map { lifetimes.offsetOfValue[$0.id.index] }
    #expect(offsets == [0, 64, 0])
    #expect(lifetimes.buffers[buffer].first == 0)
    #expect(lifetimes.highest.byteCount == 64 + 128)
  }
}
