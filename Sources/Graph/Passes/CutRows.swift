import PipitTensors

extension Optimizer {
  /// Computes chains of operations on rows, as a transformer's feed-forward part, some rows at a time where they
  /// take most memory, so that of what is wide within them a strip exists at a time. Numbers and work are the same.
  ///
  /// - Parameter limit: bytes of an arena that nobody minds.
  static func cutRows(_ graph: Graph, limit: Int) -> Graph {
    var graph = graph
    while let cut = graph.cuttingHighestRows(limit: limit) { graph = cut }
    return graph
  }
}

/// Nodes, one behind the other, whose outputs have the same rows, each made of one row of the inputs; of them only
/// the last one's is read elsewhere.
private struct RowChain {
  let nodes: Range<Int>
  let rows: Int

  /// How far from the highest point a chain may begin and end.
  private static let reach = 4
  /// What products need to be nearly as fast as over all rows.
  private static let leastRows = 1024
  private static let mostStrips = 8

  var stripCount: Int { min(RowChain.mostStrips, rows / RowChain.leastRows) }

  /// All chains around a step that can be cut.
  static func all(_ graph: Graph, at step: Int) -> [RowChain] {
    guard graph.nodes.indices.contains(step) else { return [] }
    let rows = graph[graph.nodes[step].output].shape.rows
    guard rows >= 2 * leastRows else { return [] }
    let lastReaders = graph.lastReaders()
    let starts = (max(0, step - reach)...step).reversed().prefix { graph.isRowwise($0, rows: rows) }
    let ends = (step..<min(graph.nodes.count, step + reach + 1)).prefix { graph.isRowwise($0, rows: rows) }
    return starts.flatMap { first in
      ends.lazy.map { first..<$0 + 1 }
        .filter { range in
          range.count > 1
            && range.dropLast().allSatisfy { lastReaders[graph.nodes[$0].output.index] < range.upperBound }
        }
        .map { RowChain(nodes: $0, rows: rows) }
    }
  }
}

extension Graph {
  /// The same graph with the chain at its highest point in strips; `nil` where that would not help.
  fileprivate func cuttingHighestRows(limit: Int) -> Graph? {
    let highest = Lifetimes(self).highest
    guard highest.byteCount > limit else { return nil }
    var best = (graph: Graph?.none, byteCount: highest.byteCount - highest.byteCount / 8)
    for chain in RowChain.all(self, at: highest.step) {
      let (cut, steps) = cutting(chain)
      let byteCount = Lifetimes(cut).highest(in: steps)
      if byteCount < best.byteCount { best = (cut, byteCount) }
    }
    return best.graph
  }

  /// Whether each of a node's `rows` rows is made of one of each input's.
  fileprivate func isRowwise(_ index: Int, rows: Int) -> Bool {
    let node = nodes[index]
    switch node.op {
    case .linear, .layerNorm, .gatedGELU, .activation: break
    case .quantize(let op): guard op.keepsShape else { return false }
    case .binary: guard node.inputs.allSatisfy({ self[$0].shape == self[node.output].shape }) else { return false }
    default: return false
    }
    return (node.inputs + [node.output]).allSatisfy { self[$0].shape.rank >= 2 && self[$0].shape.rows == rows }
  }

  /// The same graph with a chain computed in strips, and the steps that do so.
  fileprivate func cutting(_ chain: RowChain) -> (Graph, Range<Int>) {
    var result = self
    let own = nodes[chain.nodes]
    let exit = nodes[chain.nodes.upperBound - 1].output
    var cut: [Node] = []
    var flat: [ValueID: ValueID] = [:]
    let made = Set(own.map(\.output))
    for input in own.flatMap(\.inputs) where !made.contains(input) && flat[input] == nil {
      flat[input] = result.addReshaped(input, to: [chain.rows, self[input].shape.columns], &cut)
    }
    let count = chain.stripCount
    let pieces = (0..<count).map { index in
      let rows = chain.rows * index / count..<chain.rows * (index + 1) / count
      return result.addStrip(rows, by: own, of: flat, &cut)
    }
    let whole = result.addPiece(of: exit, shape: [chain.rows, self[exit].shape.columns], named: "")
    cut.append(Node(op: .concatenate(Concatenate(axis: 0)), inputs: pieces, output: whole))
    cut.append(Node(op: .reshape(Reshape(to: self[exit].shape)), inputs: [whole], output: exit))
    result.nodes.replaceSubrange(chain.nodes, with: cut)
    return (result, chain.nodes.lowerBound..<chain.nodes.lowerBound + cut.count)
  }
}

extension Graph {
  private mutating func addPiece(of value: ValueID, shape: Shape, named suffix: String) -> ValueID {
    var info = self[value]
    info.shape = shape
    info.name += suffix
    return addValue(info)
  }

  private mutating func addReshaped(_ value: ValueID, to shape: Shape, _ nodes: inout [Node]) -> ValueID {
    let flat = addPiece(of: value, shape: shape, named: "")
    nodes.append(Node(op: .reshape(Reshape(to: shape)), inputs: [value], output: flat))
    return flat
  }

  /// Adds what makes some rows of a chain's last output, and returns their value.
  private mutating func addStrip(
    _ rows: Range<Int>, by own: ArraySlice<Node>, of flat: [ValueID: ValueID], _ nodes: inout [Node]
  ) -> ValueID {
    let suffix = " \(rows.lowerBound)-\(rows.upperBound)"
    var strips: [ValueID: ValueID] = [:]
    for (value, whole) in flat.sorted(by: { $0.key.index < $1.key.index }) {
      let piece = addPiece(of: whole, shape: [rows.count, self[whole].shape.columns], named: suffix)
      nodes.append(Node(op: .slice(Slice(axis: 0, range: rows)), inputs: [whole], output: piece))
      strips[value] = piece
    }
    var last = own[own.startIndex].output
    for node in own {
      last = addPiece(of: node.output, shape: [rows.count, self[node.output].shape.columns], named: suffix)
      nodes.append(Node(op: node.op, inputs: node.inputs.map { strips[$0] ?? $0 }, output: last))
      strips[node.output] = last
    }
    return last
  }
}
