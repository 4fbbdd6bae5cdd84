/// When each piece of memory is in use, in steps of the program.
///
/// A buffer holds one value, or several that share memory: a reshape and what it reshapes, or an
/// elementwise result written over its dying input.
package struct Lifetimes: Sendable {
  /// One piece of memory.
  package struct Buffer: Hashable, Sendable {
    package var byteCount: Int
    /// The first step that writes it and the last that reads it. Graph inputs are written before
    /// step 0 (first = -1); graph outputs are read after the last step.
    package var first: Int
    package var last: Int

    package init(byteCount: Int, first: Int, last: Int) {
      self.byteCount = byteCount
      self.first = first
      self.last = last
    }
  }

  package private(set) var buffers: [Buffer] = []
  /// The buffer that holds each value; `nil` for values without memory of their own in the arena
  /// (constants, and values that nobody makes or reads).
  package private(set) var bufferOfValue: [Int?]

  package init(_ graph: Graph) {
    bufferOfValue = [Int?](repeating: nil, count: graph.values.count)
    let lastReads = Lifetimes.lastReads(graph)
    for port in graph.inputs {
      define(port.value, graph, step: -1, last: lastReads[port.value.index])
    }
    for (step, node) in graph.nodes.enumerated() {
      if case .constant = node.op { continue }
      let last = max(lastReads[node.output.index], step)
      if let shared = sharedBuffer(node, at: step, graph, lastReads) {
        bufferOfValue[node.output.index] = shared
        buffers[shared].last = max(buffers[shared].last, last)
      } else {
        define(node.output, graph, step: step, last: last)
      }
    }
  }

  private mutating func define(_ value: ValueID, _ graph: Graph, step: Int, last: Int) {
    bufferOfValue[value.index] = buffers.count
    buffers.append(Buffer(byteCount: graph[value].byteCount, first: step, last: max(last, step)))
  }

  /// The buffer of an input that the node's output may take over.
  private func sharedBuffer(
    _ node: Node, at step: Int, _ graph: Graph, _ lastReads: [Int]
  ) -> Int? {
    if case .reshape = node.op {
      return bufferOfValue[node.inputs[0].index]
    }
    for position in node.op.overwritableInputs {
      let input = node.inputs[position]
      guard let buffer = bufferOfValue[input.index],
        graph[input].byteCount == graph[node.output].byteCount,
        buffers[buffer].byteCount == graph[node.output].byteCount,
        buffers[buffer].last == step,
        !node.inputs.enumerated().contains(where: {
          $0.offset != position && bufferOfValue[$0.element.index] == buffer
        })
      else { continue }
      return buffer
    }
    return nil
  }

  /// The last step that reads each value, through reshapes; `nodes.count` for outputs of the graph.
  private static func lastReads(_ graph: Graph) -> [Int] {
    var last = [Int](repeating: -1, count: graph.values.count)
    for (step, node) in graph.nodes.enumerated() {
      for input in node.inputs { last[input.index] = step }
    }
    for port in graph.outputs { last[port.value.index] = graph.nodes.count }
    for node in graph.nodes.reversed() {
      guard case .reshape = node.op, let source = node.inputs.first else { continue }
      last[source.index] = max(last[source.index], last[node.output.index])
    }
    return last
  }
}

extension Op {
  /// Positions of inputs whose memory the output may be written over, element by element.
  var overwritableInputs: [Int] {
    switch self {
    case .activation, .affine, .layerNorm, .groupNorm, .channelAffine, .softmax, .l2Normalize: [0]
    case .binary, .modulate: [0]
    case .gateAdd: [2, 0]
    case .linear(let op): op.epilogue.hasResidual ? [1] : []
    case .conv2D(let op): op.epilogue.hasResidual ? [1] : []
    default: []
    }
  }
}
