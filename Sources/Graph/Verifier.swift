import PipitTensors

/// A graph breaks one of its own rules: a mistake of a pass or a builder, never of a file.
package struct GraphFault: Error, Hashable, CustomStringConvertible {
  package let description: String
}

extension Graph {
  /// Checks that every value is made once and before it is read, that shapes and element types are
  /// those that the operations infer, and that ports name existing values.
  package func verify() throws(GraphFault) {
    var made = [Bool](repeating: false, count: values.count)
    for port in inputs {
      try check(port.value, "input '\(port.name)'")
      guard !made[port.value.index] else {
        throw GraphFault(description: "input '\(port.name)': value is an input twice")
      }
      made[port.value.index] = true
    }
    for (index, node) in nodes.enumerated() {
      let place = "node \(index) (\(node.op.name))"
      try verify(node, place, made)
      made[node.output.index] = true
    }
    for port in outputs {
      try check(port.value, "output '\(port.name)'")
      guard made[port.value.index] else {
        throw GraphFault(description: "output '\(port.name)': no node makes its value")
      }
    }
  }

  private func verify(_ node: Node, _ place: String, _ made: [Bool]) throws(GraphFault) {
    try check(node.output, place)
    guard !made[node.output.index] else {
      throw GraphFault(description: "\(place): its output is made already")
    }
    for (position, input) in node.inputs.enumerated() {
      try check(input, place)
      guard made[input.index] else {
        throw GraphFault(description: "\(place): reads value \(input.index) before it is made")
      }
      let expected = node.op.inputElementType(position)
      if self[input].elementType == .i8, node.op.readsIntegers { continue }
      guard self[input].elementType == expected else {
        throw GraphFault(
          description: "\(place): input \(position) is \(self[input].elementType), not \(expected)")
      }
    }
    let inferred: Shape
    do {
      inferred = try node.op.outputShape(node.inputs.map { self[$0].shape })
    } catch {
      throw GraphFault(description: "\(place): \(error)")
    }
    let output = self[node.output]
    let isInteger = output.elementType == .i8 && output.quantization != nil
    guard inferred == output.shape,
      output.elementType == .f32 || (isInteger && node.op.writesIntegers)
    else {
      throw GraphFault(
        description: "\(place): output is \(self[node.output].shape), inferred \(inferred)")
    }
    if node.op.keepsNumbers,
      let other = node.inputs.first(where: { self[$0].quantization != output.quantization })
    {
      throw GraphFault(description: "\(place): value \(other.index) is quantized otherwise than the output")
    }
  }

  private func check(_ value: ValueID, _ place: String) throws(GraphFault) {
    guard values.indices.contains(value.index) else {
      throw GraphFault(description: "\(place): value \(value.index) does not exist")
    }
  }
}
