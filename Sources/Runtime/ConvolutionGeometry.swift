package import PipitGraph
package import PipitKernels
package import PipitTensors

extension Conv2D {
  /// The convolution as the kernels see it, over dense images.
  package func geometry(input: Shape, output: Shape) -> ConvolutionGeometry {
    var geometry = ConvolutionGeometry()
    geometry.batch = input[0]
    geometry.inputHeight = input[1]
    geometry.inputWidth = input[2]
    geometry.inputChannels = input[3]
    geometry.outputHeight = output[1]
    geometry.outputWidth = output[2]
    geometry.outputChannels = output[3]
    geometry.kernelHeight = kernelHeight
    geometry.kernelWidth = kernelWidth
    geometry.stride = stride
    geometry.columnStride = columnStride
    geometry.padTop = padding.top
    geometry.padLeft = padding.left
    geometry.dilation = dilation
    geometry.upsample = upsample
    geometry.xPixelStride = input[3]
    geometry.yPixelStride = output[3]
    return geometry
  }

  /// One of the groups' convolutions.
  package func groupGeometry(input: Shape, output: Shape) -> ConvolutionGeometry {
    var geometry = geometry(input: input, output: output)
    geometry.inputChannels = weight.shape[1]
    geometry.outputChannels = output[3] / groups
    return geometry
  }

  /// Whether the runtime computes it by Winograd's algorithm, told from the shapes alone.
  package func usesWinograd(input: Shape, output: Shape) -> Bool {
    guard inputQuantization == nil, !isDepthwise(output: output) else { return false }
    return WinogradCall.pays(for: groupGeometry(input: input, output: output))
  }

  private func isDepthwise(output: Shape) -> Bool { weight.shape[1] == 1 && output[3] == groups }
}
