import PipitTensors

/// What an operation costs on paper: nominal arithmetic, and bytes that must move at least once.
package struct Cost: Hashable, Sendable {
  /// Two for each multiply-add of the definition, whatever algorithm computes it; about one a
  /// simple function for the rest.
  package var operationCount = 0
  /// Bytes of inputs and output, f32 as they lie in the arena.
  package var activationByteCount = 0
  /// Bytes of weights as the kernels read them.
  package var weightByteCount = 0

  package var byteCount: Int { activationByteCount + weightByteCount }
}

extension Graph {
  /// The cost of a node.
  package func cost(of node: Node) -> Cost {
    let output = self[node.output].shape
    var cost = Cost()
    if node.op.isView { return cost }
    let read = node.inputs.reduce(0) { $0 + self[$1].byteCount }
    cost.activationByteCount = read + self[node.output].byteCount
    switch node.op {
    case .linear(let op):
      cost.operationCount = 2 * output.rows * op.columns * op.depth
      cost.weightByteCount = (op.inputQuantization == nil ? 4 : 1) * op.columns * op.depth
    case .conv2D(let op):
      let depth = op.weight.columns - op.paddedDepth
      cost.operationCount = 2 * output.count * depth
      cost.weightByteCount = (op.inputQuantization == nil ? 4 : 1) * op.weight.shape.count
    case .attention(let op):
      let keys = self[node.inputs[1]].shape[1]
      // Scores and weighted sum; of a causal one half of both is never computed.
      let products = 4 * output.rows * keys * op.heads * op.headDimension
      cost.operationCount = op.causal ? products / 2 : products
      cost.activationByteCount =
        4 * op.heads * op.headDimension * (2 * output.rows + 2 * output[0] * keys)
    case .embedding:
      cost.activationByteCount = 2 * self[node.output].byteCount
    default:
      cost.operationCount = output.count
    }
    return cost
  }

  /// The costs of all nodes together.
  package var cost: Cost {
    nodes.reduce(into: Cost()) { sum, node in
      let part = cost(of: node)
      sum.operationCount += part.operationCount
      sum.activationByteCount += part.activationByteCount
      sum.weightByteCount += part.weightByteCount
    }
  }
}

extension Op {
  /// Whether nothing is computed: another name for memory, or numbers known before.
  package var isView: Bool {
    switch self {
    case .reshape, .constant: true
    default: false
    }
  }
}
