import PipitGraph
import PipitKernels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

/// Random numbers, matrices and convolutions among them as 8-bit integers that ask for `activations`.
struct IntegerWeights: WeightSource {
  var activations: Weight.Activations
  let shapes: [String: Shape]
  var names: [String] { shapes.keys.sorted() }

  func weight(named name: String) throws -> Weight? {
    guard let shape = shapes[name] else { return nil }
    let floats = RandomWeights.make(name, shape)
    guard shape.rank > 1 else { return floats }
    let values = floats.floats()
    let columns = floats.columns
    let scales = (0..<floats.rows).map { row in
      (values[row * columns..<(row + 1) * columns].map(abs).max() ?? 1) / 127
    }
    // Four bytes a float, to have memory that somebody owns.
    let words = stride(from: 0, to: values.count, by: 4).map { first in
      let word = (0..<4).reduce(UInt32(0)) { word, offset in
        guard first + offset < values.count else { return word }
        let stored = Int8((values[first + offset] / scales[(first + offset) / columns]).rounded())
        return word | UInt32(UInt8(bitPattern: stored)) << UInt32(8 * offset)
      }
      return Float(bitPattern: word)
    }
    let memory = FloatStorage(words)
    return Weight(
      name: name, shape: shape, storage: .int8(scales: scales), activations: activations,
      bytes: UnsafeRawBufferPointer(rebasing: memory.bytes[..<values.count]), owner: memory)
  }
}

@Suite struct IntegerProgramTests {
  /// Norm, two linears with an activation between them, a residual.
  private func transformerLike(_ activations: Weight.Activations) throws -> Graph {
    let shapes: [String: Shape] = [
      "norm.weight": [37], "norm.bias": [37], "a.weight": [70, 37], "a.bias": [70],
      "b.weight": [37, 70], "q.weight": [37, 37], "k.weight": [37, 37], "v.weight": [37, 37],
    ]
    let g = GraphBuilder(weights: IntegerWeights(activations: activations, shapes: shapes))
    let x = g.input("x", [2, 9, 37])
    let y = try g.layerNorm(x, at: Scope("norm"), epsilon: 1e-5)
    let q = try g.linear(y, at: Scope("q"), to: 37, bias: false)
    let k = try g.linear(y, at: Scope("k"), to: 37, bias: false)
    let v = try g.linear(y, at: Scope("v"), to: 37, bias: false)
    let z = try g.add(try g.attention(q: q, k: k, v: v, heads: 1, at: Scope("attention")), x)
    var t = try g.linear(z, at: Scope("a"), to: 70)
    t = try g.activation(.relu, t)
    t = try g.linear(t, at: Scope("b"), to: 37, bias: false)
    g.output("y", try g.add(t, z))
    return g.graph
  }

  /// Convolutions of all kinds with a group norm between them.
  private func decoderLike(enlarges: Bool) throws -> Graph {
    let shapes: [String: Shape] = [
      "in.weight": [24, 5, 3, 3], "in.bias": [24], "norm.weight": [24], "norm.bias": [24],
      "up.weight": [20, 24, 3, 3], "up.bias": [20], "down.weight": [20, 20, 3, 3],
      "down.bias": [20], "out.weight": [20, 20, 1, 1], "out.bias": [20],
    ]
    let activations = Weight.Activations.staticPerTensor(scale: 0.03, zeroPoint: -20)
    let g = GraphBuilder(weights: IntegerWeights(activations: activations, shapes: shapes))
    let x = g.input("x", [2, 6, 7, 5])
    var t = try g.conv2D(x, at: Scope("in"), to: 24, kernel: 3)
    t = try g.groupNorm(t, at: Scope("norm"), groups: 4, epsilon: 1e-5)
    t = try g.activation(.silu, t)
    if enlarges { t = try g.add(.upsample2x, [t], "upsample") }
    t = try g.conv2D(t, at: Scope("up"), to: 20, kernel: 3)
    t = try g.activation(.relu, t)
    t = try g.conv2D(t, at: Scope("down"), to: 20, kernel: 3, stride: 2)
    let u = try g.conv2D(t, at: Scope("out"), to: 20, kernel: 1)
    g.output("y", try g.add(u, t))
    return g.graph
  }

  private func count(_ graph: Graph, _ name: String) -> Int {
    graph.nodes.count { $0.op.name == name }
  }

  /// `meanTolerance` is that of the mean difference.
  private func check(_ graph: Graph, meanTolerance: Float = 2e-4) throws {
    try graph.verify()
    let inputs = randomInputs(graph, seed: 3)
    var reference = ReferenceEvaluator(graph, inputs: inputs)
    let expected = reference.run()["y"] ?? []
    for kernels in KernelTable.available {
      let actual = try run(graph, inputs, kernels: kernels)["y"] ?? []
      // A number at the border between two integers may fall to either side, by 0.03; few do.
      #expect(maxError(actual, expected) <= 0.065, "\(kernels.name)")
      let total = zip(actual, expected).reduce(0) { $0 + abs($1.0 - $1.1) }
      #expect(total / Float(expected.count) <= meanTolerance, "\(kernels.name)")
      for threads in [2, 3] {
        let more = try run(graph, inputs, kernels: kernels, threads: threads)["y"]
        #expect(more == actual, "\(kernels.name), \(threads) threads")
      }
    }
  }

  @Test func productsOfTokensAreIntegerOnes() throws {
    let graph = Optimizer.optimize(try transformerLike(.dynamicPerToken))
    // Norm and merged projections share one; the others' inputs have other readers or other makers.
    #expect(count(graph, "quantize") == 2)
    #expect(count(graph, "linear") == 3)
    try check(graph)
  }

  @Test func productsWithScalesFromCalibrationAreIntegerOnes() throws {
    let activations = Weight.Activations.staticPerTensor(scale: 0.04, zeroPoint: 9)
    let graph = Optimizer.optimize(try transformerLike(activations))
    // The first linear of the pair stores integers itself.
    #expect(count(graph, "quantize") == 1)
    try check(graph)
  }

  @Test func convolutionsAreIntegerOnes() throws {
    let graph = Optimizer.optimize(try decoderLike(enlarges: false))
    // The input; what the residual adds as well is stored as integers, for both.
    #expect(count(graph, "quantize") == 1)
    try check(graph)
  }

  @Test func convolutionsOverEnlargedImagesFallIntoFour() throws {
    let graph = Optimizer.optimize(try decoderLike(enlarges: true))
    #expect(count(graph, "upsample2x") == 0)
    // Sums of taps are rounded to 8 bits once more.
    try check(graph, meanTolerance: 6e-3)
  }

  /// Without dot products of bytes, convolutions that Winograd's algorithm pays for are of floats; the others
  /// stay as they are. Weights are bytes in memory either way.
  @Test func convolutionsAreWhatTheLevelIsFasterWith() throws {
    let shapes: [String: Shape] = [
      "a.weight": [24, 20, 3, 3], "a.bias": [24], "b.weight": [24, 24, 3, 3], "b.bias": [24],
      "c.weight": [24, 24, 3, 3], "c.bias": [24], "d.weight": [16, 24, 1, 1], "d.bias": [16],
    ]
    let activations = Weight.Activations.staticPerTensor(scale: 0.03, zeroPoint: -20)
    let g = GraphBuilder(weights: IntegerWeights(activations: activations, shapes: shapes))
    var t = try g.conv2D(g.input("x", [2, 14, 13, 20]), at: Scope("a"), to: 24, kernel: 3)
    t = try g.add(.upsample2x, [t], "upsample")
    t = try g.conv2D(t, at: Scope("b"), to: 24, kernel: 3)
    t = try g.conv2D(t, at: Scope("c"), to: 24, kernel: 3, stride: 2)
    g.output("y", try g.conv2D(t, at: Scope("d"), to: 16, kernel: 1))
    let integers = Optimizer.optimize(g.graph)
    let inputs = randomInputs(integers, seed: 3)
    let expected = try run(integers, inputs, kernels: .scalar)["y"] ?? []
    for kernels in KernelTable.available {
      let graph = Optimizer.optimize(g.graph, for: kernels, leastWork: 0)
      let pool = ThreadPool(threadCount: 1)
      let weights = PackedWeights(kernels: kernels, pool: pool)
      let program = Program(graph: graph, kernels: kernels, pool: pool, weights: weights)
      let convolutions = graph.nodes.indices.filter { graph.nodes[$0].op.name == "conv2d" }
      let names = convolutions.map { program.kernelName(ofNode: $0) ?? "" }
      let first = kernels.hasDotProducts ? "conv2d_i8" : "winograd_f32"
      #expect(names == [first, first, "conv2d_i8", "conv2d_i8"], "\(kernels.name)")
      let small = Optimizer.optimize(g.graph, for: kernels)
      #expect(small.listing == integers.listing)
      let isTold = graph.listing.contains("conv2d w8 +upsample2x +bias")
      #expect(isTold == !kernels.hasDotProducts)
      // Panels may be a quarter empty, an enlarged image's integers lie there four times by four taps: less
      // than two bytes a number.
      let count = shapes.values.reduce(0) { $0 + $1.count }
      #expect(weights.byteCount < 2 * count, "\(kernels.name)")
      let actual = try run(graph, inputs, kernels: kernels)["y"] ?? []
      #expect(maxError(actual, expected) <= 0.3, "\(kernels.name)")
      if !kernels.hasDotProducts { try check(graph) }
    }
  }

  /// Deep convolutions are computed by minimal filtering where a level has it, to the last bit of the others.
  @Test func deepConvolutionsAreFastAndExact() throws {
    let shapes: [String: Shape] = [
      "a.weight": [64, 64, 3, 3], "a.bias": [64], "b.weight": [64, 64, 3, 3], "b.bias": [64],
      "c.weight": [3, 64, 3, 3], "c.bias": [3],
    ]
    let activations = Weight.Activations.staticPerTensor(scale: 0.03, zeroPoint: -100)
    let g = GraphBuilder(weights: IntegerWeights(activations: activations, shapes: shapes))
    let x = g.input("x", [1, 21, 24, 64])
    let t = try g.activation(.relu, try g.conv2D(x, at: Scope("a"), to: 64, kernel: 3))
    let u = try g.add(try g.conv2D(t, at: Scope("b"), to: 64, kernel: 3), t)
    g.output("y", try g.conv2D(try g.activation(.relu, u), at: Scope("c"), to: 3, kernel: 3))
    let graph = Optimizer.optimize(g.graph)
    let inputs = randomInputs(graph, seed: 3)
    let expected = try run(graph, inputs, kernels: .scalar)["y"] ?? []
    for kernels in KernelTable.available {
      for threads in 1...3 {
        let pool = ThreadPool(threadCount: threads)
        let weights = PackedWeights(kernels: kernels, pool: pool)
        let program = Program(graph: graph, kernels: kernels, pool: pool, weights: weights)
        let names = graph.nodes.indices.compactMap { program.kernelName(ofNode: $0) }
        let isFast = kernels.name.hasPrefix("avx")
        #expect(names.filter { $0 == "winograd_i8" }.count == (isFast ? 2 : 0), "\(kernels.name)")
        // Floats are preferred where integers cannot have it.
        let chosen = Optimizer.optimize(g.graph, for: kernels, leastWork: 0)
        let stays = isFast || kernels.hasDotProducts
        #expect((chosen.listing == graph.listing) == stays, "\(kernels.name)")
        let need = MemoryNeed([graph], kernels: kernels, threadCount: threads)
        #expect(need.scratch == program.scratchByteCount, "\(kernels.name)")
        let actual = try run(graph, inputs, kernels: kernels, threads: threads)["y"]
        #expect(actual == expected, "\(kernels.name), \(threads) threads")
      }
    }
  }

  /// A picture's pixels get a fourth number; the pooling of integers comes before the block that reads them
  /// twice.
  @Test func picturesStayIntegersThroughPooling() throws {
    let shapes: [String: Shape] = [
      "first.weight": [20, 3, 7, 7], "first.bias": [20], "a.weight": [20, 20, 3, 3],
      "b.weight": [20, 20, 3, 3], "a.bias": [20],
    ]
    let activations = Weight.Activations.staticPerTensor(scale: 0.03, zeroPoint: -100)
    let g = GraphBuilder(weights: IntegerWeights(activations: activations, shapes: shapes))
    let x = g.input("x", [2, 25, 31, 3])
    var t = try g.conv2D(
      x, at: Scope("first"), to: 20, kernel: 7, stride: 2, padding: Conv2D.Padding(3))
    t = try g.activation(.relu, t)
    t = try g.add(.maxPool(Pool(window: 3, stride: 2, padding: 1)), [t], "pool")
    var u = try g.conv2D(t, at: Scope("a"), to: 20, kernel: 3)
    u = try g.activation(.relu, u)
    u = try g.conv2D(u, at: Scope("b"), to: 20, kernel: 3, bias: false)
    g.output("y", try g.activation(.relu, try g.add(u, t)))
    let graph = Optimizer.optimize(g.graph)
    #expect(count(graph, "quantize") == 1)
    let pooled = graph.nodes.first { $0.op.name == "max_pool" }?.output
    #expect(pooled.map { graph[$0].elementType } == .i8)
    let first = graph.nodes.first { $0.op.name == "conv2d" }
    let products = 2 * 13 * 16 * 20 * 147
    #expect(first.map { graph.cost(of: $0).operationCount } == 2 * products)
    try check(graph)
  }

  /// A picture's first convolution in steps of two reads pairs of pixels where that is shorter than four numbers
  /// for each: kernel, padding, channels, columns of the picture, numbers of a pixel or a pair.
  @Test(arguments: [
    [7, 3, 3, 30, 6], [7, 3, 3, 31, 6], [7, 2, 3, 30, 6], [3, 1, 1, 9, 2], [4, 1, 2, 12, 4], [5, 2, 3, 14, 4],
    [3, 1, 3, 12, 4],
  ])
  func stepsOfTwoReadPairs(_ s: [Int]) throws {
    let shapes: [String: Shape] = ["c.weight": [20, s[2], s[0], s[0]], "c.bias": [20]]
    let activations = Weight.Activations.staticPerTensor(scale: 0.01, zeroPoint: 5)
    let g = GraphBuilder(weights: IntegerWeights(activations: activations, shapes: shapes))
    let x = g.input("x", [2, 11, s[3], s[2]])
    g.output(
      "y",
      try g.conv2D(x, at: Scope("c"), to: 20, kernel: s[0], stride: 2, padding: Conv2D.Padding(s[1])))
    let graph = Optimizer.optimize(g.graph)
    let quantized = try #require(graph.nodes.first { $0.op.name == "quantize" }?.output)
    #expect(graph[quantized].shape.columns == s[4])
    try check(graph)
    let inputs = randomInputs(graph, seed: 4)
    let paired = try run(graph, inputs, kernels: .best)["y"] ?? []
    let whole = try run(g.graph, inputs, kernels: .scalar)["y"] ?? []
    #expect(maxError(paired, whole) <= 0.02)
  }

  /// A convolution of few outputs becomes a product of taps and their sum; one of integers stays whole.
  @Test(arguments: [true, false], [1, 2])
  func fewOutputsAreMultipliedTapByTap(isInteger: Bool, padding: Int) throws {
    let shapes: [String: Shape] = ["c.weight": [3, 20, 3, 3], "c.bias": [3]]
    let activations: Weight.Activations =
      isInteger ? .staticPerTensor(scale: 0.01, zeroPoint: 5) : .float
    let g = GraphBuilder(weights: IntegerWeights(activations: activations, shapes: shapes))
    let x = g.input("x", [2, 6, 7, 20])
    g.output(
      "y",
      try g.conv2D(
        x, at: Scope("c"), to: 3, kernel: 3, padding: Conv2D.Padding(padding)))
    let graph = Optimizer.optimize(g.graph)
    #expect(count(graph, "sum_taps") == (isInteger ? 0 : 1))
    #expect(count(graph, "conv2d") == (isInteger ? 1 : 0))
    #expect(count(graph, "quantize") == (isInteger ? 1 : 0))
    try check(graph)
    let inputs = randomInputs(graph, seed: 3)
    let split = try run(graph, inputs, kernels: .best)["y"] ?? []
    let whole = try run(g.graph, inputs, kernels: .scalar)["y"] ?? []
    #expect(maxError(split, whole) <= (isInteger ? 0.02 : 1e-5))
  }

  @Test func integerWeightsAloneStayFloatProducts() throws {
    let graph = Optimizer.optimize(try transformerLike(.float))
    #expect(count(graph, "quantize") == 0)
    try check(graph)
  }
}
