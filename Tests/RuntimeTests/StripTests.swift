import PipitGraph
import PipitKernels
import PipitTensors
import TestSupport
import Testing

@Suite struct StripTests {
  private static let integers = Weight.Activations.staticPerTensor(scale: 0.03, zeroPoint: -20)
  private static let shapes: [String: Shape] = [
    "in.weight": [24, 4, 3, 3], "in.bias": [24], "up.weight": [24, 24, 3, 3], "up.bias": [24],
    "a.weight": [24, 24, 3, 3], "a.bias": [24], "b.weight": [24, 24, 3, 3], "b.bias": [24],
    "down.weight": [4, 24, 3, 3], "down.bias": [4], "out.weight": [3, 24, 3, 3], "out.bias": [3],
    "proj.weight": [24, 24], "proj.bias": [24], "norm.weight": [24], "norm.bias": [24],
    "ff.in.weight": [192, 24], "ff.in.bias": [192], "ff.out.weight": [24, 96], "ff.out.bias": [24],
  ]

  /// Weights that ask for `activations` of their inputs.
  private func builder(_ activations: Weight.Activations) -> GraphBuilder {
    GraphBuilder(weights: IntegerWeights(activations: activations, shapes: StripTests.shapes))
  }

  private func block(_ x: Value, _ g: GraphBuilder) throws -> Value {
    var t = try g.conv2D(x, at: Scope("a"), to: 24, kernel: 3)
    t = try g.activation(.relu, t)
    t = try g.conv2D(t, at: Scope("b"), to: 24, kernel: 3)
    return try g.activation(.relu, try g.add(t, x))
  }

  /// A decoder's end: an image is enlarged, goes through a block and becomes a picture.
  private func decoder(_ activations: Weight.Activations) throws -> Graph {
    let g = builder(activations)
    var t = try g.conv2D(g.input("x", [1, 39, 5, 4]), at: Scope("in"), to: 24, kernel: 3)
    t = try g.activation(.relu, t)
    t = try g.add(.upsample2x, [t], "upsample")
    t = try g.conv2D(t, at: Scope("up"), to: 24, kernel: 3)
    t = try block(t, g)
    g.output("y", try g.conv2D(t, at: Scope("out"), to: 3, kernel: 3))
    return Optimizer.optimize(g.graph)
  }

  /// An encoder's beginning: a block, then half as many rows.
  private func encoder(_ activations: Weight.Activations) throws -> Graph {
    let g = builder(activations)
    var t = try g.conv2D(g.input("x", [1, 131, 9, 4]), at: Scope("in"), to: 24, kernel: 3)
    t = try block(t, g)
    t = try g.conv2D(t, at: Scope("down"), to: 4, kernel: 3, stride: 2)
    g.output("y", t)
    return Optimizer.optimize(g.graph)
  }

  private func check(_ graph: Graph, tolerance: Float, memory: Double) throws {
    let cut = Optimizer.cutIntoStrips(graph, limit: 0, repeating: 2)
    try cut.verify()
    #expect(cut.nodes.count > graph.nodes.count)
    let (whole, strips) = (Lifetimes(graph).highest.byteCount, Lifetimes(cut).highest.byteCount)
    #expect(Double(strips) <= memory * Double(whole), "\(strips) of \(whole) bytes")
    let inputs = randomInputs(graph, seed: 5)
    for kernels in KernelTable.available {
      let expected = try run(graph, inputs, kernels: kernels)["y"] ?? []
      let actual = try run(cut, inputs, kernels: kernels)["y"] ?? []
      #expect(maxError(actual, expected) <= tolerance, "\(kernels.name)")
      #expect(try run(cut, inputs, kernels: kernels, threads: 3)["y"] == actual, "\(kernels.name)")
    }
  }

  @Test func aDecoderInStripsGivesTheSamePicture() throws {
    try check(try decoder(.float), tolerance: 1e-5, memory: 0.6)
  }

  @Test func integersInStripsAreTheSame() throws {
    try check(try decoder(StripTests.integers), tolerance: 0, memory: 0.7)
    try check(try encoder(StripTests.integers), tolerance: 0, memory: 0.7)
  }

  @Test func anEncoderInStripsGivesTheSameLatents() throws {
    try check(try encoder(.float), tolerance: 1e-5, memory: 0.7)
  }

  /// A transformer's feed-forward part behind the sum that its own is added to, for `batch` pictures.
  private func feedForward(_ activations: Weight.Activations, batch: Int) throws -> Graph {
    let g = builder(activations)
    let x = try g.linear(g.input("x", [batch, 1024, 24]), at: Scope("proj"), to: 24)
    var t = try g.layerNorm(x, at: Scope("norm"), epsilon: 1e-5)
    t = try g.add(.gatedGELU, [try g.linear(t, at: Scope("ff.in"), to: 192)], "geglu")
    t = try g.add(try g.linear(t, at: Scope("ff.out"), to: 24), x)
    g.output("y", t)
    return Optimizer.optimize(g.graph)
  }

  @Test(arguments: [Weight.Activations.float, .dynamicPerToken, StripTests.integers])
  func rowsInStripsAreTheSame(activations: Weight.Activations) throws {
    try check(try feedForward(activations, batch: 2), tolerance: 0, memory: 0.8)
    try check(try feedForward(activations, batch: 4), tolerance: 0, memory: 0.6)
    let small = try feedForward(activations, batch: 1)
    #expect(Optimizer.cutIntoStrips(small, limit: 0).nodes.count == small.nodes.count)
  }

  @Test func whatIsSmallOrRepeatsTooMuchStaysWhole() throws {
    let graph = try decoder(.float)
    #expect(Optimizer.cutIntoStrips(graph).nodes.count == graph.nodes.count)
    #expect(Optimizer.cutIntoStrips(graph, limit: 0, repeating: 0).nodes.count == graph.nodes.count)
  }
}
