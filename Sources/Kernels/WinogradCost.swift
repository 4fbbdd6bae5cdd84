/// What a convolution by Winograd's filtering takes on paper: told from shapes alone, so that a graph's steps,
/// their memory and a projection agree on it.
package struct WinogradCost: Sendable {
  /// Points of evaluation in a row of a large tile.
  package let points: Int
  /// Multiply-adds at the points of evaluation.
  package let products: Double
  /// Instructions that transforms have beside them, times the numbers in a vector.
  package let transforms: Double
  /// Tiles that share a transform of the filters, at most.
  package let longestBlock: Int

  /// The cost of tiles of `side` pixels and of smaller ones, of a geometry that `WinogradCall.applies` to.
  init(_ geometry: ConvolutionGeometry, side: Int) {
    let upsample = geometry.upsample
    // Squares of 2 x 2 pixels stand for strides of 2.
    let channels = geometry.inputChannels * geometry.stride * geometry.stride
    let taps =
      upsample == 2 ? 2 : (geometry.kernelHeight + geometry.stride - 1) / geometry.stride
    points = side + taps - 1
    longestBlock = WinogradCost.longestBlock(channels: channels, points: points)
    let smallSide = geometry.kernelHeight == 3 ? (side == 6 ? 4 : 3) : side
    let rows = WinogradLine(geometry.outputHeight / upsample, side: side, smallSide: smallSide)
    let columns = WinogradLine(geometry.outputWidth / upsample, side: side, smallSide: smallSide)
    let phases = Double(upsample * upsample)
    let evaluations = Double(
      geometry.batch * rows.points(taps: taps) * columns.points(taps: taps))
    let tiles = Double(geometry.batch * rows.tileCount * columns.tileCount)
    let inputs = Double(channels), outputs = Double(geometry.outputChannels)
    let blocks = (tiles / Double(longestBlock)).rounded(.up)
    let counts = WinogradCost.instructions(points: points)
    products = phases * evaluations * inputs * outputs
    transforms =
      phases
      * (evaluations * (inputs * counts.input + outputs * counts.output)
        + blocks * inputs * outputs * counts.filter)
  }

  /// Of the cheapest tiles.
  package init(_ geometry: ConvolutionGeometry) {
    self.init(geometry, side: geometry.winogradSide)
  }

  /// 64 tiles of 36 points make the filters' transform cheap; of more points, and of deep images, fewer, lest
  /// scratch memory grow.
  package static func longestBlock(channels: Int, points: Int) -> Int {
    guard channels > 16 else { return 96 }
    let tiles = min(64, 80_000 / channels)
    return max(16, min(64, tiles * 36 / (points * points)))
  }

  /// Executed instructions for a vector of channels, or of sums, at a point of evaluation, and for a vector of
  /// filters at all points, as counted on ARM64; x86 is within a fifth of them in slots of a multiply-add.
  private static func instructions(points: Int) -> (input: Double, output: Double, filter: Double) {
    switch points {
    case 5: return (10, 10, 60)
    case 6: return (12, 11, 100)
    case 7: return (20, 9, 500)
    default: return (18, 11, 180)
    }
  }

  /// Instructions of a product around its multiply-adds, for each of them.
  private static let productOverhead = 0.15

  fileprivate var instructions: Double {
    products * (1 + WinogradCost.productOverhead) + transforms
  }

  /// Whether a 3x3 convolution in steps of two takes fewer instructions so. Directly it has less around its
  /// multiply-adds than where tiles are few, but its pixels are gathered.
  static func paysInStepsOfTwo(_ geometry: ConvolutionGeometry) -> Bool {
    let direct = Double(geometry.pixelCount * geometry.inputChannels * geometry.outputChannels)
    return WinogradCost(geometry, side: 4).instructions < 0.9 * 9 * direct * (1 + productOverhead)
  }
}

/// How tiles cover one dimension of an image: large ones, and small ones where they stand out less.
private struct WinogradLine {
  private let large: Int
  private let small: Int
  private let side: Int
  private let smallSide: Int

  init(_ extent: Int, side: Int, smallSide: Int) {
    let count = (extent + side - 1) / side
    let spare = count * side - extent
    small = smallSide < side ? min(count, spare / (side - smallSide)) : 0
    large = count - small
    self.side = side
    self.smallSide = smallSide
  }

  var tileCount: Int { large + small }

  func points(taps: Int) -> Int {
    large * (side + taps - 1) + small * (smallSide + taps - 1)
  }
}

extension ConvolutionGeometry {
  /// Pixels in a row of Winograd's large tiles, of a geometry that `WinogradCall.applies` to: larger tiles have
  /// fewer products and more to transform.
  package var winogradSide: Int {
    guard upsample == 1, stride == 1 else { return 4 }
    let small = WinogradCost(self, side: 4), large = WinogradCost(self, side: 6)
    // Small tiles are more accurate.
    return large.instructions < 0.95 * small.instructions ? 6 : 4
  }
}
