import CKernels
import TestSupport

/// A convolution of random numbers.
struct ConvolutionCase: Sendable {
  var batch = 1
  var inputHeight: Int, inputWidth: Int, inputChannels: Int, outputChannels: Int
  var kernelHeight = 3, kernelWidth = 3
  var strideHeight = 1, strideWidth = 1
  var padTop = 1, padLeft = 1, padBottom = 1, padRight = 1
  var dilationHeight = 1, dilationWidth = 1
  var upsample = 1
  /// Floats of each input pixel that belong to others, as in a grouped convolution.
  var otherChannels = 0
  var epilogue = EpilogueCase()
  var split = Split.whole
  /// How the weight is stored, and whether it is expanded before it is packed.
  var kind = StoredWeight.Kind.f32
  var isExpanded = false
  /// Whether it is computed in half precision.
  var isHalf = false

  init(_ height: Int, _ width: Int, from inputChannels: Int, to outputChannels: Int) {
    inputHeight = height
    inputWidth = width
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
  }

  static func with(
    _ height: Int, _ width: Int, from inputChannels: Int, to outputChannels: Int,
    _ change: (inout ConvolutionCase) -> Void
  ) -> ConvolutionCase {
    var result = ConvolutionCase(height, width, from: inputChannels, to: outputChannels)
    change(&result)
    return result
  }

  var outputHeight: Int {
    let padded = inputHeight * upsample + padTop + padBottom
    return (padded - dilationHeight * (kernelHeight - 1) - 1) / strideHeight + 1
  }
  var outputWidth: Int {
    let padded = inputWidth * upsample + padLeft + padRight
    return (padded - dilationWidth * (kernelWidth - 1) - 1) / strideWidth + 1
  }
  var pixelCount: Int { batch * outputHeight * outputWidth }
  var xPixelStride: Int { inputChannels + otherChannels }
  var yPixelStride: Int { outputChannels + otherChannels }
  var taps: Int { kernelHeight * kernelWidth }

  var x: [Float] {
    let pixels = batch * inputHeight * inputWidth
    return randoms((pixels - 1) * xPixelStride + inputChannels, seed: 1)
  }

  /// The arguments, without the pointers.
  var geometry: conv2d_f32_args {
    var arguments = conv2d_f32_args()
    arguments.x_pixel_stride = xPixelStride
    arguments.y_pixel_stride = yPixelStride
    arguments.batch = batch
    arguments.input_height = inputHeight
    arguments.input_width = inputWidth
    arguments.input_channels = inputChannels
    arguments.output_height = outputHeight
    arguments.output_width = outputWidth
    arguments.output_channels = outputChannels
    arguments.kernel_height = kernelHeight
    arguments.kernel_width = kernelWidth
    arguments.stride_height = strideHeight
    arguments.stride_width = strideWidth
    arguments.pad_top = padTop
    arguments.pad_left = padLeft
    arguments.dilation_height = dilationHeight
    arguments.dilation_width = dilationWidth
    arguments.upsample = upsample
    return arguments
  }

  /// The index in x of the first channel that a tap of an output pixel reads; `nil` in the padding.
  func inputIndex(pixel: Int, kernelRow: Int, kernelColumn: Int) -> Int? {
    let image = pixel / (outputHeight * outputWidth)
    let top = pixel / outputWidth % outputHeight * strideHeight - padTop
    let left = pixel % outputWidth * strideWidth - padLeft
    let row = top + kernelRow * dilationHeight
    let column = left + kernelColumn * dilationWidth
    guard (0..<inputHeight * upsample).contains(row), (0..<inputWidth * upsample).contains(column)
    else { return nil }
    return ((image * inputHeight + row / upsample) * inputWidth + column / upsample) * xPixelStride
  }
}
