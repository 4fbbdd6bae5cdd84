import Glibc

/// Numbers that say how far one model's results are from another's.
enum Measures {
  /// The cosine of the angle between two vectors.
  static func cosine(_ a: [Float], _ b: [Float]) -> Double {
    var error = StorageError()
    for (x, y) in zip(a, b) { error.add(x, y) }
    return error.cosine
  }

  /// Peak signal to noise in decibels; `nil` where nothing differs.
  static func psnr(_ a: [Float], _ b: [Float], peak: Float) -> Double? {
    let sum = zip(a, b).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
    guard sum > 0 else { return nil }
    return 10 * log10(Double(peak) * Double(peak) * Double(a.count) / sum)
  }

  /// The structural similarity of two pictures' brightness (Wang et al. 2004), with even windows of 8 x 8
  /// pixels, every 4 pixels: the mean over all.
  static func ssim(_ a: Image, _ b: Image, peak: Float) -> Double {
    let (x, y) = (a.luma, b.luma)
    let c1 = Double(0.01 * peak) * Double(0.01 * peak)
    let c2 = Double(0.03 * peak) * Double(0.03 * peak)
    var (sum, count) = (0.0, 0)
    for top in stride(from: 0, through: a.height - 8, by: 4) {
      for left in stride(from: 0, through: a.width - 8, by: 4) {
        var (sx, sy, sxx, syy, sxy) = (0.0, 0.0, 0.0, 0.0, 0.0)
        for row in top..<top + 8 {
          for column in left..<left + 8 {
            let (u, v) = (Double(x[row * a.width + column]), Double(y[row * a.width + column]))
            sx += u
            sy += v
            sxx += u * u
            syy += v * v
            sxy += u * v
          }
        }
        let (mx, my) = (sx / 64, sy / 64)
        let (vx, vy, cov) = (sxx / 64 - mx * mx, syy / 64 - my * my, sxy / 64 - mx * my)
        sum += (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
        count += 1
      }
    }
    return count > 0 ? sum / Double(count) : 1
  }

  /// Spearman's rank correlation.
  static func rankCorrelation(_ a: [Double], _ b: [Double]) -> Double {
    guard a.count > 1 else { return 1 }
    let (x, y) = (ranks(a), ranks(b))
    let mean = Double(a.count - 1) / 2
    var (xy, xx, yy) = (0.0, 0.0, 0.0)
    for (u, v) in zip(x, y) {
      xy += (u - mean) * (v - mean)
      xx += (u - mean) * (u - mean)
      yy += (v - mean) * (v - mean)
    }
    return xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : 1
  }

  /// Places in order of size, equal numbers sharing the mean of theirs.
  private static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var begin = 0
    while begin < order.count {
      var end = begin + 1
      while end < order.count, values[order[end]] == values[order[begin]] { end += 1 }
      for place in begin..<end { ranks[order[place]] = Double(begin + end - 1) / 2 }
      begin = end
    }
    return ranks
  }
}

/// A picture as planes of numbers, `[channels, height, width]`.
struct Image: Sendable {
  let width: Int
  let height: Int
  let values: [Float]

  var channels: Int { values.count / (width * height) }

  /// The mean of the channels.
  var luma: [Float] {
    let count = width * height
    var luma = [Float](repeating: 0, count: count)
    for (index, value) in values.enumerated() { luma[index % count] += value / Float(channels) }
    return luma
  }
}
