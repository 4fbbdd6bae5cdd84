import PipitTensors

extension Optimizer {
  /// Puts a quantization before each product whose weights are integers and ask for it; products that
  /// read the same value in the same way share it.
  @Sendable static func quantizeInputs(_ graph: inout Graph) {
    var made: [Wish: ValueID] = [:]
    var nodes: [Node] = []
    for var node in graph.nodes {
      if let quantization = node.op.inputQuantization, graph[node.inputs[0]].elementType == .f32 {
        let wish = Wish(value: node.inputs[0], quantization: quantization)
        if made[wish] == nil {
          let output = graph.addValue(graph[wish.value].quantized(quantization))
          nodes.append(Node(op: .quantize, inputs: [wish.value], output: output))
          made[wish] = output
        }
        node.inputs[0] = made[wish] ?? wish.value
      }
      nodes.append(node)
    }
    graph.nodes = nodes
  }

  private struct Wish: Hashable {
    let value: ValueID
    let quantization: Quantization
  }

  /// Lets what makes a value that is only quantized store integers at once, through reshapes.
  @Sendable static func fuseQuantization(_ graph: inout Graph) {
    let readers = graph.readerCounts()
    let makers = graph.makers()
    var dead: Set<Int> = []
    for (index, node) in graph.nodes.enumerated() {
      guard case .quantize = node.op, let quantization = graph[node.output].quantization else {
        continue
      }
      // From the quantization up through views that nobody else reads to what computes.
      var chain: [Int] = []
      var value = node.inputs[0]
      while readers[value.index] == 1, let maker = makers[value.index] {
        chain.append(maker)
        guard case .reshape = graph.nodes[maker].op else { break }
        value = graph.nodes[maker].inputs[0]
      }
      guard let producer = chain.last, readers[value.index] == 1,
        graph.nodes[producer].op.canStore(quantization),
        graph[value].shape.columns == graph[node.output].shape.columns
          || quantization != .rows
      else { continue }
      for maker in chain {
        let output = graph.nodes[maker].output
        graph.values[output.index] = graph[output].quantized(quantization)
      }
      graph.replace(node.output, with: node.inputs[0])
      dead.insert(index)
    }
    graph.removeNodes(dead)
  }
}

extension Op {
  /// What a product's weights ask of its first input.
  fileprivate var inputQuantization: Quantization? {
    switch self {
    case .linear(let op): op.inputQuantization
    case .conv2D(let op): op.inputQuantization
    default: nil
    }
  }

  /// Whether the operation can store its output quantized. A product's tiles do not see whole rows.
  fileprivate func canStore(_ quantization: Quantization) -> Bool {
    switch self {
    case .linear, .conv2D: inputQuantization != nil && quantization != .rows
    case .layerNorm, .groupNorm, .activation, .gatedGELU: true
    default: false
    }
  }
}
