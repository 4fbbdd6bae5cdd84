import PipitKernels
import PipitTensors

/// A quarter of the output of a 3x3 convolution over an image enlarged by two to the nearest neighbour:
/// its pixels of even or odd rows and columns. In each quarter several taps read the same stored pixel, so
/// it is a 2x2 convolution of the stored image, and all four together make 4/9 of the products.
struct EnlargedPhase {
  let row: Int, column: Int

  static let all = [0, 1, 2, 3].map { EnlargedPhase(row: $0 / 2, column: $0 % 2) }

  var index: Int { 2 * row + column }

  /// Whether a convolution falls into phases.
  static func applies(to geometry: ConvolutionGeometry) -> Bool {
    geometry.upsample == 2 && WinogradCall.applies(to: geometry)
  }

  /// The phase's convolution over the stored image, of the whole one's.
  func geometry(_ whole: ConvolutionGeometry) -> ConvolutionGeometry {
    var geometry = whole
    geometry.upsample = 1
    (geometry.kernelHeight, geometry.kernelWidth) = (2, 2)
    (geometry.padTop, geometry.padLeft) = (1 - row, 1 - column)
    (geometry.outputHeight, geometry.outputWidth) = (whole.inputHeight, whole.inputWidth)
    geometry.yPixelStride = 2 * whole.yPixelStride
    return geometry
  }

  /// Where the phase's first pixel lies in an NHWC image of the whole output.
  func place(in output: Shape) -> Int { (row * output[2] + column) * output[3] }

  /// What the scale of one output channel's taps `[channels, 3, 3]` is multiplied by, so that their sums
  /// come to -127...127.
  func factor(_ taps: UnsafePointer<Int8>, channels: Int) -> Float {
    var largest = 1
    for channel in 0..<channels {
      let sums = sums(taps + 9 * channel)
      largest = max(largest, abs(sums.0), abs(sums.1), abs(sums.2), abs(sums.3))
    }
    return Float(largest) / 127
  }

  /// The sums of the taps of one output channel, over `factor`: [2, 2, channels].
  func sumTaps(
    _ taps: UnsafePointer<Int8>, channels: Int, over factor: Float,
    into output: UnsafeMutablePointer<Int8>
  ) {
    func stored(_ sum: Int) -> Int8 { Int8((Float(sum) / factor).rounded(.toNearestOrEven)) }
    for channel in 0..<channels {
      let sums = sums(taps + 9 * channel)
      output[channel] = stored(sums.0)
      output[channels + channel] = stored(sums.1)
      output[2 * channels + channel] = stored(sums.2)
      output[3 * channels + channel] = stored(sums.3)
    }
  }

  /// The taps of one channel that read each of the window's four pixels, added. In even rows (and columns)
  /// the first tap reads the pixel before and the two others the pixel itself; in odd ones the first two
  /// read the pixel itself and the last the one behind.
  private func sums(_ t: UnsafePointer<Int8>) -> (Int, Int, Int, Int) {
    func line(_ x: Int) -> (Int, Int) {
      let (first, middle, last) = (Int(t[x]), Int(t[3 + x]), Int(t[6 + x]))
      return row == 0 ? (first, middle + last) : (first + middle, last)
    }
    let (left, middle, right) = (line(0), line(1), line(2))
    return column == 0
      ? (left.0, middle.0 + right.0, left.1, middle.1 + right.1)
      : (left.0 + middle.0, right.0, left.1 + middle.1, right.1)
  }
}
