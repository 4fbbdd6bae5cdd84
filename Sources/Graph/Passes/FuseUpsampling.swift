import PipitTensors

extension Optimizer {
  /// Lets stride-1 convolutions read an image as if it were enlarged, instead of enlarging it first.
  @Sendable static func fuseUpsampling(_ graph: inout Graph) {
    let makers = graph.makers()
    for index in graph.nodes.indices {
      guard case .conv2D(var convolution) = graph.nodes[index].op,
        convolution.upsample == 1, convolution.stride == 1, convolution.groups == 1,
        let maker = makers[graph.nodes[index].inputs[0].index],
        case .upsample2x = graph.nodes[maker].op
      else { continue }
      convolution.upsample = 2
      graph.nodes[index].op = .conv2D(convolution)
      graph.nodes[index].inputs[0] = graph.nodes[maker].inputs[0]
    }
    removeDead(&graph)
  }
}
