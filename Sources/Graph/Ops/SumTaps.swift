package import PipitTensors

/// A convolution's sum over its window, of products that were made for each pixel and tap before:
///
///     y[row, column, c] = bias[c] + sum over taps of x[row + tap row - top, column + tap column - left, tap, c]
///
///     input [batch, height, width, kernel * kernel * channels]    output [batch, outHeight, outWidth, channels]
///
/// Taps outside the image count as zeros; the stride is 1.
package struct SumTaps: Sendable {
  package var kernel: Int
  package var channels: Int
  package var padding: Conv2D.Padding
  package var bias: Weight?

  package init(kernel: Int, channels: Int, padding: Conv2D.Padding, bias: Weight?) {
    precondition(kernel > 0 && channels > 0)
    self.kernel = kernel
    self.channels = channels
    self.padding = padding
    self.bias = bias
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
    let input = inputs[0]
    guard input.rank == 4 else { throw .rank(input: 0, expected: 4...4, found: input.rank) }
    guard input[3] == kernel * kernel * channels else {
      throw .mismatch(input: 0, axis: 3, expected: kernel * kernel * channels, found: input[3])
    }
    let height = input[1] + padding.top + padding.bottom - kernel + 1
    let width = input[2] + padding.left + padding.right - kernel + 1
    guard height > 0, width > 0 else { throw .invalid("kernel is larger than the padded image") }
    return [input[0], height, width, channels]
  }
}
