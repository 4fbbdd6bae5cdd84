/// What a 3x3 convolution by Winograd's filtering takes on paper: told from shapes alone, so that a graph's steps,
/// their memory and a projection agree on it.
package struct WinogradCost: Sendable {
  /// Points of evaluation in a row of a tile.
  package let points: Int
  /// Multiply-adds at the points of evaluation.
  package let products: Double
  /// Instructions that transforms have beside them, times the numbers in a vector.
  package let transforms: Double
  /// Tiles that share a transform of the filters, at most.
  package let longestBlock: Int

  /// The cost of tiles of `side` pixels, of a geometry that `WinogradCall.applies` to.
  init(_ geometry: ConvolutionGeometry, side: Int) {
    let upsample = geometry.upsample
    let taps = upsample == 2 ? 2 : 3
    points = side + taps - 1
    longestBlock = WinogradCost.longestBlock(
      channels: geometry.inputChannels, points: points)
    let rows = (geometry.outputHeight / upsample + side - 1) / side
    let columns = (geometry.outputWidth / upsample + side - 1) / side
    let phases = Double(upsample * upsample)
    let tiles = Double(geometry.batch * rows * columns)
    let inputs = Double(geometry.inputChannels), outputs = Double(geometry.outputChannels)
    let blocks = (tiles / Double(longestBlock)).rounded(.up)
    let counts = WinogradCost.instructions(points: points)
    products = phases * Double(points * points) * tiles * inputs * outputs
    transforms =
      phases
      * (tiles * (inputs * counts.input + outputs * counts.output)
        + blocks * inputs * outputs * counts.filter)
  }

  /// Of the cheapest tiles.
  package init(_ geometry: ConvolutionGeometry) {
    self.init(geometry, side: geometry.winogradSide)
  }

  /// 64 tiles of 36 points make the filters' transform cheap; of more points, and of deep images, fewer, lest
  /// scratch memory grow.
  package static func longestBlock(channels: Int, points: Int) -> Int {
    let tiles = min(64, 80_000 / max(channels, 1))
    return max(16, min(64, tiles * 36 / (points * points)))
  }

  /// Executed instructions for a vector of a tile's channels, of its sums and of a filter, as counted on ARM64;
  /// x86 is within a fifth of them in slots of a multiply-add.
  private static func instructions(points: Int) -> (input: Double, output: Double, filter: Double) {
    switch points {
    case 5: return (250, 260, 90)
    case 6: return (400, 380, 130)
    default: return (1000, 850, 230)
    }
  }

  /// Instructions of a product around its multiply-adds, for each of them.
  private static let productOverhead = 0.15

  fileprivate var instructions: Double {
    products * (1 + WinogradCost.productOverhead) + transforms
  }
}

extension ConvolutionGeometry {
  /// Pixels in a row of Winograd's tiles, of a geometry that `WinogradCall.applies` to: larger tiles have fewer
  /// products and more to transform, and where they do not divide the image more of them is for nothing.
  package var winogradSide: Int {
    guard upsample == 1 else { return 4 }
    let small = WinogradCost(self, side: 4), large = WinogradCost(self, side: 6)
    // Small tiles are more accurate.
    return large.instructions < 0.97 * small.instructions ? 6 : 4
  }
}
