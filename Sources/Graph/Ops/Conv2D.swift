package import PipitTensors

/// A 2-D convolution over an NHWC image.
///
///     input  [batch, height, width, inChannels]
///     weight [outChannels, inChannels / groups, kernelHeight, kernelWidth] as checkpoints have it
///     output [batch, outHeight, outWidth, outChannels]
///
/// With `upsample` 2 the input is read as if enlarged by two to the nearest neighbour. With
/// `epilogue.hasResidual` the second input, of the output's shape, is added.
package struct Conv2D: Sendable {
  package var weight: Weight
  package var bias: Weight?
  package var stride: Int
  /// Zeros added on each side: top, left, bottom, right.
  package var padding: Padding
  package var dilation: Int
  package var groups: Int
  package var upsample = 1
  /// Whether a weight of integers is multiplied as floats although it asks for more.
  package var usesFloats = false
  /// Channels of input and weight that are zeros, put there to fill a group.
  package private(set) var paddedChannels = 0
  package var epilogue = Epilogue()

  package struct Padding: Hashable, Sendable {
    package var top, left, bottom, right: Int

    package init(top: Int, left: Int, bottom: Int, right: Int) {
      self.top = top
      self.left = left
      self.bottom = bottom
      self.right = right
    }

    package init(_ all: Int) { self.init(top: all, left: all, bottom: all, right: all) }
  }

  package init(
    weight: Weight, bias: Weight?, stride: Int = 1, padding: Padding, dilation: Int = 1,
    groups: Int = 1
  ) {
    precondition(weight.shape.rank == 4)
    precondition(stride > 0 && dilation > 0 && groups > 0)
    self.weight = weight
    self.bias = bias
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
  }

  /// What the weight asks of the input; `nil` where the convolution is one of floats. Grouped ones are;
  /// so are those that would have a scale for each pixel, unless a window is one pixel, and those that a
  /// level computes faster so.
  package var inputQuantization: Quantization? {
    guard groups == 1, !usesFloats, let quantization = weight.inputQuantization else { return nil }
    let isPointwise = kernelHeight == 1 && kernelWidth == 1 && stride == 1 && upsample == 1
    return quantization == .rows && !(isPointwise && padding == Padding(0)) ? nil : quantization
  }

  /// The same convolution of an input with `count` more channels, which are multiplied by zeros. The weight
  /// is one of integers.
  func paddingChannels(by count: Int) -> Conv2D {
    let shape = weight.shape
    let (taps, channels) = (shape[1] * shape[2] * shape[3], count * shape[2] * shape[3])
    let memory = ByteStorage(count: shape[0] * (taps + channels)) { target in
      for index in target.indices {
        let (row, tap) = index.quotientAndRemainder(dividingBy: taps + channels)
        target[index] = tap < taps ? weight.bytes[row * taps + tap] : 0
      }
    }
    var result = self
    result.weight = Weight(
      name: weight.name, shape: [shape[0], shape[1] + count, shape[2], shape[3]],
      storage: weight.storage, activations: weight.activations,
      bytes: memory.bytes, owner: memory)
    result.paddedChannels += count
    return result
  }

  package var kernelHeight: Int { weight.shape[2] }
  package var kernelWidth: Int { weight.shape[3] }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    let expected = epilogue.hasResidual ? 2 : 1
    guard inputs.count == expected else {
      throw .inputCount(expected: expected...expected, found: inputs.count)
    }
    let input = inputs[0]
    guard input.rank == 4 else { throw .rank(input: 0, expected: 4...4, found: input.rank) }
    guard weight.shape[0] % groups == 0 else {
      throw .invalid("\(weight.name): \(weight.shape[0]) channels in \(groups) groups")
    }
    guard input[3] == weight.shape[1] * groups else {
      throw .mismatch(input: 0, axis: 3, expected: weight.shape[1] * groups, found: input[3])
    }
    let height = extent(input[1], padding.top + padding.bottom, kernelHeight)
    let width = extent(input[2], padding.left + padding.right, kernelWidth)
    guard let height, let width else {
      throw .invalid("\(weight.name): kernel is larger than the padded image \(input)")
    }
    let output: Shape = [input[0], height, width, weight.shape[0]]
    if epilogue.hasResidual, inputs[1] != output {
      throw .invalid("residual \(inputs[1]) is not of the output's shape \(output)")
    }
    return output
  }

  private func extent(_ input: Int, _ padding: Int, _ kernel: Int) -> Int? {
    let room = input * upsample + padding - dilation * (kernel - 1) - 1
    return room < 0 ? nil : room / stride + 1
  }
}
