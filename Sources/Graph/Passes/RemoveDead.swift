extension Optimizer {
  /// Removes nodes whose output nobody reads.
  @Sendable static func removeDead(_ graph: inout Graph) {
    var needed = [Bool](repeating: false, count: graph.values.count)
    for port in graph.outputs { needed[port.value.index] = true }
    var dead: Set<Int> = []
    for (index, node) in graph.nodes.enumerated().reversed() {
      if needed[node.output.index] {
        for input in node.inputs { needed[input.index] = true }
      } else {
        dead.insert(index)
      }
    }
    graph.removeNodes(dead)
  }
}
