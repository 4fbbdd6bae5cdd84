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
  /// The step from pixel to pixel, at least from row to row.
  package var stride: Int
  /// The step from column to column where it is not `stride`.
  private var ownColumnStride: Int?
  /// Zeros added on each side: top, left, bottom, right.
  package var padding: Padding
  package var dilation: Int
  package var groups: Int
  package var upsample = 1
  /// Whether a weight of integers is multiplied as floats although it asks for more.
  package var usesFloats = false
  /// Numbers of a row of the weight that are zeros, put there to fill groups.
  package private(set) var paddedDepth = 0
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
    return placingTaps(in: [shape[0], shape[1] + count, shape[2], shape[3]]) { ($0, $1) }
  }

  /// The same convolution, in steps of two, of an input whose pixels are paired (see `Quantize`), of the same
  /// output; `nil` where it is not shorter than with four channels, or a window's row is no run of whole groups.
  /// The weight is one of integers.
  ///
  /// The input begins with a pixel of zeros where the padding is odd, so that windows begin with a pair.
  func readingPairs(inputWidth: Int, outputWidth: Int) -> (convolution: Conv2D, lead: Int)? {
    let shape = weight.shape
    let (channels, columns, lead) = (2 * shape[1], (kernelWidth + 1) / 2, padding.left % 2)
    guard stride == 2, columnStride == 2, dilation == 1, upsample == 1, columns * channels % 4 == 0,
      columns * channels < 4 * kernelWidth
    else { return nil }
    var result = placingTaps(in: [shape[0], channels, shape[2], columns]) { channel, column in
      (channel % shape[1], 2 * column + channel / shape[1])
    }
    let pairs = (lead + inputWidth + 1) / 2
    result.ownColumnStride = 1
    result.padding.left = padding.left / 2
    result.padding.right = outputWidth - 1 + columns - pairs - result.padding.left
    return result.padding.right < 0 ? nil : (result, lead)
  }

  /// The same numbers in a weight of another shape: `place` tells which channel and column of the old one lie at
  /// a channel and column; what is outside of it is zero.
  private func placingTaps(
    in shape: Shape, from place: (_ channel: Int, _ column: Int) -> (channel: Int, column: Int)
  ) -> Conv2D {
    let old = weight.shape
    let memory = ByteStorage(count: shape.count) { target in
      var index = 0
      for row in 0..<shape[0] {
        for channel in 0..<shape[1] {
          for y in 0..<shape[2] {
            for x in 0..<shape[3] {
              let from = place(channel, x)
              let isThere = from.channel < old[1] && from.column < old[3]
              let line = (row * old[1] + from.channel) * old[2] + y
              target[index] = isThere ? weight.bytes[line * old[3] + from.column] : 0
              index += 1
            }
          }
        }
      }
    }
    var result = self
    result.weight = Weight(
      name: weight.name, shape: shape, storage: weight.storage, activations: weight.activations,
      bytes: memory.bytes, owner: memory)
    result.paddedDepth += (shape.count - old.count) / shape[0]
    return result
  }

  package var columnStride: Int { ownColumnStride ?? stride }
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
    let height = extent(input[1], padding.top + padding.bottom, kernelHeight, stride)
    let width = extent(input[2], padding.left + padding.right, kernelWidth, columnStride)
    guard let height, let width else {
      throw .invalid("\(weight.name): kernel is larger than the padded image \(input)")
    }
    let output: Shape = [input[0], height, width, weight.shape[0]]
    if epilogue.hasResidual, inputs[1] != output {
      throw .invalid("residual \(inputs[1]) is not of the output's shape \(output)")
    }
    return output
  }

  private func extent(_ input: Int, _ padding: Int, _ kernel: Int, _ stride: Int) -> Int? {
    let room = input * upsample + padding - dilation * (kernel - 1) - 1
    return room < 0 ? nil : room / stride + 1
  }
}
