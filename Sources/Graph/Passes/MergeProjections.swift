import PipitTensors

extension Optimizer {
  /// Stacks the projections that read the same value into one attention (Q, K and V of
  /// self-attention; K and V of cross-attention) into one wider product.
  @Sendable static func mergeProjections(_ graph: inout Graph) {
    let readers = graph.readerCounts()
    var dead: Set<Int> = []
    for index in graph.nodes.indices {
      guard case .attention(var attention) = graph.nodes[index].op,
        attention.queryOffset == 0, attention.keyOffset == 0, attention.valueOffset == 0
      else { continue }
      let parts = Array(graph.nodes[index].inputs[..<3])
      let makers = parts.map { graph.plainLinear(making: $0, readers) }
      guard let key = makers[1], let value = makers[2], key != value,
        graph.nodes[key].inputs[0] == graph.nodes[value].inputs[0]
      else { continue }
      var merged = [key, value]
      if let query = makers[0], graph.nodes[query].inputs[0] == graph.nodes[key].inputs[0] {
        merged.insert(query, at: 0)
      }
      guard Set(merged).count == merged.count, graph.agreeOnInput(merged) else { continue }
      let stack = graph.stack(merged)
      let width = attention.heads * attention.headDimension
      attention.keyOffset = merged.count == 3 ? width : 0
      attention.valueOffset = attention.keyOffset + width
      for position in 0..<3 where merged.count == 3 || position > 0 {
        graph.nodes[index].inputs[position] = stack
      }
      graph.nodes[index].op = .attention(attention)
      let last = merged.max()
      dead.formUnion(merged.filter { $0 != last })
    }
    graph.removeNodes(dead)
  }
}

extension Graph {
  /// The node that makes a value which only one node reads, if it is a linear with nothing fused.
  fileprivate func plainLinear(making value: ValueID, _ readers: [Int]) -> Int? {
    guard readers[value.index] == 1,
      let index = nodes.firstIndex(where: { $0.output == value }),
      case .linear(let linear) = nodes[index].op, linear.epilogue == Epilogue()
    else { return nil }
    return index
  }

  /// Whether linears want the same of their input.
  fileprivate func agreeOnInput(_ indices: [Int]) -> Bool {
    let wishes = indices.map { index -> Quantization? in
      if case .linear(let linear) = nodes[index].op { linear.inputQuantization } else { nil }
    }
    return Set(wishes).count == 1
  }

  /// Turns the last of some linears over one input into one that has the rows of all, in order.
  fileprivate mutating func stack(_ indices: [Int]) -> ValueID {
    var weights: [Weight] = []
    var biases: [Weight?] = []
    for index in indices {
      guard case .linear(let linear) = nodes[index].op else { preconditionFailure("not a linear") }
      weights += linear.weights
      biases += linear.biases
    }
    let stacked = Linear(weights: weights, biases: biases)
    let last = indices.max() ?? indices[0]
    let source = nodes[indices[0]].inputs[0]
    let shape = Shape(self[source].shape.extents.dropLast() + [stacked.columns])
    let names = self[nodes[indices[0]].output].name
    let output = addValue(ValueInfo(shape: shape, elementType: .f32, name: names + " (merged)"))
    nodes[last] = Node(op: .linear(stacked), inputs: [source], output: output)
    return output
  }
}
