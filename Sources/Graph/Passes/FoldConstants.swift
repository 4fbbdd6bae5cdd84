import PipitTensors

extension Optimizer {
  /// Computes nodes whose inputs are all constants, at load time.
  ///
  /// Only cheap elementwise operations and views are folded: they are what position tables and
  /// modulation tables meet before they meet an input.
  @Sendable static func foldConstants(_ graph: inout Graph) {
    var constants: [ValueID: Weight] = [:]
    for index in graph.nodes.indices {
      let node = graph.nodes[index]
      if case .constant(let weight) = node.op {
        constants[node.output] = weight
        continue
      }
      let inputs = node.inputs.compactMap { constants[$0] }
      guard !inputs.isEmpty, inputs.count == node.inputs.count,
        let values = evaluate(node.op, inputs)
      else { continue }
      let info = graph[node.output]
      let folded = Weight(name: info.name, shape: info.shape, values: values)
      graph.nodes[index] = Node(op: .constant(folded), inputs: [], output: node.output)
      constants[node.output] = folded
    }
  }

  private static func evaluate(_ op: Op, _ inputs: [Weight]) -> [Float]? {
    switch op {
    case .reshape:
      return inputs[0].floats()
    case .affine(let affine):
      return inputs[0].floats().map { $0 * affine.scale + affine.shift }
    case .binary(let binary):
      guard Binary.Repetition(of: inputs[1].shape, over: inputs[0].shape)?.outer == 1 else {
        return nil
      }
      let a = inputs[0].floats()
      let b = inputs[1].floats()
      return a.indices.map { binary.operation.apply(a[$0], b[$0 % b.count]) }
    case .slice(let slice) where slice.axis == 0:
      let stride = inputs[0].columns
      return Array(
        inputs[0].floats()[slice.range.lowerBound * stride..<slice.range.upperBound * stride])
    default:
      return nil
    }
  }
}

extension Binary.Operation {
  /// The operation on two numbers.
  package func apply(_ a: Float, _ b: Float) -> Float {
    switch self {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    }
  }
}
