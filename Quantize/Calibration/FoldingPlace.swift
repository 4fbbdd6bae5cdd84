import PipitGraph

/// What makes the input of some products, where a factor for each channel can be folded into it.
enum FoldingPlace: Hashable {
  /// Gain and bias of a norm, by name.
  case norm(gain: String, bias: String?)
  /// Of the layer before a gated activation, the half that is not the gate: its output is multiplied with.
  case gated(weight: String, bias: String?)

  /// Where the value of a graph comes from; `nil` where others than products read it, or nothing can be folded.
  init?(_ value: ValueID, _ graph: Graph, prefix: String) {
    guard FoldingPlace.readers(value, graph) != nil,
      let maker = graph.nodes.first(where: { $0.output == value })
    else { return nil }
    switch maker.op {
    case .layerNorm(let norm):
      guard let gain = norm.gain else { return nil }
      self = .norm(gain: prefix + gain.name, bias: norm.bias.map { prefix + $0.name })
    case .groupNorm(let norm) where norm.activation == nil:
      self = .norm(gain: prefix + norm.gain.name, bias: prefix + norm.bias.name)
    case .gatedGELU:
      guard let input = maker.inputs.first,
        let layer = graph.nodes.first(where: { $0.output == input }),
        case .linear(let linear) = layer.op, linear.weights.count == 1,
        linear.epilogue == Epilogue(), graph.readerCount(of: input) == 1
      else { return nil }
      self = .gated(
        weight: prefix + linear.weights[0].name, bias: linear.biases[0].map { prefix + $0.name })
    default: return nil
    }
  }

  /// The weights of the products that read a value; `nil` where something else reads it.
  static func readers(_ value: ValueID, _ graph: Graph) -> [String]? {
    var names: [String] = []
    for node in graph.nodes where node.inputs.contains(value) {
      guard case .linear(let op) = node.op, node.inputs.filter({ $0 == value }).count == 1,
        node.inputs[0] == value
      else { return nil }
      names += op.weights.map(\.name)
    }
    return graph.outputs.contains { $0.value == value } || names.isEmpty ? nil : names
  }
}

extension Graph {
  fileprivate func readerCount(of value: ValueID) -> Int {
    nodes.reduce(0) { $0 + $1.inputs.filter { $0 == value }.count }
      + outputs.filter { $0.value == value }.count
  }
}
