import PipitTensors

extension Optimizer {
  /// Removes reshapes and transposes that change nothing, and reshapes of reshapes.
  @Sendable static func simplifyViews(_ graph: inout Graph) {
    for index in graph.nodes.indices {
      let node = graph.nodes[index]
      switch node.op {
      case .reshape(let reshape):
        if let source = graph.reshapeSource(of: node.inputs[0], before: index) {
          graph.nodes[index].inputs[0] = source
        }
        if graph[graph.nodes[index].inputs[0]].shape == reshape.shape {
          graph.replace(node.output, with: graph.nodes[index].inputs[0])
        }
      case .transpose(let transpose):
        // Axes of extent 1 can move anywhere without moving a number.
        let shape = graph[node.inputs[0]].shape
        let moving = transpose.axes.filter { shape[$0] != 1 }
        guard moving == moving.sorted() else { continue }
        graph.nodes[index].op = .reshape(Reshape(to: graph[node.output].shape))
      default:
        continue
      }
    }
    removeDead(&graph)
  }
}

extension Graph {
  /// What a value was reshaped from, if a reshape among the first `count` nodes made it.
  fileprivate func reshapeSource(of value: ValueID, before count: Int) -> ValueID? {
    for node in nodes[..<count] where node.output == value {
      if case .reshape = node.op { return node.inputs[0] }
    }
    return nil
  }
}
