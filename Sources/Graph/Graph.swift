package import PipitTensors

/// Names one value of a graph: the index of its entry in `Graph.values`.
package struct ValueID: Hashable, Sendable, Comparable {
  package let index: Int

  package init(_ index: Int) { self.index = index }

  package static func < (left: ValueID, right: ValueID) -> Bool { left.index < right.index }
}

/// How 8-bit integers stand for numbers.
package enum Quantization: Hashable, Sendable {
  /// Each row has its own scale and zero point, which lie behind it (`quantize_rows_i8` in the kernels' contract).
  case rows
  /// value = (stored - zeroPoint) * scale.
  case tensor(scale: Float, zeroPoint: Int8)

  /// What a weight asks of its input.
  package init?(_ activations: Weight.Activations) {
    switch activations {
    case .float: return nil
    case .dynamicPerToken: self = .rows
    case .staticPerTensor(let scale, let zeroPoint):
      self = .tensor(scale: scale, zeroPoint: zeroPoint)
    }
  }

  /// The scale of all numbers; 1 where rows have their own.
  package var scale: Float {
    switch self {
    case .rows: 1
    case .tensor(let scale, _): scale
    }
  }

  /// Bytes of a row's own scale and zero point.
  package static let rowQuantizationSize = 8

  /// Bytes from row to row of `columns` numbers.
  package func rowStride(columns: Int) -> Int {
    switch self {
    case .rows: (columns + 3) / 4 * 4 + Quantization.rowQuantizationSize
    case .tensor: columns
    }
  }
}

/// What is known of a value before anything runs.
package struct ValueInfo: Hashable, Sendable {
  package var shape: Shape
  /// `.f32`, `.i32` for ids, `.i8` for quantized numbers.
  package var elementType: ElementType
  /// Of `.i8`.
  package var quantization: Quantization?
  /// Where it comes from, for people: the scope of the layer that makes it, or the input's name.
  package var name: String

  package init(shape: Shape, elementType: ElementType, name: String) {
    self.shape = shape
    self.elementType = elementType
    self.name = name
  }

  /// The same numbers as 8-bit integers.
  package func quantized(_ quantization: Quantization) -> ValueInfo {
    var result = self
    result.elementType = .i8
    result.quantization = quantization
    return result
  }

  package var byteCount: Int {
    guard let quantization else { return shape.count * elementType.byteCount }
    return shape.rows * quantization.rowStride(columns: shape.columns)
  }
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

  /// The index of the last node that reads each value: -1 for none, `nodes.count` for an output of the graph.
  func lastReaders() -> [Int] {
    var last = [Int](repeating: -1, count: values.count)
    for (index, node) in nodes.enumerated() {
      for input in node.inputs { last[input.index] = index }
    }
    for port in outputs { last[port.value.index] = nodes.count }
    return last
  }

  /// The index of the node that makes each value; `nil` for inputs and values without a maker.
  package func makers() -> [Int?] {
    var makers = [Int?](repeating: nil, count: values.count)
    for (index, node) in nodes.enumerated() { makers[node.output.index] = index }
    return makers
  }
}
