import PipitTensors

extension Op {
  /// The epilogue of a product; `nil` for other operations. Setting it changes nothing else.
  fileprivate var epilogue: Epilogue? {
    get {
      switch self {
      case .linear(let op): op.epilogue
      case .conv2D(let op): op.epilogue
      default: nil
      }
    }
    set {
      guard let newValue else { return }
      switch self {
      case .linear(var op):
        op.epilogue = newValue
        self = .linear(op)
      case .conv2D(var op):
        op.epilogue = newValue
        self = .conv2D(op)
      default:
        break
      }
    }
  }
}

extension Optimizer {
  /// Moves an activation into the product or group norm before it, if nobody else reads that.
  @Sendable static func fuseActivations(_ graph: inout Graph) {
    let readers = graph.readerCounts()
    let makers = graph.makers()
    var dead: Set<Int> = []
    for (index, node) in graph.nodes.enumerated() {
      guard case .activation(let activation) = node.op, readers[node.inputs[0].index] == 1,
        let maker = makers[node.inputs[0].index]
      else { continue }
      if case .groupNorm(var norm) = graph.nodes[maker].op, norm.activation == nil {
        norm.activation = activation
        graph.nodes[maker].op = .groupNorm(norm)
      } else if var epilogue = graph.nodes[maker].op.epilogue, epilogue.activation == nil,
        !epilogue.hasResidual || epilogue.residualFirst
      {
        epilogue.activation = activation
        graph.nodes[maker].op.epilogue = epilogue
      } else {
        continue
      }
      graph.giveName(of: graph.nodes[maker].output, to: node.output)
      graph.nodes[maker].output = node.output
      dead.insert(index)
    }
    graph.removeNodes(dead)
  }

  /// Moves an addition of equal shapes into the product that makes one side, if nobody else reads
  /// that side and the other side is made before the product runs.
  @Sendable static func fuseResiduals(_ graph: inout Graph) {
    let readers = graph.readerCounts()
    var dead: Set<Int> = []
    for index in graph.nodes.indices {
      let node = graph.nodes[index]
      guard case .binary(let binary) = node.op, binary.operation == .add,
        graph[node.inputs[0]].shape == graph[node.inputs[1]].shape,
        node.inputs[0] != node.inputs[1]
      else { continue }
      // The side that is made last first: then the other exists already, and nothing moves.
      let order = node.inputs.sorted { $0.index > $1.index }
      for (side, other) in [(order[0], order[1]), (order[1], order[0])] {
        guard readers[side.index] == 1,
          let maker = graph.productMaking(side, index, skipping: dead),
          var epilogue = graph.nodes[maker].op.epilogue, !epilogue.hasResidual
        else { continue }
        epilogue.hasResidual = true
        // Without an activation both orders are the same sum; "first" leaves room for one.
        epilogue.residualFirst = epilogue.activation == nil
        // The product moves down to where the sum was: by then the other side exists.
        var product = graph.nodes[maker]
        product.op.epilogue = epilogue
        product.inputs.append(other)
        graph.giveName(of: product.output, to: node.output)
        product.output = node.output
        graph.nodes[index] = product
        dead.insert(maker)
        break
      }
    }
    graph.removeNodes(dead)
  }
}

extension Graph {
  /// Lets people find a layer under its own name after what followed it was fused into it.
  fileprivate mutating func giveName(of old: ValueID, to new: ValueID) {
    values[new.index].name = values[old.index].name
  }

  /// The node before `end` that makes a value, if it is a product.
  fileprivate func productMaking(_ value: ValueID, _ end: Int, skipping dead: Set<Int>) -> Int? {
    for index in nodes[..<end].indices.reversed() where nodes[index].output == value {
      return !dead.contains(index) && nodes[index].op.epilogue != nil ? index : nil
    }
    return nil
  }
}
