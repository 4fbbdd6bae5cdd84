package import PipitTensors

/// A product with a weight over the last axis: y = epilogue(x W^T + b).
///
///     input  [.., depth]    weights  [columns_i, depth] each    output  [.., sum of columns_i]
///
/// Several weights stand for one that has their rows stacked (merged Q, K and V), so merging copies
/// nothing. With `epilogue.hasResidual` the second input, of the output's shape, is added.
package struct Linear: Sendable {
  package var weights: [Weight]
  /// As many as weights, each `[columns_i]` or `nil`.
  package var biases: [Weight?]
  package var epilogue = Epilogue()

  package init(weights: [Weight], biases: [Weight?]) {
    precondition(!weights.isEmpty)
    precondition(weights.count == biases.count)
    self.weights = weights
    self.biases = biases
  }

  /// What all weights ask of the input; `nil` where the product is one of floats.
  package var inputQuantization: Quantization? {
    let first = weights[0].inputQuantization
    return weights.allSatisfy { $0.inputQuantization == first } ? first : nil
  }

  package var depth: Int { weights[0].columns }
  package var columns: Int { weights.reduce(0) { $0 + $1.rows } }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    let expected = epilogue.hasResidual ? 2 : 1
    guard inputs.count == expected else {
      throw .inputCount(expected: expected...expected, found: inputs.count)
    }
    guard inputs[0].rank >= 1 else { throw .rank(input: 0, expected: 1...6, found: 0) }
    for weight in weights where weight.columns != depth {
      throw .invalid("\(weight.name): stacked weights differ in depth")
    }
    guard inputs[0].columns == depth else {
      throw .mismatch(
        input: 0, axis: inputs[0].rank - 1, expected: depth, found: inputs[0].columns)
    }
    let output = Shape(inputs[0].extents.dropLast() + [columns])
    if epilogue.hasResidual, inputs[1] != output {
      throw .invalid("residual \(inputs[1]) is not of the output's shape \(output)")
    }
    return output
  }
}

extension Weight {
  /// What the weight asks of its layer's input, if it is one of integers itself.
  package var inputQuantization: Quantization? {
    isIntegers ? Quantization(activations) : nil
  }
}
