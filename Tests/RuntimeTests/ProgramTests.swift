import CTestSupport
import PipitGraph
import PipitKernels
import PipitModels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

#if DEBUG
  private let isOptimized = false
#else
  private let isOptimized = true
#endif

/// Serialized: the counter of allocations counts the whole process.
@Suite(.serialized) struct ProgramTests {
  /// A small encoder for two texts.
  private func encoder(tokens: Int) throws -> Graph {
    let configuration = Configuration(
      file: "test",
      values: [
        "vocab_size": .integer(50), "hidden_size": .integer(48), "num_hidden_layers": .integer(2),
        "num_attention_heads": .integer(4), "intermediate_size": .integer(96),
        "max_position_embeddings": .integer(64), "type_vocab_size": .integer(2),
      ])
    return try TextTransformer(bert: configuration).graph(
      weights: GeneratedWeights.bert, TextShape(batch: 2, tokens: tokens),
      pooling: SentencePooling(.mean, normalizes: true))
  }

  private func inputs(_ tokens: Int) -> [String: [Float]] {
    let ids = randoms(2 * tokens, seed: 5).map { Float(Int(abs($0) * 49)) }
    let mask = (0..<2 * tokens).map { Float($0 % tokens < tokens - 2 ? 1 : 0) }
    return ["input_ids": ids, "attention_mask": mask]
  }

  @Test func optimizedEqualsReference() throws {
    let graph = try encoder(tokens: 9)
    var reference = ReferenceEvaluator(graph, inputs: inputs(9))
    let expected = reference.run()
    for kernels in KernelTable.available {
      let actual = try run(Optimizer.optimize(graph), inputs(9), kernels: kernels)
      for (name, values) in expected {
        #expect(maxError(actual[name] ?? [], values) <= 1e-4, "\(name) on \(kernels.name)")
      }
    }
  }

  @Test func threadsGiveIdenticalBits() throws {
    let graph = Optimizer.optimize(try encoder(tokens: 33))
    let one = try run(graph, inputs(33), kernels: .best, threads: 1)
    for threads in [2, 3, 8] {
      let more = try run(graph, inputs(33), kernels: .best, threads: threads)
      for name in one.keys { #expect(one[name] == more[name], "\(name) with \(threads) threads") }
    }
  }

  @Test func runsAgainWithTheSameBits() throws {
    let graph = Optimizer.optimize(try encoder(tokens: 17))
    let program = Program(
      graph: graph, kernels: .best, pool: ThreadPool(threadCount: 2),
      weights: PackedWeights(kernels: .best))
    var first: [Float]?
    for _ in 0..<3 {
      try fill(program, inputs(17))
      try program.run()
      let output = Array(try program.output("sentence_embedding"))
      #expect(first == nil || first == output)
      first = output
    }
  }

  /// Only of optimized code: at -Onone Swift itself allocates (iterators, closure contexts).
  @Test(.enabled(if: isOptimized), arguments: [1, 2])
  func warmRunsAllocateNothing(threads: Int) throws {
    let graph = Optimizer.optimize(try encoder(tokens: 17))
    let program = Program(
      graph: graph, kernels: .best, pool: ThreadPool(threadCount: threads),
      weights: PackedWeights(kernels: .best))
    let values = inputs(17)
    for _ in 0..<2 {
      try fill(program, values)
      try program.run()
    }
    // Other tests run beside this one and allocate too: one run that saw no allocation at all is the
    // proof, and a program that allocates never has one.
    var fewest = Int.max
    var runs = 0
    while fewest > 0, runs < 20_000 {
      try fill(program, values)
      let before = allocation_count()
      try program.run()
      fewest = min(fewest, Int(allocation_count() - before))
      runs += 1
    }
    #expect(fewest == 0)
  }

  /// Notes what the first input of each product held when it was about to be computed.
  private final class Notes: ProgramObserver {
    var nodes: [Int] = []
    var inputs: [[Float]] = []

    func willCompute(node: Int, of program: Program) {
      nodes.append(node)
      guard case .linear = program.graph.nodes[node].op,
        let memory = program.memory(of: program.graph.nodes[node].inputs[0])
      else { return }
      inputs.append(Array(memory))
    }
  }

  @Test func observersSeeWhatProductsRead() throws {
    let configuration = try encoder(tokens: 6)
    let program = Program(
      graph: Optimizer.optimize(configuration), kernels: .best, pool: ThreadPool(threadCount: 1),
      weights: PackedWeights(kernels: .best))
    try fill(program, inputs(6))
    try program.run()
    let expected = Array(try program.output("sentence_embedding"))
    let notes = Notes()
    program.observer = notes
    try fill(program, inputs(6))
    try program.run()
    #expect(Array(try program.output("sentence_embedding")) == expected)
    #expect(notes.nodes == Array(program.graph.nodes.indices))
    // What a layer norm makes, with the gains and biases of the generated weights, is what the first reads.
    #expect(notes.inputs.count == 8)
    #expect(notes.inputs.allSatisfy { $0.contains { $0 != 0 } && $0.allSatisfy(\.isFinite) })
    #expect(notes.inputs[0].count == 12 * 48 && notes.inputs[3].count == 12 * 96)
  }

  @Test func countsAllocations() {
    let before = allocation_count()
    let block = UnsafeMutableRawPointer.allocate(byteCount: 1 << 16, alignment: 64)
    block.deallocate()
    #expect(allocation_count() > before)
  }

  @Test func idsOutsideTheTableAreRefused() throws {
    let graph = Optimizer.optimize(try encoder(tokens: 5))
    for id in [Float(50), -1, 1e6] {
      var bad = inputs(5)
      bad["input_ids"]?[3] = id
      #expect(throws: ProgramError.self) { _ = try run(graph, bad, kernels: .best) }
    }
  }

  @Test func unknownPortsAreRefused() throws {
    let program = Program(
      graph: Optimizer.optimize(try encoder(tokens: 5)), kernels: .scalar,
      pool: ThreadPool(threadCount: 1), weights: PackedWeights(kernels: .scalar))
    #expect(throws: ProgramError.self) { _ = try program.output("nothing") }
    #expect(throws: ProgramError.self) { _ = try program.input("input_ids") }
  }

  @Test func plansStayNearTheLowerBound() throws {
    for tokens in [8, 33, 64] {
      let plan = ArenaPlan(Lifetimes(Optimizer.optimize(try encoder(tokens: tokens))).buffers)
      #expect(plan.ratio <= 1.02, "\(tokens) tokens: \(plan.byteCount) of \(plan.lowerBound)")
    }
  }
}

@Suite struct ThreadPoolTests {
  private final class Count: TiledWork {
    let counts: UnsafeMutablePointer<Int32>
    init(_ tiles: Int) {
      counts = .allocate(capacity: tiles)
      counts.initialize(repeating: 0, count: tiles)
    }
    deinit { counts.deallocate() }
    func run(tile: Int, worker: Int) { counts[tile] += 1 }
  }

  @Test(arguments: [1, 2, 3, 8]) func everyTileRunsOnce(threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    for tiles in [1, 2, 3, 7, 64, 1000] {
      let work = Count(tiles)
      for _ in 0..<50 { pool.run(work, tileCount: tiles) }
      #expect((0..<tiles).allSatisfy { work.counts[$0] == 50 }, "\(tiles) tiles")
    }
  }

  @Test func poolsEndWhileIdle() {
    for _ in 0..<20 {
      let pool = ThreadPool(threadCount: 4)
      pool.run(Count(8), tileCount: 8)
    }
  }
}

/// The tensors of the small encoder above, by name.
private struct GeneratedWeights: WeightSource {
  let shapes: [String: Shape]

  var names: [String] { Array(shapes.keys) }

  func weight(named name: String) throws -> Weight? {
    shapes[name].map {
      name.hasSuffix("LayerNorm.weight")
        ? RandomWeights.positive(name, $0.count) : RandomWeights.make(name, $0)
    }
  }

  static var bert: GeneratedWeights {
    var shapes: [String: Shape] = [
      "embeddings.word_embeddings.weight": [50, 48],
      "embeddings.position_embeddings.weight": [64, 48],
      "embeddings.token_type_embeddings.weight": [2, 48], "embeddings.LayerNorm.weight": [48],
      "embeddings.LayerNorm.bias": [48],
    ]
    for layer in 0..<2 {
      let path = "encoder.layer.\(layer)."
      for name in ["self.query", "self.key", "self.value", "output.dense"] {
        shapes[path + "attention." + name + ".weight"] = [48, 48]
        shapes[path + "attention." + name + ".bias"] = [48]
      }
      for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
        shapes[path + name + ".weight"] = [48]
        shapes[path + name + ".bias"] = [48]
      }
      shapes[path + "intermediate.dense.weight"] = [96, 48]
      shapes[path + "intermediate.dense.bias"] = [96]
      shapes[path + "output.dense.weight"] = [48, 96]
      shapes[path + "output.dense.bias"] = [48]
    }
    return GeneratedWeights(shapes: shapes)
  }
}
