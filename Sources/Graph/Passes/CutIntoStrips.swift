import PipitTensors

extension Optimizer {
  /// Computes the stretch of an image network that takes most memory strip by strip, so that of its large
  /// images a strip exists at a time ("patch-based inference": Lin et al., MCUNetV2, 2021).
  ///
  /// Each strip of the stretch's result is computed from a strip of what it reads that is some rows higher;
  /// those rows are computed twice. Convolutions see their zeros at the image's edges alone, so that numbers
  /// are the same but for what Winograd's tiles round otherwise. Before that, chains on rows are cut (`cutRows`).
  ///
  /// - Parameters:
  ///   - limit: bytes of an arena that nobody minds.
  ///   - repeating: the share of the graph's operations that may be done twice.
  package static func cutIntoStrips(
    _ graph: Graph, limit: Int = 64 << 20, repeating: Double = 0.025
  ) -> Graph {
    let graph = cutRows(graph, limit: limit)
    let highest = Lifetimes(graph).highest
    guard highest.byteCount > limit else { return graph }
    var best = (graph: graph, byteCount: highest.byteCount - highest.byteCount / 8)
    for count in [2, 4, 8] {
      let allowance = Int(Double(graph.cost.operationCount) * repeating)
      for stretch in Stretch.all(graph, at: highest.step, strips: count, allowance) {
        let cut = graph.cutting(stretch, into: count)
        let byteCount = Lifetimes(cut).highest.byteCount
        if byteCount < best.byteCount { best = (cut, byteCount) }
      }
    }
    return best.graph
  }
}

/// Nodes, one behind the other, of which only the last one's output is read elsewhere.
private struct Stretch {
  let nodes: Range<Int>

  /// How far from the highest point a stretch may end.
  private static let reach = 8

  /// How many first nodes are tried with a last one: a shorter stretch may read less.
  private static let starts = 4

  /// For each node behind a step that can be the last the longest stretches that are worth it.
  static func all(_ graph: Graph, at step: Int, strips: Int, _ allowance: Int) -> [Stretch] {
    guard graph.nodes.indices.contains(step) else { return [] }
    let lastReads = graph.lastReaders()
    let around = graph.nodes.indices[step...].prefix(reach).prefix(while: graph.canBeCut)
    return around.filter(graph.cutsExactly).flatMap { end in
      guard let first = graph.first(endingAt: end, strips: strips, lastReads, allowance) else {
        return [Stretch]()
      }
      return (first...max(first, step)).prefix(starts).filter { $0 <= step }.map {
        Stretch(nodes: $0..<end + 1)
      }
    }
  }
}

extension Graph {
  /// The first node of the longest stretch with a given last one that does no more than `allowance` operations
  /// twice, counted by a strip in the middle (the first and the last one have an edge each); `nil` if there is
  /// none.
  fileprivate func first(endingAt end: Int, strips: Int, _ lastReads: [Int], _ allowance: Int) -> Int? {
    let height = self[nodes[end].output].shape[1]
    guard height >= 8 * strips else { return nil }
    var needed = [nodes[end].output: height / strips..<2 * (height / strips)]
    var (repeated, first) = (0, Int?.none)
    for index in (0...end).reversed() {
      let node = nodes[index]
      guard canBeCut(index), index == end || lastReads[node.output.index] <= end,
        let rows = needed[node.output], let strip = strip(of: node, rows: rows)
      else { break }
      let whole = self[node.output].shape[1]
      repeated += cost(of: node).operationCount * (strip.output.count * strips - whole) / whole
      guard repeated / strips * (strips - 1) <= allowance else { break }
      for (input, rows) in zip(node.inputs, strip.inputs) { needed[input] = needed[input].joined(rows) }
      first = index
    }
    return first
  }
}

extension Optional<Range<Int>> {
  /// The range from the first of both to the last of both.
  fileprivate func joined(_ other: Range<Int>) -> Range<Int> {
    map { min($0.lowerBound, other.lowerBound)..<max($0.upperBound, other.upperBound) } ?? other
  }
}

/// What one strip of a node's output is made of.
private struct StripOfNode {
  var op: Op
  /// The rows of each input that are read.
  var inputs: [Range<Int>]
  /// The rows that come out: those asked for, and more where it must be.
  var output: Range<Int>
}

extension Graph {
  fileprivate func canBeCut(_ index: Int) -> Bool {
    let node = nodes[index]
    let images = (node.inputs + [node.output]).allSatisfy { value in
      let info = self[value]
      return info.shape.rank == 4 && info.shape[0] == 1 && info.quantization != .rows
        && info.elementType != .i32
    }
    return images && strip(of: node, rows: 0..<1) != nil
  }

  /// Whether a node makes the rows that it is asked for and no more.
  fileprivate func cutsExactly(_ index: Int) -> Bool {
    if case .conv2D(let op) = nodes[index].op { return op.upsample == 1 }
    return true
  }

  /// How a node makes some rows of its output; `nil` for operations that cannot.
  private func strip(of node: Node, rows: Range<Int>) -> StripOfNode? {
    let height = self[node.inputs[0]].shape[1]
    switch node.op {
    case .conv2D(let op) where op.upsample == 2:
      guard op.kernelHeight == 3, op.padding == Conv2D.Padding(1), !op.epilogue.hasResidual else { return nil }
      // At a cut the outermost rows, which saw zeros for neighbours, are left out by whoever reads them.
      let stored = max(0, (rows.lowerBound + 1) / 2 - 1)..<min(height, rows.upperBound / 2 + 1)
      return StripOfNode(
        op: node.op, inputs: [stored], output: 2 * stored.lowerBound..<2 * stored.upperBound)
    case .conv2D(var op):
      let window = Window(
        rows, kernel: op.dilation * (op.kernelHeight - 1) + 1, stride: op.stride, padding: op.padding,
        height: height)
      op.padding = window.padding
      let inputs = op.epilogue.hasResidual ? [window.rows, rows] : [window.rows]
      return StripOfNode(op: .conv2D(op), inputs: inputs, output: rows)
    case .sumTaps(var op):
      let window = Window(rows, kernel: op.kernel, stride: 1, padding: op.padding, height: height)
      op.padding = window.padding
      return StripOfNode(op: .sumTaps(op), inputs: [window.rows], output: rows)
    case .linear, .activation, .binary, .quantize:
      guard node.inputs.allSatisfy({ self[$0].shape[1] == self[node.output].shape[1] }) else { return nil }
      return StripOfNode(op: node.op, inputs: node.inputs.map { _ in rows }, output: rows)
    default:
      return nil
    }
  }

  /// The same graph with a stretch computed in `count` strips.
  fileprivate func cutting(_ stretch: Stretch, into count: Int) -> Graph {
    var result = self
    let own = nodes[stretch.nodes]
    let exit = nodes[stretch.nodes.upperBound - 1].output
    let height = self[exit].shape[1]
    var cut: [Node] = []
    let pieces = (0..<count).map { index in
      let rows = height * index / count..<height * (index + 1) / count
      return result.addStrip(rows, of: exit, by: own, to: &cut)
    }
    cut.append(Node(op: .concatenate(Concatenate(axis: 1)), inputs: pieces, output: exit))
    result.nodes.replaceSubrange(stretch.nodes, with: cut)
    return result
  }

  /// Adds what makes some rows of a stretch's last output, and returns their value.
  private mutating func addStrip(
    _ rows: Range<Int>, of exit: ValueID, by own: ArraySlice<Node>, to nodes: inout [Node]
  ) -> ValueID {
    var needed: [ValueID: Range<Int>] = [exit: rows]
    for node in own.reversed() {
      guard let rows = needed[node.output], let strip = strip(of: node, rows: rows) else { continue }
      for (input, rows) in zip(node.inputs, strip.inputs) { needed[input] = needed[input].joined(rows) }
    }
    var made: [ValueID: (value: ValueID, rows: Range<Int>)] = [:]
    for node in own {
      guard let rows = needed[node.output], let strip = strip(of: node, rows: rows) else { continue }
      let inputs = zip(node.inputs, strip.inputs).map { input, rows in
        let whole = made[input] ?? (input, 0..<self[input].shape[1])
        return addRows(rows, of: whole.value, startingAt: whole.rows.lowerBound, to: &nodes)
      }
      let output = addPiece(of: node.output, rows: strip.output)
      nodes.append(Node(op: strip.op, inputs: inputs, output: output))
      made[node.output] = (output, strip.output)
    }
    return made[exit]?.value ?? exit
  }

  /// Rows of a value that begins at row `first` of an image: itself, or a view.
  private mutating func addRows(
    _ rows: Range<Int>, of value: ValueID, startingAt first: Int, to nodes: inout [Node]
  ) -> ValueID {
    let own = rows.lowerBound - first..<rows.upperBound - first
    if own == 0..<self[value].shape[1] { return value }
    let view = addPiece(of: value, rows: own)
    nodes.append(Node(op: .slice(Slice(axis: 1, range: own)), inputs: [value], output: view))
    return view
  }

  private mutating func addPiece(of value: ValueID, rows: Range<Int>) -> ValueID {
    var info = self[value]
    info.shape = [info.shape[0], rows.count, info.shape[2], info.shape[3]]
    info.name += " \(rows.lowerBound)-\(rows.upperBound)"
    return addValue(info)
  }
}

/// The rows that a strip's windows cover, and the zeros above and below them.
private struct Window {
  let rows: Range<Int>
  let padding: Conv2D.Padding

  init(_ output: Range<Int>, kernel: Int, stride: Int, padding: Conv2D.Padding, height: Int) {
    let first = output.lowerBound * stride - padding.top
    let end = (output.upperBound - 1) * stride - padding.top + kernel
    rows = max(0, first)..<min(height, end)
    self.padding = Conv2D.Padding(
      top: max(0, -first), left: padding.left, bottom: max(0, end - height), right: padding.right)
  }
}
