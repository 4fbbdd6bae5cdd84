package import PipitTensors

/// Every operation a graph can hold: the table of contents of `Ops/`.
package enum Op: Sendable {
  // Products
  case linear(Linear)
  case conv2D(Conv2D)
  case attention(Attention)
  // Look-ups and constants
  case embedding(Embedding)
  case positionEmbedding(PositionEmbedding)
  case pickRow(PickRow)
  case constant(Weight)
  case timestepEmbedding(TimestepEmbedding)
  // Elementwise
  case activation(Activation)
  case binary(Binary)
  case affine(Affine)
  case modulate(Modulate)
  case gateAdd(GateAdd)
  case gatedGELU
  /// Numbers as 8-bit integers, as the output's `quantization` says.
  case quantize(Quantize)
  // Normalization
  case layerNorm(LayerNorm)
  case groupNorm(GroupNorm)
  case channelAffine(ChannelAffine)
  case softmax
  case l2Normalize(L2Normalize)
  // Pooling, resampling, layout
  case meanRows(MeanRows)
  case maxPool(Pool)
  case averagePoolGlobal
  case upsample2x
  /// The second half of a convolution whose taps were multiplied apart.
  case sumTaps(SumTaps)
  /// A mask of ones and zeros, i32, as a number to add to scores: 0 where it is 1, -infinity where 0.
  case keyBias
  /// A mask of ones and zeros, i32, as f32.
  case maskWeights
  case reshape(Reshape)
  case transpose(Transpose)
  case slice(Slice)
  case concatenate(Concatenate)
}

/// Elementwise functions of one argument; also the ones that products can apply to their result.
package enum Activation: String, Hashable, Sendable, CaseIterable {
  case relu, relu6, gelu, geluTanh, geluQuick, silu, tanh, sigmoid
}

/// What a product does to its sum before it is stored (see `epilogue_f32` in the kernels' contract).
package struct Epilogue: Hashable, Sendable {
  package var activation: Activation?
  /// Whether the operation's last input is added to the result.
  package var hasResidual = false
  /// Whether the residual is added before the activation.
  package var residualFirst = false

  package init() {}
}

/// Two shapes that do not go together.
package enum ShapeError: Error, Hashable, Sendable, CustomStringConvertible {
  case inputCount(expected: ClosedRange<Int>, found: Int)
  case rank(input: Int, expected: ClosedRange<Int>, found: Int)
  case mismatch(input: Int, axis: Int, expected: Int, found: Int)
  case elementType(input: Int, expected: ElementType, found: ElementType)
  case invalid(String)

  package var description: String {
    switch self {
    case .inputCount(let expected, let found):
      "expected \(expected) inputs, found \(found)"
    case .rank(let input, let expected, let found):
      "input \(input): expected rank \(expected), found \(found)"
    case .mismatch(let input, let axis, let expected, let found):
      "input \(input), axis \(axis): expected \(expected), found \(found)"
    case .elementType(let input, let expected, let found):
      "input \(input): expected \(expected.rawValue) elements, found \(found.rawValue)"
    case .invalid(let reason):
      reason
    }
  }
}
