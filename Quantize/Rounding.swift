import Glibc

/// The arithmetic of storing rows of numbers as integers: round(value / scale) to nearest, ties to even.
enum Rounding {
  /// 1.5 * 2^23: adding it to a number below 2^22 leaves no place for a fraction, and rounding is to
  /// nearest, ties to even. (Without SSE 4.1 `rounded` is a call of a function for each number.)
  private static let magic: Float = 12_582_912

  /// Never but a whole number from `low` to `high`: what is no number becomes `low`.
  @inline(__always)
  static func rounded(_ x: Float, _ low: Float, _ high: Float) -> Float {
    // Limits first: beyond 2^22 the sum would not round, and what is beyond them is the limit anyway.
    let inside = x > low ? (x > high ? high : x) : low
    return (inside + magic) - magic
  }

  /// The greatest magnitude; what is not finite is for `firstOddity` to find.
  static func greatest(_ row: UnsafeBufferPointer<Float>) -> Float {
    var greatest: Float = 0
    for value in row { greatest = max(greatest, abs(value)) }
    return greatest
  }

  /// The sum of squared errors that a scale gives.
  private static func error(
    _ row: UnsafeBufferPointer<Float>, scale: Float, _ low: Float, _ high: Float
  ) -> Float {
    let factor = 1 / scale
    // Four sums, as one would wait for itself; and so that a long row loses no digits.
    var sums: (Float, Float, Float, Float) = (0, 0, 0, 0)
    @inline(__always) func square(_ index: Int) -> Float {
      let difference = rounded(row[index] * factor, low, high) * scale - row[index]
      return difference * difference
    }
    var index = 0
    while index + 4 <= row.count {
      sums.0 += square(index)
      sums.1 += square(index + 1)
      sums.2 += square(index + 2)
      sums.3 += square(index + 3)
      index += 4
    }
    while index < row.count {
      sums.0 += square(index)
      index += 1
    }
    return (sums.0 + sums.1) + (sums.2 + sums.3)
  }

  /// The scale of the numbers for whole numbers from `low` to `high`; `stored` is the number that a scale
  /// becomes in the file.
  static func scale(
    _ row: UnsafeBufferPointer<Float>, low: Float, high: Float, clipping: Clipping,
    stored: (Float) -> Float
  ) -> Float {
    let greatest = greatest(row)
    // Nothing to divide by; all will be zeros.
    guard greatest > 0 else { return 1 }
    let largest = stored(greatest / high)
    guard clipping == .mse, largest > 0, largest.isFinite else { return largest }
    var best = largest
    var least = error(row, scale: largest, low, high)
    // The lowest one reaches further than the highest (-8 against 7), so that scales may begin below.
    let steps = high < 16 ? 16 : 12
    let narrowest: Float = high < 16 ? 0.6 : 0.76
    for step in 1...steps {
      let part = 1 - (1 - narrowest) * Float(step) / Float(steps)
      let candidate = stored(greatest / high * part)
      guard candidate > 0 else { continue }
      let error = error(row, scale: candidate, low, high)
      if error < least { (best, least) = (candidate, error) }
    }
    return best
  }

  /// As below, by a way to make up for errors; `scale` is asked for a column.
  static func quantize(
    _ row: UnsafeBufferPointer<Float>, low: Float, high: Float, into output: UnsafeMutablePointer<Int8>,
    error: inout StorageError, feedback: ErrorFeedback, scale: (Int) -> Float
  ) {
    feedback.quantize(row, low: low, high: high, into: output, scale: scale)
    error.add(row) { Float(output[$0]) * scale($0) }
  }

  /// The whole numbers of a row, and what they stand for added to `error`.
  static func quantize(
    _ row: UnsafeBufferPointer<Float>, scale: Float, low: Float, high: Float,
    into output: UnsafeMutablePointer<Int8>, error: inout StorageError
  ) {
    for index in row.indices {
      output[index] = Int8(rounded(row[index] / scale, low, high))
    }
    error.add(row) { Float(output[$0]) * scale }
  }
}

/// How far stored numbers are from the given ones.
struct StorageError {
  private var signal = 0.0
  private(set) var noise = 0.0
  private var product = 0.0
  private var energy = 0.0

  @inline(__always)
  mutating func add(_ row: UnsafeBufferPointer<Float>, _ stored: (Int) -> Float) {
    // Sums of 256 numbers in f32 lose nothing that is seen.
    var begin = 0
    while begin < row.count {
      let end = min(row.count, begin + 256)
      var sums: (Float, Float, Float, Float) = (0, 0, 0, 0)
      for index in begin..<end {
        let (x, y) = (row[index], stored(index))
        sums.0 += x * x
        sums.1 += (y - x) * (y - x)
        sums.2 += x * y
        sums.3 += y * y
      }
      signal += Double(sums.0)
      noise += Double(sums.1)
      product += Double(sums.2)
      energy += Double(sums.3)
      begin = end
    }
  }

  /// One number, and what it became.
  @inline(__always)
  mutating func add(_ x: Float, _ y: Float) {
    signal += Double(x) * Double(x)
    noise += Double(y - x) * Double(y - x)
    product += Double(x) * Double(y)
    energy += Double(y) * Double(y)
  }

  /// Signal to noise in decibels; `nil` where nothing was lost.
  var sqnr_dB: Double? { noise > 0 ? 10 * log10(signal / noise) : nil }

  /// The cosine of the angle between given and stored numbers.
  var cosine: Double {
    signal > 0 && energy > 0 ? product / (signal.squareRoot() * energy.squareRoot()) : 1
  }
}
