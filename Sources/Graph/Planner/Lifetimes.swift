/// When each piece of memory is in use, in steps of the program.
///
/// A buffer holds one value, or several that share memory: a reshape and what it reshapes, a slice that lies in
/// one piece, values that are concatenated, which are made where they belong, or an elementwise result written
/// over its dying input.
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
  /// Where each value begins in its buffer, in bytes.
  package private(set) var offsetOfValue: [Int]

  package init(_ graph: Graph) {
    bufferOfValue = [Int?](repeating: nil, count: graph.values.count)
    offsetOfValue = [Int](repeating: 0, count: graph.values.count)
    let lastReads = Lifetimes.lastReads(graph)
    let homes = Lifetimes.homes(graph)
    for port in graph.inputs {
      define(port.value, graph, step: -1, lastReads, homes)
    }
    for (step, node) in graph.nodes.enumerated() {
      if case .constant = node.op { continue }
      let output = node.output
      if let input = node.viewedInput(graph), let buffer = bufferOfValue[input.index] {
        share(buffer, output, offset: offsetOfValue[input.index] + node.viewOffset(graph))
      } else if homes[output.index] == nil, bufferOfValue[output.index] == nil,
        let input = overwrittenInput(node, at: step, graph), let buffer = bufferOfValue[input.index]
      {
        share(buffer, output, offset: offsetOfValue[input.index])
      } else {
        define(output, graph, step: step, lastReads, homes)
      }
      if let buffer = bufferOfValue[output.index] {
        buffers[buffer].last = max(buffers[buffer].last, lastReads[output.index], step)
      }
    }
  }

  private mutating func share(_ buffer: Int, _ value: ValueID, offset: Int) {
    bufferOfValue[value.index] = buffer
    offsetOfValue[value.index] = offset
  }

  /// A buffer for a value, or its place in that of what it will be a part of.
  private mutating func define(
    _ value: ValueID, _ graph: Graph, step: Int, _ lastReads: [Int], _ homes: [Home?]
  ) {
    guard bufferOfValue[value.index] == nil else { return }
    if let home = homes[value.index] {
      define(home.whole, graph, step: step, lastReads, homes)
      guard let buffer = bufferOfValue[home.whole.index] else { return }
      share(buffer, value, offset: offsetOfValue[home.whole.index] + home.offset)
    } else {
      bufferOfValue[value.index] = buffers.count
      let last = max(lastReads[value.index], step)
      buffers.append(Buffer(byteCount: graph[value].byteCount, first: step, last: last))
    }
  }

  /// The step at which most memory is in use, and how much that is: no plan can do with less.
  package var highest: (step: Int, byteCount: Int) {
    var best = (step: -1, byteCount: 0)
    for (index, byteCount) in byteCounts.enumerated() where byteCount > best.byteCount {
      best = (index - 1, byteCount)
    }
    return best
  }

  /// Bytes in use at most during some steps.
  func highest(in steps: Range<Int>) -> Int {
    byteCounts.dropFirst(steps.lowerBound + 1).prefix(steps.count).max() ?? 0
  }

  /// Bytes in use before the first step, and at each.
  private var byteCounts: [Int] {
    let steps = (buffers.map(\.last).max() ?? -1) + 2
    var change = [Int](repeating: 0, count: steps + 1)
    for buffer in buffers {
      change[buffer.first + 1] += ArenaPlan.aligned(buffer.byteCount)
      change[buffer.last + 2] -= ArenaPlan.aligned(buffer.byteCount)
    }
    var now = 0
    return change.map { difference in
      now += difference
      return now
    }
  }

  /// Where a value belongs that is a part of another.
  private struct Home {
    let whole: ValueID
    let offset: Int
  }

  /// The homes of values that a concatenation puts one behind the other in memory, by value. Graph inputs,
  /// constants and views have their places already; of what is concatenated twice the first place counts.
  private static func homes(_ graph: Graph) -> [Home?] {
    var homes = [Home?](repeating: nil, count: graph.values.count)
    var isMade = [Bool](repeating: false, count: graph.values.count)
    for node in graph.nodes {
      if case .constant = node.op { continue }
      isMade[node.output.index] = node.viewedInput(graph) == nil
    }
    for port in graph.outputs { isMade[port.value.index] = false }
    for node in graph.nodes {
      guard case .concatenate(let op) = node.op, graph[node.output].lies(inOnePieceBy: op.axis) else { continue }
      var offset = 0
      for input in node.inputs {
        if isMade[input.index], homes[input.index] == nil {
          homes[input.index] = Home(whole: node.output, offset: offset)
        }
        offset += graph[input].byteCount
      }
    }
    return homes
  }

  /// The input whose memory the node's output may take over.
  private func overwrittenInput(_ node: Node, at step: Int, _ graph: Graph) -> ValueID? {
    for position in node.op.overwritableInputs {
      let input = node.inputs[position]
      guard let buffer = bufferOfValue[input.index],
        graph[input].byteCount == graph[node.output].byteCount,
        buffers[buffer].last == step,
        !node.inputs.enumerated().contains(where: {
          $0.offset != position && bufferOfValue[$0.element.index] == buffer
        })
      else { continue }
      return input
    }
    return nil
  }

  /// The last step that reads each value, through views; `nodes.count` for outputs of the graph.
  private static func lastReads(_ graph: Graph) -> [Int] {
    var last = graph.lastReaders()
    for node in graph.nodes.reversed() {
      guard let source = node.viewedInput(graph) else { continue }
      last[source.index] = max(last[source.index], last[node.output.index])
    }
    return last
  }
}

extension ValueInfo {
  /// Whether pieces along an axis lie one behind the other in memory. Rows with quantizations stay whole.
  fileprivate func lies(inOnePieceBy axis: Int) -> Bool {
    shape.extents.prefix(axis).allSatisfy { $0 == 1 } && (quantization != .rows || axis < shape.rank - 1)
  }
}

extension Node {
  /// The input whose memory the output is a piece of; `nil` where it has its own.
  fileprivate func viewedInput(_ graph: Graph) -> ValueID? {
    switch op {
    case .reshape: inputs[0]
    case .slice(let op): graph[inputs[0]].lies(inOnePieceBy: op.axis) ? inputs[0] : nil
    default: nil
    }
  }

  /// Where a view begins in what it shows, in bytes.
  fileprivate func viewOffset(_ graph: Graph) -> Int {
    guard case .slice(let op) = op else { return 0 }
    let input = graph[inputs[0]]
    return input.byteCount / input.shape[op.axis] * op.range.lowerBound
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
