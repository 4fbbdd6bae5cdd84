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
    for (side, channels) in [(64, 512), (128, 128), (512, 64)] {
      #expect(geometry(side, channels).winogradSide == 6, "\(side), \(channels) channels")
    }
  }

  /// 32 is eight tiles of 4 and six of 6; 7 two of either.
  @Test func imagesThatSixDividesBadlyHaveSmallTiles() {
    for (side, channels) in [(7, 512), (14, 256), (16, 640), (32, 320)] {
      #expect(geometry(side, channels).winogradSide == 4, "\(side), \(channels) channels")
    }
  }

  @Test func enlargedImagesHaveSmallTiles() {
    #expect(geometry(256, 128, upsample: 2).winogradSide == 4)
    #expect(WinogradCost(geometry(64, 32, upsample: 2)).points == 5)
  }

  @Test func productsAreThoseAtThePointsOfAllTiles() {
    let small = WinogradCost(geometry(14, 32)), enlarged = WinogradCost(geometry(8, 32, upsample: 2))
    #expect(small.products == Double(36 * 16 * 32 * 32))
    #expect(enlarged.products == Double(4 * 25 * 4 * 32 * 32))
    #expect(small.transforms > 0)
  }

  @Test func deepImagesHaveShortBlocks() {
    #expect(WinogradCost.longestBlock(channels: 64, points: 6) == 64)
    #expect(WinogradCost.longestBlock(channels: 64, points: 8) == 36)
    #expect(WinogradCost.longestBlock(channels: 64, points: 5) == 64)
    #expect(WinogradCost.longestBlock(channels: 100_000, points: 6) == 16)
  }
}
