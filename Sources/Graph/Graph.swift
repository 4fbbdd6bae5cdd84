package import PipitTensors

/// Names one value of a graph: the index of its entry in `Graph.values`.
package struct ValueID: Hashable, Sendable, Comparable {
  package let index: Int

  package init(_ index: Int) { self.index = index }

  package static func < (left: ValueID, right: ValueID) -> Bool { left.index < right.index }
}

/// What is known of a value before anything runs.
package struct ValueInfo: Hashable, Sendable {
  package var shape: Shape
  /// `.f32`, or `.i32` for ids.
  package var elementType: ElementType
  /// Where it comes from, for people: the scope of the layer that makes it, or the input's name.
  package var name: String

  package init(shape: Shape, elementType: ElementType, name: String) {
    self.shape = shape
    self.elementType = elementType
    self.name = name
  }

  package var byteCount: Int { shape.count * elementType.byteCount }
}

/// One operation: reads its inputs, makes its output.
package struct Node: Sendable {
  package var op: Op
  package var inputs: [ValueID]
  package var output: ValueID

  package init(op: Op, inputs: [ValueID], output: ValueID) {
    self.op = op
    self.inputs = inputs
    self.output = output
  }
}

/// A value that has a name outside: an input or an output of the graph.
package struct Port: Hashable, Sendable {
  package var name: String
  package var value: ValueID

  package init(name: String, value: ValueID) {
    self.name = name
    self.value = value
  }
}

/// WHAT to compute: operations in an order in which they can run, with every shape known.
///
/// Every value is an input or the output of exactly one node. Weights are attributes of the
/// operations that read them, so a value is always something computed or given at run time.
package struct Graph: Sendable {
  package var values: [ValueInfo] = []
  package var nodes: [Node] = []
  package var inputs: [Port] = []
  package var outputs: [Port] = []

  package init() {}

  package subscript(value: ValueID) -> ValueInfo { values[value.index] }

  /// Adds a value that no node makes yet.
  package mutating func addValue(_ info: ValueInfo) -> ValueID {
    values.append(info)
    return ValueID(values.count - 1)
  }

  /// How many nodes read each value; an output of the graph counts as one more reader.
  package func readerCounts() -> [Int] {
    var counts = [Int](repeating: 0, count: values.count)
    for node in nodes { for input in node.inputs { counts[input.index] += 1 } }
    for port in outputs { counts[port.value.index] += 1 }
    return counts
  }

  /// The index of the node that makes each value; `nil` for inputs and values without a maker.
  package func makers() -> [Int?] {
    var makers = [Int?](repeating: nil, count: values.count)
    for (index, node) in nodes.enumerated() { makers[node.output.index] = index }
    return makers
  }
}
