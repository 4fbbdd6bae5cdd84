import Glibc
import PipitFormats
import PipitKernels
import PipitTensors

/// Factors that move the spread of inputs' channels into the weights that multiply them (SmoothQuant, Xiao et al.
/// 2022): what makes the input is divided by a factor for each channel, and the columns of the weights that read it
/// are multiplied by the same. In floats nothing changes; integers of a token fit channels of like sizes better.
///
/// Where a layer's error falls by that, its strength is the best of some; elsewhere all stays as it is.
struct Smoothing {
  /// Of weights that read a divided input: what their columns are multiplied by.
  private(set) var columnFactors: [String: [Float]] = [:]
  /// Of what makes it: what rows (of vectors, elements) are multiplied by.
  private(set) var rowFactors: [String: [Float]] = [:]
  private(set) var strengths: [String: Float] = [:]

  /// Without factors.
  init() {}

  private static let strengths: [Float] = [0.15, 0.3, 0.45, 0.6, 0.75]
  /// Noise must fall to this part at least.
  private static let margin = 0.9
  /// Factors of one input lie at most so far from their mean, that no number of a norm gets lost.
  private static let widest: Float = 64

  /// Finds the factors for the products of one component. `isInteger` tells which matrices will be
  /// multiplied as integers of a token.
  init(
    _ sources: [Safetensors], prefix: String, _ calibration: Calibration, clipping: Clipping,
    kernels: KernelTable, isInteger: (Weight) -> Bool
  ) {
    var entries: [String: Weight] = [:]
    for source in sources {
      for entry in source.entries.values {
        entries[prefix + entry.name] = Weight(
          name: entry.name, shape: entry.shape, storage: .dense(entry.elementType),
          bytes: source.bytes(of: entry), owner: source.file)
      }
    }
    for (place, readers) in calibration.foldingPlaces {
      let weights = readers.compactMap { entries[$0] }
      guard weights.count == readers.count, weights.allSatisfy(isInteger),
        let inputs = calibration.input(readers[0]), inputs.taps == 1,
        weights.allSatisfy({ $0.shape.rank == 2 && $0.columns == inputs.channels }),
        let makers = Smoothing.makers(place, entries, channels: inputs.channels, isInteger)
      else { continue }
      let search = Search(
        inputs: inputs, weights: weights, kernels: kernels, clipping: clipping)
      guard let best = calibration.smoothing(place, { search.best() }) else { continue }
      for name in readers { (columnFactors[name], strengths[name]) = (best.factors, best.strength) }
      for name in makers {
        let rows = entries[name]?.rows ?? 0
        let ones = [Float](repeating: 1, count: max(0, rows - best.factors.count))
        rowFactors[name] = best.factors.map { 1 / $0 } + ones
      }
    }
  }

  /// The tensors that make the input, if they can be divided.
  private static func makers(
    _ place: FoldingPlace, _ entries: [String: Weight], channels: Int, _ isInteger: (Weight) -> Bool
  ) -> [String]? {
    func isVector(_ name: String, _ count: Int) -> Bool {
      guard let vector = entries[name], case .dense(let type) = vector.storage else { return false }
      return vector.shape.rank == 1 && vector.shape.count == count && (type == .f32 || type == .f16)
    }
    switch place {
    case .norm(let gain, let bias):
      let names = [gain] + (bias.map { [$0] } ?? [])
      return names.allSatisfy { isVector($0, channels) } ? names : nil
    case .gated(let name, let bias):
      guard let weight = entries[name], weight.shape.rank == 2, weight.rows == 2 * channels,
        isInteger(weight), bias.map({ isVector($0, 2 * channels) }) ?? true
      else { return nil }
      return [name] + (bias.map { [$0] } ?? [])
    }
  }

  /// The best factors for an input.
  struct Best {
    let factors: [Float]
    let strength: Float
  }

  private struct Search {
    let inputs: InputStatistics
    let weights: [Weight]
    let kernels: KernelTable
    let clipping: Clipping

    /// `nil` where no factors help.
    func best() -> Best? {
      let plain = weights.reduce(0) {
        $0 + ActivationSearch(inputs: inputs, weight: $1, kernels: kernels, clipping: clipping).leastNoise()
      }
      let columns = columnMaxima()
      var best: (Best, noise: Double)?
      for strength in Smoothing.strengths {
        let factors = factors(columns, strength)
        let divided = inputs.divided(by: factors)
        let noise = weights.reduce(0) {
          $0
            + ActivationSearch(
              inputs: divided, weight: $1, kernels: kernels, clipping: clipping,
              columnFactors: factors
            ).noise(.dynamicPerToken)
        }
        if noise < best?.noise ?? (plain * Smoothing.margin) {
          best = (Best(factors: factors, strength: strength), noise)
        }
      }
      return best?.0
    }

    /// The largest magnitude of each column.
    private func columnMaxima() -> [Float] {
      let count = inputs.channels
      var maxima = [Float](repeating: 0, count: count)
      var row = [Float](repeating: 0, count: count)
      for weight in weights {
        for index in 0..<weight.rows {
          row.withUnsafeMutableBufferPointer { row in
            guard let start = row.baseAddress else { return }
            kernels.expand(weight, rows: index..<index + 1, into: start)
          }
          for column in 0..<count { maxima[column] = max(maxima[column], abs(row[column])) }
        }
        (weight.owner as? MappedFile)?.dropPages(weight.bytes)
      }
      return maxima
    }

    /// The input's largest magnitudes to the strength, over the columns' to what is left of 1; about 1.
    private func factors(_ columns: [Float], _ strength: Float) -> [Float] {
      var logarithms = zip(inputs.greatest, columns).map { (input: Float, column: Float) -> Float in
        guard input > 0, column > 0, input.isFinite, column.isFinite else { return .nan }
        let ofInput: Float = strength * log2(input)
        let ofColumn: Float = (1 - strength) * log2(column)
        return ofInput - ofColumn
      }
      let known = logarithms.filter { !$0.isNaN }
      let mean = known.reduce(0, +) / Float(max(known.count, 1))
      let limit = log2(Smoothing.widest)
      for index in logarithms.indices {
        let place = logarithms[index] - mean
        logarithms[index] = place.isNaN ? 0 : min(max(place, -limit), limit)
      }
      return logarithms.map { exp2($0) }
    }
  }
}
