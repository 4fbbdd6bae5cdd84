import CKernels
import TestSupport
import Testing

extension ConvolutionCase {
  var depth: Int { taps * inputChannels }
  var stored: StoredWeight {
    let own = StoredWeight(kind, columns: outputChannels, depth: depth)
    return isExpanded ? own.expanded : own
  }
  var weight: [Float] { stored.floats }

  /// y with what lies between its pixels.
  func run(_ level: Level) -> [Float] {
    let x = GuardedBuffer(self.x)
    let zeros = GuardedBuffer(count: inputChannels)
    let weights = PackedWeight(stored, for: level)
    let scratch = weights.makeScratch()
    let output = Output(
      rows: pixelCount, columns: outputChannels, stride: yPixelStride, case: epilogue)
    var arguments = geometry
    arguments.x = UnsafePointer(x.start)
    arguments.zeros = UnsafePointer(zeros.start)
    arguments.weight = weights.raw
    arguments.y = output.y.start
    arguments.epilogue = output.epilogue
    let tile = level.gemm.tile_columns
    guard let kernel = isHalf ? level.gemm.conv2d_halves : level.gemm.conv2d else { return [] }
    split.run(rows: pixelCount, panels: (outputChannels + tile - 1) / tile) { pixels, panels in
      kernel(
        &arguments, scratch.start, pixels.lowerBound, pixels.upperBound, panels.lowerBound,
        panels.upperBound)
    }
    return output.y.values
  }

  /// One sum by the definition.
  func sum(pixel: Int, column: Int, x: [Float], weight: [Float]) -> Float {
    var sum: Float = 0
    for tap in 0..<taps {
      let index = inputIndex(
        pixel: pixel, kernelRow: tap / kernelWidth, kernelColumn: tap % kernelWidth)
      guard let index else { continue }
      for channel in 0..<inputChannels {
        sum.addProduct(x[index + channel], weight[column * depth + tap * inputChannels + channel])
      }
    }
    return sum
  }
}

/// Shapes that take each turn of the gathering.
let convolutionShapes: [ConvolutionCase] = [
  ConvolutionCase(1, 1, from: 1, to: 1),
  ConvolutionCase(7, 9, from: 3, to: 8),
  ConvolutionCase(9, 7, from: 4, to: 33),
  ConvolutionCase(8, 8, from: 16, to: 32),
  ConvolutionCase(8, 8, from: 100, to: 40),
  .with(6, 11, from: 3, to: 17) { $0.batch = 2 },
  .with(5, 6, from: 7, to: 64) { $0.upsample = 2 },
  .with(5, 6, from: 16, to: 3) { ($0.upsample, $0.otherChannels) = (2, 2) },
  .with(9, 11, from: 5, to: 12) { ($0.strideHeight, $0.strideWidth) = (2, 2) },
  .with(9, 11, from: 5, to: 12) { ($0.strideHeight, $0.strideWidth) = (1, 3) },
  .with(10, 12, from: 3, to: 9) { ($0.dilationHeight, $0.dilationWidth) = (2, 2) },
  .with(10, 12, from: 3, to: 9) { ($0.dilationHeight, $0.dilationWidth) = (2, 1) },
  .with(9, 10, from: 6, to: 5) { ($0.kernelHeight, $0.kernelWidth) = (1, 5) },
  .with(9, 10, from: 6, to: 5) { ($0.kernelHeight, $0.kernelWidth) = (4, 2) },
  .with(8, 9, from: 6, to: 16) { ($0.kernelHeight, $0.kernelWidth, $0.padTop) = (1, 1, 0) },
  .with(8, 9, from: 12, to: 20) { $0.otherChannels = 12 },
  .with(9, 9, from: 2, to: 5) { ($0.padTop, $0.padLeft) = (0, 0) },
  .with(9, 9, from: 2, to: 5) { ($0.padTop, $0.padLeft, $0.padBottom, $0.padRight) = (4, 3, 2, 5) },
  .with(3, 20, from: 1, to: 1) { ($0.kernelHeight, $0.kernelWidth) = (3, 9) },
]

@Suite struct ConvolutionTests {
  @Test(arguments: convolutionShapes.indices)
  func scalarIsTheFormula(shape: Int) {
    let convolution = convolutionShapes[shape]
    let x = convolution.x
    let weight = convolution.weight
    let y = convolution.run(.scalar)
    for pixel in 0..<convolution.pixelCount {
      for column in 0..<convolution.outputChannels {
        let sum = convolution.sum(pixel: pixel, column: column, x: x, weight: weight)
        #expect(y[pixel * convolution.yPixelStride + column] == sum)
      }
    }
  }

  @Test(arguments: Level.beyondScalar, convolutionShapes.indices)
  func equalsScalarInEveryShape(level: Level, shape: Int) {
    let convolution = convolutionShapes[shape]
    #expect(areEqual(convolution.run(level), convolution.run(.scalar)))
  }

  @Test(arguments: Level.beyondScalar, 1...20)
  func equalsScalarWithEveryChannelCount(level: Level, channels: Int) {
    for upsample in 1...2 {
      var convolution = ConvolutionCase(5, 7, from: channels, to: 21 - channels)
      convolution.upsample = upsample
      #expect(areEqual(convolution.run(level), convolution.run(.scalar)), "upsample \(upsample)")
    }
  }

  @Test(arguments: Level.beyondScalar, EpilogueCase.every.indices)
  func equalsScalarInEveryEpilogue(level: Level, epilogue: Int) {
    var convolution = ConvolutionCase(6, 7, from: 5, to: 37)
    convolution.epilogue = EpilogueCase.every[epilogue]
    #expect(areEqual(convolution.run(level), convolution.run(.scalar)))
  }

  @Test(arguments: Level.running, [5, 100])
  func splitsGiveTheSameBits(level: Level, channels: Int) {
    for residual in EpilogueCase.Residual.allCases {
      var convolution = ConvolutionCase(6, 9, from: channels, to: 70)
      convolution.epilogue = EpilogueCase(
        hasBias: true, residual: residual, residualFirst: true, activation: ACTIVATION_RELU)
      let whole = bits(convolution.run(level))
      for split in Split.allCases {
        convolution.split = split
        #expect(bits(convolution.run(level)) == whole, "\(split), \(residual)")
      }
    }
  }
}
