import CKernels
import TestSupport
import Testing

extension ConvolutionCase {
  var depthwiseWeight: [Float] { randoms(taps * outputChannels, seed: 2) }

  /// y with what lies between its pixels; the rows are computed `rowStep` at a time.
  func runDepthwise(_ level: Level, rowStep: Int = .max) -> [Float] {
    let x = GuardedBuffer(self.x)
    let weights = GuardedBuffer(depthwiseWeight)
    let output = Output(
      rows: pixelCount, columns: outputChannels, stride: yPixelStride, case: epilogue)
    var arguments = geometry
    arguments.x = UnsafePointer(x.start)
    arguments.weight.values = UnsafeRawPointer(weights.start)
    arguments.y = output.y.start
    arguments.epilogue = output.epilogue
    let rows = batch * outputHeight
    for row in stride(from: 0, to: rows, by: min(rowStep, rows)) {
      level.table.pointee.depthwise_f32(&arguments, row, min(row + min(rowStep, rows), rows))
    }
    return output.y.values
  }
}

/// Depthwise convolutions of every width around the vectors.
private let shapes: [ConvolutionCase] =
  [1, 3, 4, 7, 8, 15, 16, 17, 32, 33, 63, 64, 65, 100].map {
    ConvolutionCase(6, 9, from: $0, to: $0)
  } + [
    .with(9, 11, from: 20, to: 20) { ($0.strideHeight, $0.strideWidth) = (2, 2) },
    .with(9, 14, from: 5, to: 5) { ($0.dilationHeight, $0.dilationWidth) = (2, 3) },
    .with(9, 14, from: 5, to: 5) { ($0.kernelHeight, $0.kernelWidth, $0.batch) = (5, 1, 3) },
    .with(7, 8, from: 18, to: 18) { ($0.padTop, $0.padLeft, $0.otherChannels) = (0, 3, 7) },
    .with(1, 1, from: 40, to: 40) { $0.otherChannels = 1 },
  ]

@Suite struct DepthwiseTests {
  @Test(arguments: shapes.indices)
  func scalarIsTheFormula(shape: Int) {
    let convolution = shapes[shape]
    let x = convolution.x
    let weight = convolution.depthwiseWeight
    let y = convolution.runDepthwise(.scalar)
    for pixel in 0..<convolution.pixelCount {
      for channel in 0..<convolution.outputChannels {
        var sum: Float = 0
        for tap in 0..<convolution.taps {
          let index = convolution.inputIndex(
            pixel: pixel, kernelRow: tap / convolution.kernelWidth,
            kernelColumn: tap % convolution.kernelWidth)
          guard let index else { continue }
          sum.addProduct(x[index + channel], weight[tap * convolution.outputChannels + channel])
        }
        #expect(y[pixel * convolution.yPixelStride + channel] == sum)
      }
    }
  }

  @Test(arguments: Level.beyondScalar, shapes.indices)
  func equalsScalarInEveryShape(level: Level, shape: Int) {
    let convolution = shapes[shape]
    #expect(areEqual(convolution.runDepthwise(level), convolution.runDepthwise(.scalar)))
  }

  @Test(arguments: Level.beyondScalar, EpilogueCase.every.indices)
  func equalsScalarInEveryEpilogue(level: Level, epilogue: Int) {
    var convolution = ConvolutionCase(5, 6, from: 37, to: 37)
    convolution.epilogue = EpilogueCase.every[epilogue]
    #expect(areEqual(convolution.runDepthwise(level), convolution.runDepthwise(.scalar)))
  }

  @Test(arguments: Level.running)
  func splitsGiveTheSameBits(level: Level) {
    var convolution = ConvolutionCase(9, 10, from: 43, to: 43)
    convolution.epilogue.activation = ACTIVATION_SILU
    #expect(
      bits(convolution.runDepthwise(level, rowStep: 2)) == bits(convolution.runDepthwise(level)))
  }
}
