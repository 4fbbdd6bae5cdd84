import PipitGraph
package import PipitKernels
import PipitTensors

/// Weights packed for one level, shared by all programs that use them: the same encoder for texts of
/// different lengths packs its weights once.
package final class PackedWeights {
  private let kernels: KernelTable
  private let pool: ThreadPool?
  private var matrices: [Key: PackedMatrix] = [:]
  private var integers: [Key: PackedIntegers] = [:]
  private var phaseScales: [Key: [Float]] = [:]

  private struct Key: Hashable {
    let owners: [ObjectIdentifier]
    let names: [String]
    let part: Int
  }

  /// With a pool its threads pack.
  package init(kernels: KernelTable, pool: ThreadPool? = nil) {
    self.kernels = kernels
    self.pool = pool
  }

  private func forEach(_ count: Int, _ body: (Int) -> Void) {
    guard let pool else { return (0..<count).forEach(body) }
    withoutActuallyEscaping(body) { body in
      pool.run(ClosureWork(body), tileCount: count)
    }
  }

  package var level: String { kernels.name }

  /// Bytes of all packed weights.
  package var byteCount: Int {
    matrices.values.reduce(0) { $0 + $1.byteCount } + integers.values.reduce(0) { $0 + $1.byteCount }
  }

  /// The rows of several weights, one below the other.
  func stacked(_ weights: [Weight]) -> PackedMatrix {
    let key = Key(
      owners: weights.map { ObjectIdentifier($0.owner) }, names: weights.map(\.name), part: 0)
    if let matrix = matrices[key] { return matrix }
    let columns = weights.reduce(0) { $0 + $1.rows }
    let depth = weights[0].columns
    let format = PackedFormat(weights)
    let matrix = PackedMatrix(
      columns: columns, depth: depth, format: format,
      factors: weights.flatMap { $0.factors(format) }, kernels: kernels, forEach: forEach
    ) { [kernels] range, rows in
      var first = 0
      for weight in weights {
        let part = range.clamped(to: first..<first + weight.rows)
        if !part.isEmpty {
          kernels.unpack(
            weight, rows: part.lowerBound - first..<part.upperBound - first, format,
            into: rows + format.byteCount((part.lowerBound - range.lowerBound) * depth))
          release(weight, rows: part.lowerBound - first..<part.upperBound - first)
        }
        first += weight.rows
      }
    }
    weights.forEach(release)
    matrices[key] = matrix
    return matrix
  }

  /// Rows `rows` of a convolution's weight, each turned from the checkpoint's [in, height, width] into
  /// [height, width, in] as it is packed.
  func convolution(_ weight: Weight, rows: Range<Int>) -> PackedMatrix {
    let key = Key(
      owners: [ObjectIdentifier(weight.owner)], names: [weight.name], part: rows.lowerBound)
    if let matrix = matrices[key] { return matrix }
    let channels = weight.shape[1]
    let taps = weight.shape[2] * weight.shape[3]
    let depth = channels * taps
    let format = PackedFormat([weight])
    let matrix = PackedMatrix(
      columns: rows.count, depth: depth, format: format,
      factors: Array(weight.factors(format).dropFirst(rows.lowerBound).prefix(rows.count)),
      kernels: kernels, forEach: forEach
    ) { [kernels] range, output in
      withUnsafeTemporaryAllocation(byteCount: format.byteCount(depth), alignment: 64) { row in
        guard let source = row.baseAddress else { return }
        for index in range {
          let first = rows.lowerBound + index
          kernels.unpack(weight, rows: first..<first + 1, format, into: source)
          kernels.turn(
            source, to: output + format.byteCount((index - range.lowerBound) * depth), format,
            rows: channels, columns: taps)
        }
      }
      release(weight, rows: rows.lowerBound + range.lowerBound..<rows.lowerBound + range.upperBound)
    }
    if rows.upperBound == weight.rows { release(weight) }
    matrices[key] = matrix
    return matrix
  }

  /// As `stacked`, of weights that stay integers, or of 4-bit ones that become 8-bit ones.
  func stackedIntegers(_ weights: [Weight]) -> PackedIntegers {
    let key = Key(
      owners: weights.map { ObjectIdentifier($0.owner) }, names: weights.map(\.name), part: 0)
    if let packed = integers[key] { return packed }
    let depth = weights[0].columns
    let scales = weights.map { $0.integerScales ?? [] }
    let packed = PackedIntegers(
      columns: weights.reduce(0) { $0 + $1.rows }, depth: depth, kernels: kernels, forEach: forEach
    ) { [kernels] range, output in
      var first = 0
      for (weight, scales) in zip(weights, scales) {
        let part = range.clamped(to: first..<first + weight.rows)
        if !part.isEmpty {
          kernels.integers(
            weight, scales, rows: part.lowerBound - first..<part.upperBound - first,
            into: output + (part.lowerBound - range.lowerBound) * depth)
          release(weight, rows: part.lowerBound - first..<part.upperBound - first)
        }
        first += weight.rows
      }
    }
    weights.forEach(release)
    integers[key] = packed
    return packed
  }

  /// As `convolution`, of an 8-bit weight that stays integers.
  func convolutionIntegers(_ weight: Weight) -> PackedIntegers {
    let key = Key(owners: [ObjectIdentifier(weight.owner)], names: [weight.name], part: 0)
    if let packed = integers[key] { return packed }
    let channels = weight.shape[1]
    let taps = weight.shape[2] * weight.shape[3]
    let depth = channels * taps
    let packed = PackedIntegers(
      columns: weight.rows, depth: depth, kernels: kernels, forEach: forEach
    ) { range, output in
      guard let start = weight.bytes.baseAddress else { return }
      for row in range {
        let source = (start + row * depth).assumingMemoryBound(to: Int8.self)
        let target = output + (row - range.lowerBound) * depth
        for tap in 0..<taps {
          for channel in 0..<channels {
            target[tap * channels + channel] = source[channel * taps + tap]
          }
        }
      }
      release(weight, rows: range)
    }
    release(weight)
    integers[key] = packed
    return packed
  }

  /// One phase of a 3x3 convolution over an enlarged image: the sums of the taps that read the same pixel,
  /// brought back to 8 bits, and each row's scale.
  func phaseIntegers(
    _ weight: Weight, _ phase: EnlargedPhase
  ) -> (packed: PackedIntegers, scales: [Float]) {
    let key = Key(
      owners: [ObjectIdentifier(weight.owner)], names: [weight.name], part: 1 + phase.index)
    if let packed = integers[key], let scales = phaseScales[key] { return (packed, scales) }
    guard case .int8(let own) = weight.storage, let start = weight.bytes.baseAddress else {
      preconditionFailure("not integers")
    }
    let values = start.assumingMemoryBound(to: Int8.self)
    let channels = weight.shape[1]
    let depth = 9 * channels
    let factors = (0..<weight.rows).map { phase.factor(values + $0 * depth, channels: channels) }
    let packed = PackedIntegers(
      columns: weight.rows, depth: 4 * channels, kernels: kernels, forEach: forEach
    ) { range, output in
      for row in range {
        phase.sumTaps(
          values + row * depth, channels: channels, over: factors[row],
          into: output + (row - range.lowerBound) * 4 * channels)
      }
    }
    let scales = zip(own, factors).map { $0 * $1 }
    integers[key] = packed
    phaseScales[key] = scales
    if phase.index == 3 { release(weight) }
    return (packed, scales)
  }

}

/// The file's pages of a weight are not needed once it is packed.
private func release(_ weight: Weight) {
  (weight.owner as? MappedFile)?.dropPages(weight.bytes)
}

/// As above, of some rows: of a large weight the rest may take much longer. What is packed in small pieces is left
/// to the end, lest there be more calls than work.
private func release(_ weight: Weight, rows: Range<Int>) {
  let stride = weight.bytes.count / weight.rows
  guard rows.count * stride >= 64 << 10, weight.bytes.count % weight.rows == 0 else { return }
  (weight.owner as? MappedFile)?.dropPages(
    UnsafeRawBufferPointer(rebasing: weight.bytes[rows.lowerBound * stride..<rows.upperBound * stride]))
}

/// Pieces of work that a closure does.
private final class ClosureWork: TiledWork {
  private let body: (Int) -> Void

  init(_ body: @escaping (Int) -> Void) { self.body = body }

  func run(tile: Int, worker: Int) { body(tile) }
}
