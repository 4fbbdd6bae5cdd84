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
    geometry.padTop = padding.top
    geometry.padLeft = padding.left
    geometry.dilation = dilation
    geometry.upsample = upsample
    geometry.xPixelStride = input[3]
    geometry.yPixelStride = output[3]
    return geometry
  }

  /// Whether the runtime computes it by Winograd's algorithm, told from the shapes alone.
  package func usesWinograd(input: Shape, output: Shape) -> Bool {
    var geometry = geometry(input: input, output: output)
    guard inputQuantization == nil, !isDepthwise(output: output) else { return false }
    geometry.inputChannels = weight.shape[1]
    geometry.outputChannels = output[3] / groups
    return WinogradCall.pays(for: geometry)
  }

  private func isDepthwise(output: Shape) -> Bool { weight.shape[1] == 1 && output[3] == groups }
}
