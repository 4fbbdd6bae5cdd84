import PipitGraph
import PipitTensors
import Testing

/// A source without a single tensor.
struct NoWeights: WeightSource {
  var names: [String] { [] }
  func weight(named name: String) throws -> Weight? { nil }
}

private func weight(_ shape: Shape, _ name: String = "w") -> Weight {
  Weight(name: name, shape: shape, values: (0..<shape.count).map { Float($0 % 7) - 3 })
}

@Suite struct VerifierTests {
  private func graph() throws -> Graph {
    let g = GraphBuilder(weights: NoWeights())
    let x = g.input("x", [2, 3])
    g.output("y", try g.add(try g.activation(.relu, x), x))
    return g.graph
  }

  @Test func acceptsWhatTheBuilderMakes() throws { try graph().verify() }

  @Test func findsAValueReadBeforeItIsMade() throws {
    var graph = try graph()
    graph.nodes.reverse()
    #expect(throws: GraphFault.self) { try graph.verify() }
  }

  @Test func findsAValueMadeTwice() throws {
    var graph = try graph()
    graph.nodes.append(graph.nodes[0])
    #expect(throws: GraphFault.self) { try graph.verify() }
  }

  @Test func findsAWrongShape() throws {
    var graph = try graph()
    graph.values[graph.nodes[0].output.index].shape = [3, 2]
    #expect(throws: GraphFault.self) { try graph.verify() }
  }

  @Test func findsAnOutputThatNobodyMakes() throws {
    var graph = try graph()
    graph.nodes.removeLast()
    #expect(throws: GraphFault.self) { try graph.verify() }
  }

  @Test func findsIdsWhereNumbersBelong() throws {
    var graph = try graph()
    graph.values[graph.inputs[0].value.index].elementType = .i32
    #expect(throws: GraphFault.self) { try graph.verify() }
  }
}

@Suite struct ShapeTests {
  @Test func refusesWhatDoesNotFit() {
    let linear = Op.linear(Linear(weights: [weight([4, 3])], biases: [nil]))
    #expect(throws: ShapeError.self) { try linear.outputShape([[2, 5]]) }
    #expect(throws: ShapeError.self) { try linear.outputShape([]) }
    let convolution = Op.conv2D(
      Conv2D(weight: weight([4, 3, 3, 3]), bias: nil, padding: Conv2D.Padding(0)))
    #expect(throws: ShapeError.self) { try convolution.outputShape([[1, 2, 2, 3]]) }
    #expect(throws: ShapeError.self) { try convolution.outputShape([[1, 5, 5, 4]]) }
    let reshape = Op.reshape(Reshape(to: [5]))
    #expect(throws: ShapeError.self) { try reshape.outputShape([[2, 3]]) }
    let add = Op.binary(Binary(.add))
    #expect(throws: ShapeError.self) { try add.outputShape([[2, 3], [2]]) }
    let slice = Op.slice(Slice(axis: 1, range: 2..<5))
    #expect(throws: ShapeError.self) { try slice.outputShape([[2, 4]]) }
  }

  @Test func infersConvolutions() throws {
    var op = Conv2D(weight: weight([8, 3, 3, 3]), bias: nil, stride: 2, padding: Conv2D.Padding(1))
    #expect(try op.outputShape([[1, 7, 8, 3]]) == [1, 4, 4, 8])
    op.stride = 1
    op.upsample = 2
    #expect(try op.outputShape([[1, 7, 8, 3]]) == [1, 14, 16, 8])
  }

  @Test func shapesOfFilesAreChecked() {
    #expect(Shape(unchecked: [2, -1]) == nil)
    #expect(Shape(unchecked: [Int.max, 2]) == nil)
    #expect(Shape(unchecked: [0, Int.max, 3]) == nil)
    #expect(Shape(unchecked: [3, 0])?.count == 0)
  }
}

@Suite struct PassTests {
  private func optimized(_ build: (GraphBuilder) throws -> Void) throws -> [Op] {
    let g = GraphBuilder(weights: NoWeights())
    try build(g)
    let graph = Optimizer.optimize(g.graph)
    try graph.verify()
    return graph.nodes.map(\.op)
  }

  private func linear(_ g: GraphBuilder, _ x: Value, _ columns: Int = 3) throws -> Value {
    let op = Linear(weights: [weight([columns, x.shape.columns])], biases: [nil])
    return try g.add(.linear(op), [x], "linear")
  }

  @Test func activationAndResidualGoIntoTheProduct() throws {
    let ops = try optimized { g in
      let x = g.input("x", [2, 3])
      g.output("y", try g.activation(.relu, try g.add(try linear(g, x), x)))
    }
    guard ops.count == 1, case .linear(let op) = ops[0] else {
      Issue.record("\(ops.map(\.name))")
      return
    }
    #expect(op.epilogue.activation == .relu && op.epilogue.hasResidual && op.epilogue.residualFirst)
  }

  @Test func residualBehindAnActivationStaysBehindIt() throws {
    let ops = try optimized { g in
      let x = g.input("x", [2, 3])
      g.output("y", try g.add(try g.activation(.silu, try linear(g, x)), x))
    }
    guard ops.count == 1, case .linear(let op) = ops[0] else {
      Issue.record("\(ops.map(\.name))")
      return
    }
    #expect(
      op.epilogue.activation == .silu && op.epilogue.hasResidual && !op.epilogue.residualFirst)
  }

  /// Those that nothing can be fused into, of few rows, are one product and a cut for each.
  @Test(arguments: [(4, 2, 1), (3, 2, 3), (4, 5, 4)])
  func smallProductsOfOneValueAreMerged(_ n: (count: Int, rows: Int, products: Int)) throws {
    let ops = try optimized { g in
      let x = g.input("x", [n.rows, 1, 3])
      let image = g.input("image", [n.rows, 6, 5])
      for index in 0..<n.count {
        g.output("y\(index)", try g.add(image, try linear(g, x, 5)))
      }
      g.output("z", try g.activation(.silu, try linear(g, x, 7)))
    }
    let products = ops.compactMap { op in
      if case .linear(let linear) = op { linear.columns } else { nil }
    }
    // The activation's product is its own.
    #expect(products.count == n.products + 1)
    #expect(products.reduce(0, +) == 5 * n.count + 7)
    #expect(ops.count { $0.name == "slice" } == (n.products == 1 ? n.count : 0))
  }

  @Test func aProductThatOthersReadIsLeftAlone() throws {
    let ops = try optimized { g in
      let y = try linear(g, g.input("x", [2, 3]))
      g.output("y", y)
      g.output("z", try g.activation(.relu, y))
    }
    #expect(ops.map(\.name) == ["linear", "relu"])
  }

  @Test func projectionsOfOneValueAreStacked() throws {
    let ops = try optimized { g in
      let x = g.input("x", [1, 5, 4])
      let (q, k, v) = (try linear(g, x, 4), try linear(g, x, 4), try linear(g, x, 4))
      g.output("y", try g.attention(q: q, k: k, v: v, heads: 2, at: Scope("a")))
    }
    #expect(ops.map(\.name) == ["linear", "attention"])
    if case .attention(let op) = ops[1] {
      #expect([op.queryOffset, op.keyOffset, op.valueOffset] == [0, 4, 8])
    }
  }

  @Test func keysAndValuesOfAnotherValueAreStacked() throws {
    let ops = try optimized { g in
      let (x, z) = (g.input("x", [1, 5, 4]), g.input("z", [1, 6, 4]))
      let (q, k, v) = (try linear(g, x, 4), try linear(g, z, 4), try linear(g, z, 4))
      g.output("y", try g.attention(q: q, k: k, v: v, heads: 2, at: Scope("a")))
    }
    #expect(ops.map(\.name) == ["linear", "linear", "attention"])
  }

  @Test func batchNormGoesIntoTheConvolution() throws {
    let ops = try optimized { g in
      let x = g.input("x", [1, 4, 4, 2])
      let convolution = Conv2D(weight: weight([3, 2, 1, 1]), bias: nil, padding: Conv2D.Padding(0))
      let y = try g.add(.conv2D(convolution), [x], "c")
      let one = Weight(name: "one", shape: [3], values: [1, 2, 3])
      let norm = ChannelAffine(mean: one, variance: one, gain: one, bias: one, epsilon: 1e-5)
      g.output("y", try g.add(.channelAffine(norm), [y], "bn"))
    }
    #expect(ops.map(\.name) == ["conv2d"])
  }

  @Test func upsamplingGoesIntoTheConvolution() throws {
    let ops = try optimized { g in
      let x = try g.add(.upsample2x, [g.input("x", [1, 4, 4, 2])], "u")
      let op = Conv2D(weight: weight([3, 2, 3, 3]), bias: nil, padding: Conv2D.Padding(1))
      g.output("y", try g.add(.conv2D(op), [x], "c"))
    }
    #expect(ops.map(\.name) == ["conv2d"])
  }

  @Test func constantsAreFoldedAndDeadNodesGo() throws {
    let ops = try optimized { g in
      let sum = try g.add(
        try g.constant("a", [4, 3], [Float](repeating: 1, count: 12)),
        try g.constant("b", [3], [1, 2, 3]))
      _ = try g.activation(.relu, sum)
      let x = g.input("x", [2, 3])
      g.output("y", try g.add(x, try g.slice(sum, axis: 0, 1..<3)))
    }
    #expect(ops.map(\.name) == ["constant", "add"])
    if case .constant(let weight) = ops[0] { #expect(weight.floats() == [2, 3, 4, 2, 3, 4]) }
  }

  @Test func viewsThatChangeNothingGo() throws {
    let ops = try optimized { g in
      let x = g.input("x", [1, 6, 1, 4])
      let y = try g.transpose(
        try g.reshape(try g.reshape(x, to: [6, 4]), to: [1, 6, 1, 4]), [0, 2, 1, 3])
      g.output("y", try g.activation(.relu, y))
    }
    #expect(ops.map(\.name) == ["reshape", "relu"])
  }

  @Test func listingNamesEverything() throws {
    let g = GraphBuilder(weights: NoWeights())
    let x = g.input("x", [2, 3])
    g.output("y", try g.activation(.relu, try linear(g, x)))
    let listing = Optimizer.optimize(g.graph).listing
    #expect(listing.contains("input 'x'") && listing.contains("linear +relu"))
    #expect(g.graph.graphviz.hasPrefix("digraph"))
  }
}
