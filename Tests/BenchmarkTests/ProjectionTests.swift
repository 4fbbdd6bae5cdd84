import PipitBenchmarks
import PipitGraph
import PipitKernels
import PipitRuntime
import PipitTensors
import Testing

@Suite struct BoardTests {
  @Test func everyBoardIsReadAndSaysWhereItsNumbersComeFrom() throws {
    #expect(Board.known.map(\.name) == ["zero2", "pi4", "pi5", "i8mm"])
    for board in Board.known {
      for (name, fact) in board.facts {
        #expect(fact.value > 0, "\(board.name) \(name)")
        #expect(fact.source.count >= 7, "\(board.name) \(name)")
      }
    }
  }

  @Test func derivedPeaksFollowFromTheClock() {
    for board in Board.known {
      let perCycle = board.f32_gflops_per_core.value / board.clock_ghz.value
      #expect([8.0, 16.0].contains { abs($0 - perCycle) < 1e-9 }, "\(board.name)")
    }
  }

  @Test func whatIsNoBoardIsRefused() {
    #expect(throws: (any Error).self) { try Board.find("pi9") }
    #expect(throws: (any Error).self) { try Board.find("/nowhere/board.json") }
    #expect(throws: (any Error).self) { try Board(json: Array("{}".utf8), path: "x") }
    #expect(throws: (any Error).self) { try Board(json: [0xFF, 0x00], path: "x") }
  }
}

@Suite struct ProjectionTests {
  /// A board of round numbers: 100 GFLOP/s sustained, 1 GB/s, 1 kB of cache.
  private func board() throws -> Board {
    func fact(_ value: Double) -> String { "{\"value\": \(value), \"source\": \"a test\"}" }
    let values: [(String, Double)] = [
      ("cores", 4), ("clock_ghz", 1), ("f32_gflops_per_core", 50), ("int8_gops_per_core", 200),
      ("memory_mb", 512), ("memory_gb_s", 1), ("cache_kb", 1), ("card_mb_s", 10),
      ("compute_efficiency", 0.5), ("f16_gflops_per_core", 100),
    ]
    let facts = values.map { "\"\($0.0)\": \(fact($0.1))" }.joined(separator: ", ")
    let text = "{\"name\": \"t\", \"title\": \"t\", \"core\": \"t\", \(facts)}"
    return try Board(json: Array(text.utf8), path: "test")
  }

  private func weight(_ shape: Shape) -> Weight {
    Weight(name: "w", shape: shape, values: [Float](repeating: 0, count: shape.count))
  }

  private func integers(_ shape: Shape) -> Weight {
    let bytes = ByteStorage(count: shape.count) { $0.initializeMemory(as: UInt8.self, repeating: 3) }
    return Weight(
      name: "w", shape: shape, storage: .int8(scales: [Float](repeating: 1, count: shape[0])),
      activations: .staticPerTensor(scale: 1, zeroPoint: 0), bytes: bytes.bytes, owner: bytes)
  }

  private func linear(
    _ rows: Int, _ depth: Int, _ columns: Int, ofIntegers: Bool = false
  ) throws -> Projection {
    try project { g in
      let shape: Shape = [columns, depth]
      let own: Weight = ofIntegers ? integers(shape) : weight(shape)
      let op = Linear(weights: [own], biases: [nil])
      return try g.add(.linear(op), [g.input("x", [rows, depth])], "product")
    }
  }

  private func project(
    halves: Bool = false, _ build: (GraphBuilder) throws -> Value
  ) throws -> Projection {
    let builder = GraphBuilder(weights: NoWeights())
    builder.output("y", try build(builder))
    let graph = Optimizer.optimize(builder.graph)
    return Projection(
      board: try board(), model: "m", graphs: [("part", 3, graph)], fileByteCount: 20_000_000,
      halves: halves)
  }

  @Test func aLayerTakesTheLongerOfArithmeticAndMemory() throws {
    let few = try linear(1, 1000, 1000)
    let row = try #require(few.parts[0].rows.first)
    #expect(row.bound == "memory")
    // 4 MB of weights and 8 kB of activations, which do not fit the cache, at 1 GB/s.
    #expect(abs(row.projected_us - 4008) < 1e-6)
    #expect(abs(row.compute_us - 20) < 1e-9)

    let many = try linear(1000, 1000, 1000)
    let product = try #require(many.parts[0].rows.first)
    #expect(product.bound == "compute")
    #expect(abs(product.projected_us - 20_000) < 1e-6)
    #expect(abs(many.projected_ms - 60) < 1e-9)
    #expect(abs(many.card_ms - 2000) < 1e-9)
  }

  @Test func productsOfIntegersTakeTheirOwnPeak() throws {
    // Beside the quantization of its rows.
    let rows = try linear(1000, 1000, 1000, ofIntegers: true).parts[0].rows
    let row = try #require(rows.first { $0.algorithm == "integers" })
    #expect(abs(row.compute_us - 5000) < 1e-6)
  }

  @Test func productsOfHalvesTakeTheirOwnPeakWhereAskedFor() throws {
    let shape: Shape = [1000, 1000]
    let bytes = ByteStorage(count: 2 * shape.count) { $0.initializeMemory(as: UInt8.self, repeating: 0) }
    let halves = Weight(
      name: "w", shape: shape, storage: .dense(.f16), bytes: bytes.bytes, owner: bytes)
    for (own, asked, expected) in [(halves, true, 10_000.0), (halves, false, 20_000), (weight(shape), true, 20_000)] {
      let projection = try project(halves: asked) { g in
        let op = Linear(weights: [own], biases: [nil])
        return try g.add(.linear(op), [g.input("x", [1000, 1000])], "product")
      }
      let row = try #require(projection.parts[0].rows.first)
      #expect(abs(row.compute_us - expected) < 1e-6)
      #expect(row.algorithm == (expected < 20_000 ? "halves" : "direct"))
    }
  }

  @Test func fastConvolutionNeedsAFifthOfTheProductsAndTransforms() throws {
    let projection = try project { g in
      let op = Conv2D(weight: weight([256, 256, 3, 3]), bias: nil, padding: Conv2D.Padding(1))
      return try g.add(.conv2D(op), [g.input("x", [1, 64, 64, 256])], "convolution")
    }
    let row = try #require(projection.parts[0].rows.first)
    #expect(row.algorithm == "winograd")
    let nominal = row.mega_operations / 100_000 * 1e6
    #expect(row.compute_us > nominal / 5)
    #expect(row.compute_us < nominal / 3)
  }

  /// Sides, channels in and out, upsampling, groups.
  @Test(arguments: [
    [16, 16, 16, 1, 1], [8, 16, 16, 1, 1], [16, 8, 16, 1, 1], [16, 16, 8, 1, 1], [16, 32, 32, 2, 1],
    [8, 32, 32, 2, 1], [4, 32, 32, 2, 1], [16, 64, 64, 1, 2], [16, 16, 32, 1, 2], [12, 16, 16, 1, 16],
  ])
  func theAlgorithmIsTheOneThatTheRuntimeChooses(_ n: [Int]) throws {
    let builder = GraphBuilder(weights: NoWeights())
    var op = Conv2D(
      weight: weight([n[2], n[1] / n[4], 3, 3]), bias: nil, padding: Conv2D.Padding(1), groups: n[4])
    op.upsample = n[3]
    let x = builder.input("x", [1, n[0], n[0], n[1]])
    builder.output("y", try builder.add(.conv2D(op), [x], "convolution"))
    let kernels = KernelTable.scalar
    let program = Program(
      graph: builder.graph, kernels: kernels, pool: ThreadPool(threadCount: 1),
      weights: PackedWeights(kernels: kernels))
    let projection = Projection(
      board: try board(), model: "m", graphs: [("part", 1, builder.graph)], fileByteCount: 0)
    let row = try #require(projection.parts[0].rows.first)
    let chosen = try #require(program.kernelName(ofNode: 0))
    #expect((row.algorithm == "winograd") == (chosen == "winograd_f32"))
  }

  @Test func theTextSaysThatNothingWasRun() throws {
    let projection = try linear(4, 8, 8)
    let text = projection.text(perLayer: true)
    #expect(text.hasPrefix("PROJECTION"))
    #expect(text.contains("part, 3 runs"))
  }
}

private struct NoWeights: WeightSource {
  var names: [String] { [] }
  func weight(named name: String) throws -> Weight? { nil }
}
