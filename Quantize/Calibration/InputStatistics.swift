import PipitGraph
import PipitTensors

/// What was seen of a layer's input while the model ran in f32: how its numbers are spread, the mean of each
/// channel, and some of the rows (patches, for a convolution) that the layer multiplies with.
final class InputStatistics {
  /// Channels of the input.
  let channels: Int
  /// Kernel positions: 1 for a linear layer.
  let taps: Int
  private(set) var histogram = Histogram()
  private(set) var sums: [Double]
  /// The largest magnitude of each channel.
  private(set) var greatest: [Float]
  private(set) var rowCount = 0
  /// Rows `[samples, channels * taps]`, in the order of the weight's columns: channel by channel.
  private(set) var samples: [Float] = []
  private(set) var sampleCount = 0
  /// Of the channels with each other, where they are wanted.
  private(set) var products: InputProducts?
  /// How errors in a weight's columns are made up for; `nil` where too little was seen.
  private(set) lazy var feedback = products.flatMap { ErrorFeedback($0) }
  private let sampleLimit: Int
  private var offered = 0
  private var state: UInt64 = 0x9E37_79B9_7F4A_7C15

  /// Numbers that go into a histogram in one go; of larger inputs every n-th row does.
  private static let shareCount = 1 << 18
  /// Rows offered as samples each time.
  private static let offers = 16

  init(channels: Int, taps: Int) {
    self.channels = channels
    self.taps = taps
    sums = [Double](repeating: 0, count: channels)
    greatest = [Float](repeating: 0, count: channels)
    // A mebibyte a layer, but no fewer than 8 rows.
    sampleLimit = min(64, max(8, (1 << 18) / (channels * taps)))
  }

  var depth: Int { channels * taps }

  /// What would have been seen of a linear layer's input had each channel been divided by a number; but for the
  /// histogram, which is empty.
  func divided(by factors: [Float]) -> InputStatistics {
    precondition(factors.count == depth)
    let result = InputStatistics(channels: channels, taps: taps)
    result.sums = zip(sums, factors).map { $0 / Double($1) }
    result.greatest = zip(greatest, factors).map { $0 / $1 }
    result.rowCount = rowCount
    result.sampleCount = sampleCount
    result.samples = samples.indices.map { samples[$0] / factors[$0 % depth] }
    result.products = products?.divided(by: factors)
    return result
  }

  /// The mean of each channel.
  var means: [Double] { sums.map { $0 / Double(max(rowCount, 1)) } }

  func sample(_ index: Int) -> ArraySlice<Float> { samples[index * depth..<(index + 1) * depth] }

  /// Rows `[rows, channels]` of an input.
  func add(rows: UnsafeBufferPointer<Float>) {
    let count = rows.count / channels
    let step = max(1, rows.count / InputStatistics.shareCount)
    for row in stride(from: 0, to: count, by: step) {
      let values = UnsafeBufferPointer(rebasing: rows[row * channels..<(row + 1) * channels])
      histogram.add(values)
      for channel in values.indices {
        sums[channel] += Double(values[channel])
        greatest[channel] = max(greatest[channel], abs(values[channel]))
      }
      rowCount += 1
    }
  }

  /// Rows `[rows, channels]` of an input whose channels are to be multiplied with each other.
  func multiply(rows: UnsafeBufferPointer<Float>) {
    let products = products ?? InputProducts(count: channels)
    products.add(rows: rows)
    self.products = products
  }

  /// A place for one more sample of rows, of which equally many are kept of all that are offered.
  private func slot() -> Int? {
    offered += 1
    if sampleCount < sampleLimit {
      sampleCount += 1
      samples.append(contentsOf: repeatElement(0, count: depth))
      return sampleCount - 1
    }
    let place = Int(random() % UInt64(offered))
    return place < sampleLimit ? place : nil
  }

  /// Splitmix64 (Steele et al. 2014): the same samples every time.
  private func random() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Keeps some rows of a linear layer's input `[rows, channels]`.
  func sample(rows: UnsafeBufferPointer<Float>) {
    let count = rows.count / channels
    for _ in 0..<min(InputStatistics.offers, count) {
      let row = Int(random() % UInt64(count))
      guard let slot = slot() else { continue }
      for column in 0..<depth { samples[slot * depth + column] = rows[row * channels + column] }
    }
  }

  /// Keeps some patches of a convolution's input `[batch, height, width, channels]`.
  func sample(image: UnsafeBufferPointer<Float>, _ shape: Shape, _ op: Conv2D, _ output: Shape) {
    let positions = output[0] * output[1] * output[2]
    for _ in 0..<min(InputStatistics.offers, positions) {
      let position = Int(random() % UInt64(positions))
      guard let slot = slot() else { continue }
      let batch = position / (output[1] * output[2])
      let (y, x) = (position / output[2] % output[1], position % output[2])
      for tap in 0..<taps {
        let row = y * op.stride - op.padding.top + tap / op.kernelWidth * op.dilation
        let column = x * op.stride - op.padding.left + tap % op.kernelWidth * op.dilation
        let isInside =
          row >= 0 && row < shape[1] * op.upsample && column >= 0
          && column < shape[2] * op.upsample
        let pixel =
          isInside
          ? ((batch * shape[1] + row / op.upsample) * shape[2] + column / op.upsample) * channels
          : 0
        for channel in 0..<channels {
          samples[slot * depth + channel * taps + tap] = isInside ? image[pixel + channel] : 0
        }
      }
    }
  }
}
