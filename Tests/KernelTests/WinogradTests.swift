import CKernels
import TestSupport
import Testing

extension ConvolutionCase {
  /// y by Winograd's filtering, `step` tiles at a time, each in scratch memory of exactly the size asked for.
  func runWinograd(_ level: Level, side: Int = 4, step: Int, panelStep: Int? = nil) -> [Float] {
    let x = GuardedBuffer(self.x)
    let zeros = GuardedBuffer(count: inputChannels)
    let weights = PackedWeight(stored, for: level)
    let output = Output(
      rows: pixelCount, columns: outputChannels, stride: yPixelStride, case: epilogue)
    var arguments = geometry
    arguments.x = UnsafePointer(x.start)
    arguments.zeros = UnsafePointer(zeros.start)
    arguments.weight = weights.raw
    arguments.y = output.y.start
    arguments.epilogue = output.epilogue
    arguments.winograd_side = side
    let tiles = winograd_tile_count(&arguments)
    let panels = (outputChannels + level.gemm.tile_columns - 1) / level.gemm.tile_columns
    for first in stride(from: 0, to: tiles, by: step) {
      let last = min(first + step, tiles)
      let count = level.gemm.winograd_scratch_count(&arguments, last - first)
      let scratch = GuardedBuffer([Float](repeating: .nan, count: max(count, 1)))
      for panel in stride(from: 0, to: panels, by: panelStep ?? panels) {
        level.gemm.winograd(
          &arguments, scratch.start, first, last, panel, min(panel + (panelStep ?? panels), panels))
      }
    }
    return output.y.values
  }

  /// The contract's bound; numbers are in -1...1.
  func winogradTolerance(side: Int) -> Float {
    (side == 4 && kernelHeight == 3 ? 1 : 2) * (3e-5 + 5e-7 * Float(depth))
  }

  /// Enlarged images and strides of two have tiles of one side.
  var winogradSides: [Int] { upsample == 1 && strideHeight == 1 ? [4, 6] : [4] }

  /// A kernel of 3 x 3 in steps of 2.
  static func halved(
    _ height: Int, _ width: Int, from inputChannels: Int, to outputChannels: Int, pad: Int = 1
  ) -> ConvolutionCase {
    .with(height, width, from: inputChannels, to: outputChannels) {
      ($0.strideHeight, $0.strideWidth) = (2, 2)
      ($0.padTop, $0.padLeft, $0.padBottom, $0.padRight) = (pad, pad, pad, pad)
    }
  }

  /// A kernel of 7 x 7 in steps of 2.
  static func large(
    _ height: Int, _ width: Int, from inputChannels: Int, to outputChannels: Int, pad: Int = 3
  ) -> ConvolutionCase {
    .with(height, width, from: inputChannels, to: outputChannels) {
      ($0.kernelHeight, $0.kernelWidth) = (7, 7)
      ($0.strideHeight, $0.strideWidth) = (2, 2)
      ($0.padTop, $0.padLeft, $0.padBottom, $0.padRight) = (pad, pad, pad, pad)
    }
  }
}

/// Images of whole tiles and of parts of them, odd channel counts, padding on any side.
private let shapes: [ConvolutionCase] = [
  ConvolutionCase(1, 1, from: 1, to: 1),
  ConvolutionCase(4, 4, from: 16, to: 32),
  ConvolutionCase(5, 9, from: 3, to: 33),
  ConvolutionCase(13, 7, from: 17, to: 40),
  ConvolutionCase(24, 22, from: 33, to: 7),
  .with(6, 11, from: 5, to: 17) { $0.batch = 3 },
  .with(8, 9, from: 12, to: 20) { $0.otherChannels = 12 },
  .with(9, 9, from: 2, to: 5) { ($0.padTop, $0.padLeft, $0.padBottom, $0.padRight) = (0, 0, 0, 0) },
  .with(9, 9, from: 2, to: 5) { ($0.padTop, $0.padLeft, $0.padBottom, $0.padRight) = (2, 0, 1, 2) },
  .with(1, 1, from: 4, to: 3) { $0.upsample = 2 },
  .with(5, 6, from: 7, to: 64) { $0.upsample = 2 },
  .with(9, 11, from: 19, to: 35) { ($0.upsample, $0.batch, $0.otherChannels) = (2, 2, 3) },
  // More channels than have their filters transformed at a time: where tiles are few, phases together, and many.
  ConvolutionCase(7, 8, from: 290, to: 35),
  .with(4, 5, from: 330, to: 35) { $0.upsample = 2 },
  ConvolutionCase(24, 22, from: 700, to: 17),
  .halved(1, 1, from: 16, to: 3),
  .halved(23, 14, from: 32, to: 35),
  .halved(14, 20, from: 16, to: 7, pad: 0),
  .large(1, 1, from: 1, to: 3),
  .large(20, 33, from: 3, to: 35),
  .large(31, 16, from: 4, to: 16, pad: 2),
  .large(17, 18, from: 2, to: 40, pad: 0),
]

@Suite struct WinogradTests {
  @Test(arguments: shapes.indices)
  func scalarIsNearTheConvolution(shape: Int) {
    let convolution = shapes[shape]
    let expected = convolution.run(.scalar)
    for side in convolution.winogradSides {
      let error = maxError(convolution.runWinograd(.scalar, side: side, step: 1000), expected)
      #expect(error <= convolution.winogradTolerance(side: side), "side \(side)")
    }
  }

  @Test(arguments: Level.beyondScalar, shapes.indices)
  func equalsScalar(level: Level, shape: Int) {
    let convolution = shapes[shape]
    for side in convolution.winogradSides {
      let expected = convolution.runWinograd(.scalar, side: side, step: 1000)
      for step in [1, 5, 1000] {
        let found = convolution.runWinograd(level, side: side, step: step)
        #expect(areEqual(found, expected), "side \(side), \(step) tiles at a time")
      }
    }
  }

  @Test(arguments: Level.running, EpilogueCase.every.indices)
  func equalsScalarInEveryEpilogue(level: Level, epilogue: Int) {
    for upsample in 1...2 {
      var convolution = ConvolutionCase(6, 7, from: 5, to: 37)
      convolution.upsample = upsample
      convolution.epilogue = EpilogueCase.every[epilogue]
      let plain = convolution.run(.scalar)
      for side in convolution.winogradSides {
        let expected = convolution.runWinograd(.scalar, side: side, step: 3)
        let found = convolution.runWinograd(level, side: side, step: 3)
        #expect(areEqual(found, expected), "upsample \(upsample), side \(side)")
        let tolerance = 1.2 * convolution.winogradTolerance(side: side) + 3e-5
        #expect(maxError(found, plain) <= tolerance, "upsample \(upsample), side \(side)")
      }
    }
  }

  @Test(arguments: Level.running, 1...2)
  func splitsGiveTheSameBits(level: Level, upsample: Int) {
    var convolution = ConvolutionCase(22, 19, from: 21, to: 70)
    convolution.upsample = upsample
    check(convolution, level)
  }

  @Test(arguments: Level.running)
  func splitsInStepsOfTwoGiveTheSameBits(level: Level) {
    var convolution = ConvolutionCase.large(40, 37, from: 3, to: 70)
    convolution.batch = 2
    check(convolution, level)
    check(.halved(43, 28, from: 16, to: 40), level)
  }

  private func check(_ convolution: ConvolutionCase, _ level: Level) {
    for side in convolution.winogradSides {
      let whole = bits(convolution.runWinograd(level, side: side, step: 1000))
      for step in [1, 4, 15, 16] {
        let split = convolution.runWinograd(level, side: side, step: step, panelStep: 1)
        #expect(bits(split) == whole, "side \(side)")
      }
    }
  }
}
