package import PipitTensors

extension Optimizer {
  /// Tells, of a convolution with weights of integers, the shape of its input and that of its output, whether
  /// it is computed faster with floats.
  package typealias Preference = @Sendable (_ op: Conv2D, _ input: Shape, _ output: Shape) -> Bool

  /// Leaves the input of convolutions that are preferred so as it is. Their weights stay integers in memory.
  static func chooseFloats(_ graph: inout Graph, _ prefersFloats: Preference) {
    for index in graph.nodes.indices {
      let node = graph.nodes[index]
      guard case .conv2D(var convolution) = node.op, convolution.inputQuantization != nil,
        prefersFloats(convolution, graph[node.inputs[0]].shape, graph[node.output].shape)
      else { continue }
      convolution.usesFloats = true
      graph.nodes[index].op = .conv2D(convolution)
    }
  }
}
