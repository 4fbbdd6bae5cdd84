import PipitKernels
import Testing

/// Which tiles Winograd's convolutions have, told from shapes.
@Suite struct WinogradCostTests {
  private func geometry(_ side: Int, _ channels: Int, upsample: Int = 1) -> ConvolutionGeometry {
    var geometry = ConvolutionGeometry()
    (geometry.inputHeight, geometry.inputWidth) = (side, side)
    (geometry.outputHeight, geometry.outputWidth) = (upsample * side, upsample * side)
    (geometry.inputChannels, geometry.outputChannels) = (channels, channels)
    (geometry.kernelHeight, geometry.kernelWidth) = (3, 3)
    (geometry.padTop, geometry.padLeft, geometry.upsample) = (1, 1, upsample)
    (geometry.xPixelStride, geometry.yPixelStride) = (channels, channels)
    return geometry
  }

  @Test func largeImagesHaveLargeTiles() {
    for (side, channels) in [(64, 512), (128, 128), (512, 64), (32, 320), (28, 128)] {
      #expect(geometry(side, channels).winogradSide == 6, "\(side), \(channels) channels")
    }
  }

  /// 14 is two tiles of 4 and two of 3, or one of 6 and two of 4; 7 one of 4 and one of 3, or two of 4.
  @Test func smallImagesHaveSmallTiles() {
    for (side, channels) in [(7, 512), (8, 1280), (13, 256), (14, 256)] {
      #expect(geometry(side, channels).winogradSide == 4, "\(side), \(channels) channels")
    }
  }

  @Test func enlargedImagesHaveSmallTiles() {
    #expect(geometry(256, 128, upsample: 2).winogradSide == 4)
    #expect(WinogradCost(geometry(64, 32, upsample: 2)).points == 5)
  }

  @Test func productsAreThoseAtThePointsOfAllTiles() {
    let small = WinogradCost(geometry(7, 32)), enlarged = WinogradCost(geometry(8, 32, upsample: 2))
    #expect(small.products == Double((6 + 5) * (6 + 5) * 32 * 32))
    #expect(enlarged.products == Double(4 * 25 * 4 * 32 * 32))
    #expect(small.transforms > 0)
  }

  @Test func largeKernelsInStepsOfTwoHaveSquaresForPixels() {
    var first = geometry(64, 3)
    (first.outputHeight, first.outputWidth, first.outputChannels) = (32, 32, 64)
    (first.kernelHeight, first.kernelWidth, first.stride) = (7, 7, 2)
    (first.padTop, first.padLeft, first.yPixelStride) = (3, 3, 64)
    #expect(WinogradCall.pays(for: first))
    let cost = WinogradCost(first)
    #expect(cost.points == 7)
    #expect(cost.products == Double(49 * 64 * 12 * 64))
    first.inputChannels = 5
    #expect(!WinogradCall.applies(to: first))
  }

  /// Few tiles do not pay for the transform of a deep layer's filters.
  @Test func someHalvingLayersPay() {
    for (side, channels, pays) in [(56, 64, true), (14, 256, false)] {
      var layer = geometry(side, channels)
      (layer.outputHeight, layer.outputWidth, layer.stride) = (side / 2, side / 2, 2)
      (layer.outputChannels, layer.yPixelStride) = (2 * channels, 2 * channels)
      #expect(WinogradCall.pays(for: layer) == pays, "\(side), \(channels) channels")
      #expect(WinogradCost(layer).points == 5)
    }
  }

  @Test func deepImagesHaveShortBlocks() {
    #expect(WinogradCost.longestBlock(channels: 12, points: 7) == 96)
    #expect(WinogradCost.longestBlock(channels: 64, points: 6) == 64)
    #expect(WinogradCost.longestBlock(channels: 64, points: 8) == 36)
    #expect(WinogradCost.longestBlock(channels: 64, points: 5) == 64)
    #expect(WinogradCost.longestBlock(channels: 100_000, points: 6) == 16)
  }
}
