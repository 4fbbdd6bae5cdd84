import PipitTensors

extension Optimizer {
  /// Puts a quantization before each product whose weights are integers and ask for it; products that
  /// read the same value in the same way share it.
  @Sendable static func quantizeInputs(_ graph: inout Graph) {
    var made: [Wish: ValueID] = [:]
    var nodes: [Node] = []
    for var node in graph.nodes {
      if let quantization = node.op.inputQuantization, graph[node.inputs[0]].elementType == .f32 {
        let op = node.fillGroups(input: graph[node.inputs[0]].shape, output: graph[node.output].shape)
        let wish = Wish(value: node.inputs[0], quantization: quantization, op: op)
        if made[wish] == nil {
          var info = graph[wish.value].quantized(quantization)
          info.shape = (try? op.outputShape([info.shape])) ?? info.shape
          let output = graph.addValue(info)
          nodes.append(Node(op: .quantize(op), inputs: [wish.value], output: output))
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
    let op: Quantize
  }

  /// Lets integer products add the integers of a value that else only quantizations read, so that its floats
  /// need not exist: the way around a block carries then what the block itself reads.
  @Sendable static func quantizeResiduals(_ graph: inout Graph) {
    var copies: [ValueID: ValueID] = [:]
    var residuals: [ValueID: [Int]] = [:]
    var others = Set(graph.outputs.map(\.value))
    for (index, node) in graph.nodes.enumerated() {
      if case .quantize(let op) = node.op {
        guard case .tensor = graph[node.output].quantization, op.keepsShape else { continue }
        copies[node.inputs[0]] = copies[node.inputs[0]] ?? node.output
      } else {
        let residual = node.op.inputQuantization == nil ? nil : node.residual
        if let residual, copies[residual] != nil { residuals[residual, default: []].append(index) }
        others.formUnion(node.inputs.filter { $0 != residual || copies[$0] == nil })
      }
    }
    for (value, readers) in residuals where !others.contains(value) {
      for reader in readers { graph.nodes[reader].inputs[1] = copies[value] ?? value }
    }
  }

  /// Lets what makes a value that is only quantized store integers at once, through reshapes.
  @Sendable static func fuseQuantization(_ graph: inout Graph) {
    let readers = graph.readerCounts()
    let makers = graph.makers()
    var dead: Set<Int> = []
    for (index, node) in graph.nodes.enumerated() {
      guard case .quantize(let op) = node.op, op.keepsShape,
        let quantization = graph[node.output].quantization
      else { continue }
      // From the quantization up, through what gives the same before and behind it and nobody else reads, to
      // what computes.
      var chain: [Int] = []
      var value = node.inputs[0]
      while readers[value.index] == 1, let maker = makers[value.index] {
        chain.append(maker)
        guard graph.nodes[maker].op.commutes(with: quantization) else { break }
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

extension Node {
  /// What a product adds to its sums.
  fileprivate var residual: ValueID? {
    switch op {
    case .linear(let op): op.epilogue.hasResidual ? inputs[1] : nil
    case .conv2D(let op): op.epilogue.hasResidual ? inputs[1] : nil
    default: nil
    }
  }
}

extension Node {
  /// Gives a convolution over pixels of one to three numbers, as the first one over a picture is, pairs of pixels
  /// or four channels: a window's row is then a run of whole groups. Returns how its input is to be quantized.
  fileprivate mutating func fillGroups(input: Shape, output: Shape) -> Quantize {
    guard case .conv2D(let op) = op, op.kernelWidth > 1, op.weight.shape[1] < 4 else { return Quantize() }
    if let paired = op.readingPairs(inputWidth: input[2], outputWidth: output[2]) {
      self.op = .conv2D(paired.convolution)
      return Quantize(pairLead: paired.lead)
    }
    let count = 4 - op.weight.shape[1]
    self.op = .conv2D(op.paddingChannels(by: count))
    return Quantize(padding: count)
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

  /// Whether it makes no difference if the input or the output is quantized.
  fileprivate func commutes(with quantization: Quantization) -> Bool {
    switch self {
    case .reshape: true
    // What is larger stays so.
    case .maxPool: quantization != .rows
    default: false
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
