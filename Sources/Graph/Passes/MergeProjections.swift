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

  /// Stacks products of few rows over one value, such as the projections of the time step in all blocks of a
  /// UNet: they only read weights, which is faster without a wait for all threads after each.
  @Sendable static func mergeSmallProducts(_ graph: inout Graph) {
    var siblings: [ValueID: [Int]] = [:]
    let readers = graph.readerCounts()
    for (index, node) in graph.nodes.enumerated() {
      guard case .linear = node.op, let source = node.inputs.first,
        graph[source].shape.rows <= mostSmallRows,
        graph.plainLinear(making: node.output, readers) == index,
        !graph.fuses(node.output)
      else { continue }
      siblings[source, default: []].append(index)
    }
    var slices: [Int: [Node]] = [:]
    // In order, so that a model's graph and plan are the same in every process.
    for (_, members) in siblings.sorted(by: { $0.key < $1.key }) where members.count >= fewestSiblings {
      guard graph.agreeOnInput(members), graph.areStoredAlike(members), let first = members.first else { continue }
      var nodes: [Node] = []
      let stack = graph.stacked(members)
      var column = 0
      for member in members {
        let output = graph.nodes[member].output
        let shape = graph[output].shape
        let slice = Slice(axis: shape.rank - 1, range: column..<column + shape.columns)
        nodes.append(Node(op: .slice(slice), inputs: [stack.output], output: output))
        column += shape.columns
      }
      for (member, slice) in zip(members, nodes) {
        slices[member] = member == first ? [stack, slice] : [slice]
      }
    }
    guard !slices.isEmpty else { return }
    graph.nodes = graph.nodes.enumerated().flatMap { slices[$0.offset] ?? [$0.element] }
  }

  private static let mostSmallRows = 4
  private static let fewestSiblings = 4
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

  /// Whether what reads a value goes into the product that makes it.
  fileprivate func fuses(_ value: ValueID) -> Bool {
    nodes.contains { node in
      guard node.inputs.contains(value) else { return false }
      switch node.op {
      case .activation: return true
      case .binary: return node.inputs.allSatisfy { self[$0].shape == self[value].shape }
      default: return false
      }
    }
  }

  /// Whether the numbers of linears can lie in one packed weight as they are stored.
  fileprivate func areStoredAlike(_ indices: [Int]) -> Bool {
    let kinds = indices.flatMap { index -> [String] in
      guard case .linear(let linear) = nodes[index].op else { return [] }
      return linear.weights.map { weight in
        switch weight.storage {
        case .dense(let type): "\(type)"
        case .int8: "int8"
        case .int4(_, let group): "int4 by \(group)"
        }
      }
    }
    return Set(kinds).count == 1
  }

  /// Turns the last of some linears over one input into one that has the rows of all, in order.
  fileprivate mutating func stack(_ indices: [Int]) -> ValueID {
    let node = stacked(indices)
    nodes[indices.max() ?? indices[0]] = node
    return node.output
  }

  /// One linear that has the rows of several over one input, in order.
  fileprivate mutating func stacked(_ indices: [Int]) -> Node {
    var weights: [Weight] = []
    var biases: [Weight?] = []
    for index in indices {
      guard case .linear(let linear) = nodes[index].op else { preconditionFailure("not a linear") }
      weights += linear.weights
      biases += linear.biases
    }
    let stacked = Linear(weights: weights, biases: biases)
    let source = nodes[indices[0]].inputs[0]
    let shape = Shape(self[source].shape.extents.dropLast() + [stacked.columns])
    let names = self[nodes[indices[0]].output].name
    let output = addValue(ValueInfo(shape: shape, elementType: .f32, name: names + " (merged)"))
    return Node(op: .linear(stacked), inputs: [source], output: output)
  }
}
