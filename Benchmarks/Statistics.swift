/// The middle of several times and how far they lie apart.
package struct Timing: Sendable {
  /// Sorted, in microseconds.
  private let sorted: [Double]

  /// At least one time, in microseconds.
  package init(_ microseconds: [Double]) {
    precondition(!microseconds.isEmpty)
    sorted = microseconds.sorted()
  }

  package var median: Double { quantile(0.5) }
  package var fastest: Double { sorted[0] }

  /// Half the distance between the quartiles, as a share of the median.
  package var spread: Double {
    median == 0 ? 0 : (quantile(0.75) - quantile(0.25)) / 2 / median
  }

  private func quantile(_ share: Double) -> Double {
    let position = share * Double(sorted.count - 1)
    let low = Int(position)
    let high = min(low + 1, sorted.count - 1)
    return sorted[low] + (sorted[high] - sorted[low]) * (position - Double(low))
  }
}
