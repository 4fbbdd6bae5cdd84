package import PipitTensors

/// Normalizes each row over the last axis, then applies a per-column gain and bias where there are any.
///
///     input [.., columns]    gain, bias [columns]    output [.., columns]
package struct LayerNorm: Sendable {
  package var gain: Weight?
  package var bias: Weight?
  package var epsilon: Float

  package init(gain: Weight?, bias: Weight?, epsilon: Float) {
    precondition(epsilon > 0)
    self.gain = gain
    self.bias = bias
    self.epsilon = epsilon
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    guard inputs[0].rank >= 1 else { throw .rank(input: 0, expected: 1...6, found: 0) }
    for weight in [gain, bias].compactMap({ $0 }) where weight.shape.count != inputs[0].columns {
      throw .mismatch(
        input: 0, axis: inputs[0].rank - 1, expected: weight.shape.count, found: inputs[0].columns)
    }
    return inputs[0]
  }
}

/// Normalizes groups of channels over a whole image, then applies gain, bias and an activation (Wu & He 2018).
///
///     input [batch, height, width, channels]    gain, bias [channels]    output: the input's shape
package struct GroupNorm: Sendable {
  package var groups: Int
  package var gain: Weight
  package var bias: Weight
  package var epsilon: Float
  package var activation: Activation?

  package init(groups: Int, gain: Weight, bias: Weight, epsilon: Float) {
    precondition(groups > 0)
    precondition(epsilon > 0)
    self.groups = groups
    self.gain = gain
    self.bias = bias
    self.epsilon = epsilon
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    guard inputs[0].rank == 4 else { throw .rank(input: 0, expected: 4...4, found: inputs[0].rank) }
    for weight in [gain, bias] where weight.shape.count != inputs[0].columns {
      throw .mismatch(input: 0, axis: 3, expected: weight.shape.count, found: inputs[0].columns)
    }
    guard inputs[0].columns % groups == 0 else {
      throw .invalid("\(inputs[0].columns) channels in \(groups) groups")
    }
    return inputs[0]
  }
}

/// Batch normalization at inference: y = (x - mean) / sqrt(variance + epsilon) * gain + bias, per channel.
/// `FoldBatchNorm` moves it into the convolution before it.
///
///     input [.., channels]    mean, variance, gain, bias [channels]    output: the input's shape
package struct ChannelAffine: Sendable {
  package var mean, variance, gain, bias: Weight
  package var epsilon: Float

  package init(mean: Weight, variance: Weight, gain: Weight, bias: Weight, epsilon: Float) {
    precondition(epsilon > 0)
    self.mean = mean
    self.variance = variance
    self.gain = gain
    self.bias = bias
    self.epsilon = epsilon
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    for weight in [mean, variance, gain, bias] where weight.shape.count != inputs[0].columns {
      throw .mismatch(
        input: 0, axis: inputs[0].rank - 1, expected: weight.shape.count, found: inputs[0].columns)
    }
    return inputs[0]
  }
}

/// Scales each row to Euclidean length 1: y = x / max(|x|, epsilon).
package struct L2Normalize: Hashable, Sendable {
  package var epsilon: Float

  package init(epsilon: Float) {
    precondition(epsilon > 0)
    self.epsilon = epsilon
  }
}
