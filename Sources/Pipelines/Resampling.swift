package import PipitFormats

/// Resampling of pictures, with the bytes of Pillow 13: along rows, then along columns, with bytes
/// between; when it shrinks, the filter is as wide as the step, so that no pixel is left out.
package enum Resampling: Int, Sendable {
  // The values are Pillow's numbers, which preprocessor_config.json has.
  case nearest = 0
  case lanczos = 1
  case bilinear = 2
  case bicubic = 3

  /// The picture with `width` columns and `height` rows.
  package func apply(_ picture: Picture, width: Int, height: Int) -> Picture {
    precondition(width > 0)
    precondition(height > 0)
    // Pillow 13 weighs what the two orders cost. That comes to rows first unless they grow while the
    // columns shrink, but for few shapes, where bytes may differ by rounding.
    let columnsFirst = width > picture.width && height < picture.height
    var result = picture
    if columnsFirst { result = columns(result, to: height) }
    if width != picture.width { result = rows(result, to: width) }
    if height != result.height { result = columns(result, to: height) }
    return result
  }

  private func rows(_ picture: Picture, to width: Int) -> Picture {
    let taps = Taps(self, from: picture.width, to: width)
    var pixels = [UInt8](repeating: 0, count: 3 * width * picture.height)
    picture.pixels.withUnsafeBufferPointer { source in
      for y in 0..<picture.height {
        let row = 3 * y * picture.width
        for x in 0..<width {
          for channel in 0..<3 {
            pixels[3 * (y * width + x) + channel] = taps.sum(x) { index in
              source[row + 3 * index + channel]
            }
          }
        }
      }
    }
    return Picture(width: width, height: picture.height, pixels: pixels)
  }

  private func columns(_ picture: Picture, to height: Int) -> Picture {
    let taps = Taps(self, from: picture.height, to: height)
    let stride = 3 * picture.width
    var pixels = [UInt8](repeating: 0, count: stride * height)
    picture.pixels.withUnsafeBufferPointer { source in
      for y in 0..<height {
        for column in 0..<stride {
          pixels[y * stride + column] = taps.sum(y) { source[$0 * stride + column] }
        }
      }
    }
    return Picture(width: picture.width, height: height, pixels: pixels)
  }

  /// How far the filter reaches where nothing shrinks.
  fileprivate var support: Double {
    switch self {
    case .nearest: 0
    case .bilinear: 1
    case .bicubic: 2
    case .lanczos: 3
    }
  }

  fileprivate func weight(_ x: Double) -> Double {
    let x = abs(x)
    guard x < support else { return 0 }
    switch self {
    case .nearest: return 0
    case .bilinear: return 1 - x
    case .bicubic:
      // Keys' kernel with a = -1/2.
      return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2
    case .lanczos: return sinc(x) * sinc(x / 3)
    }
  }

  private func sinc(_ x: Double) -> Double { x == 0 ? 1 : (x * .pi).sine / (x * .pi) }
}

/// For each place of a resampled line, which places of the line it comes from count how much.
private struct Taps {
  /// Weights are whole numbers of 2^-22, so that sums of bytes fit 32 bits.
  private static let bits = 22
  private var firsts: [Int] = []
  private var weights: [[Int]] = []

  init(_ filter: Resampling, from source: Int, to target: Int) {
    let scale = Double(source) / Double(target)
    let reach = max(scale, 1)
    for position in 0..<target {
      let center = (Double(position) + 0.5) * scale
      guard filter != .nearest else {
        firsts.append(min(source - 1, Int(center)))
        weights.append([1 << Taps.bits])
        continue
      }
      let first = max(0, Int(center - filter.support * reach + 0.5))
      let end = min(source, Int(center + filter.support * reach + 0.5))
      let values = (first..<max(first + 1, end)).map {
        filter.weight((Double($0) - center + 0.5) / reach)
      }
      let sum = values.reduce(0, +)
      firsts.append(first)
      weights.append(
        values.map { value in
          let scaled = (sum == 0 ? value : value / sum) * Double(1 << Taps.bits)
          return Int(scaled + (scaled < 0 ? -0.5 : 0.5))
        })
    }
  }

  func sum(_ position: Int, _ source: (Int) -> UInt8) -> UInt8 {
    var sum = 1 << (Taps.bits - 1)
    let first = firsts[position]
    for (offset, weight) in weights[position].enumerated() {
      sum += weight * Int(source(first + offset))
    }
    return UInt8(min(max(sum >> Taps.bits, 0), 255))
  }
}
