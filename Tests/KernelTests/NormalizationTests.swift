import CKernels
import Glibc
import TestSupport
import Testing

/// Data about zero, far from it, and without any deviation.
private let rowKinds: [ClosedRange<Float>] = [-1...1, -100...100, 99...100, 3...3]

private func mean(_ row: ArraySlice<Float>) -> Double {
  row.reduce(0) { $0 + Double($1) } / Double(row.count)
}

private func meanSquare(_ row: ArraySlice<Float>, about center: Double = 0) -> Double {
  row.reduce(0) { $0 + (Double($1) - center) * (Double($1) - center) } / Double(row.count)
}

/// Each row through a formula in double precision.
private func rowwise(
  _ x: [Float], _ columns: Int, _ formula: (ArraySlice<Float>) -> (Int, Double) -> Double
) -> [Float] {
  stride(from: 0, to: x.count, by: columns).flatMap { start in
    let row = x[start..<start + columns]
    let element = formula(row)
    return row.enumerated().map { Float(element($0.offset, Double($0.element))) }
  }
}

@Suite struct NormalizationTests {
  @Test(arguments: Level.running, vectorCounts)
  func layerNorm(level: Level, columns: Int) {
    let gain = GuardedBuffer(randoms(columns, seed: 2))
    let bias = GuardedBuffer(randoms(columns, seed: 3))
    for (seed, range) in rowKinds.enumerated() {
      let x = randoms(3 * columns, seed: UInt64(seed), in: range)
      for (hasGain, hasBias) in [(true, true), (true, false), (false, true), (false, false)] {
        let expected = rowwise(x, columns) { row in
          let center = mean(row)
          let factor = 1 / (meanSquare(row, about: center) + Double(Float(1e-5))).squareRoot()
          return { column, x in
            (x - center) * factor * (hasGain ? Double(gain.values[column]) : 1)
              + (hasBias ? Double(bias.values[column]) : 0)
          }
        }
        let y = output(of: x, inPlace: hasGain == hasBias) {
          level.table.pointee.layernorm_f32(
            $0, $1, hasGain ? gain.start : nil, hasBias ? bias.start : nil, 3, columns, 1e-5)
        }
        #expect(maxError(y, expected) <= 2e-5)
      }
    }
  }

  @Test(arguments: Level.running, vectorCounts)
  func rootMeanSquareAndLength(level: Level, columns: Int) {
    let gain = GuardedBuffer(randoms(columns, seed: 2))
    for (seed, range) in rowKinds.enumerated() {
      let x = randoms(3 * columns, seed: UInt64(seed), in: range)
      let scaled = rowwise(x, columns) { row in
        let factor = 1 / (meanSquare(row) + Double(Float(1e-6))).squareRoot()
        return { column, x in x * factor * Double(gain.values[column]) }
      }
      let unit = rowwise(x, columns) { row in
        let length = (meanSquare(row) * Double(columns)).squareRoot()
        return { _, x in x / max(length, 0.25) }
      }
      for inPlace in [false, true] {
        let y = output(of: x, inPlace: inPlace) {
          level.table.pointee.rmsnorm_f32($0, $1, gain.start, 3, columns, 1e-6)
        }
        #expect(maxError(y, scaled) <= 5e-6)
        let z = output(of: x, inPlace: inPlace) {
          level.table.pointee.l2_normalize_f32($0, $1, 3, columns, 0.25)
        }
        #expect(maxError(z, unit) <= 1e-6)
      }
    }
  }

  @Test(arguments: Level.running)
  func lengthsBelowEpsilonAreNotEnlarged(level: Level) {
    let y = output(of: [0, 0, 0, 0, 3e-4]) {
      level.table.pointee.l2_normalize_f32($0, $1, 1, 5, 0.5)
    }
    #expect(maxError(y, [0, 0, 0, 0, 6e-4]) <= 1e-9)
  }

  @Test(arguments: Level.running, vectorCounts)
  func softmax(level: Level, columns: Int) {
    for range: ClosedRange<Float> in [-1...1, -80...80, 500...900, -3e38...3e38] {
      var x = randoms(3 * columns, seed: 1, in: range)
      if columns > 1 { x[columns - 1] = -.infinity }
      let expected = rowwise(x, columns) { row in
        let highest = Double(row.max() ?? 0)
        let sum = row.reduce(0) { $0 + exp(Double($1) - highest) }
        return { _, x in exp(x - highest) / sum }
      }
      for inPlace in [false, true] {
        let y = output(of: x, inPlace: inPlace) {
          level.table.pointee.softmax_f32($0, $1, 3, columns)
        }
        #expect(maxError(y, expected) <= 2e-6)
      }
    }
  }

  @Test(arguments: Level.beyondScalar, vectorCounts)
  func rowsEqualScalars(level: Level, columns: Int) {
    let mask = GuardedBuffer([0.5, 0, 1.25])
    let gain = GuardedBuffer(randoms(columns, seed: 2))
    let bias = GuardedBuffer(randoms(columns, seed: 3))
    for (seed, range) in rowKinds.enumerated() {
      let x = randoms(3 * columns, seed: UInt64(seed), in: range)
      func results(_ table: kernel_table) -> [[Float]] {
        [
          output(of: x) { table.layernorm_f32($0, $1, gain.start, bias.start, 3, columns, 1e-5) },
          output(of: x) { table.layernorm_f32($0, $1, nil, bias.start, 3, columns, 1e-5) },
          output(of: x) { table.rmsnorm_f32($0, $1, gain.start, 3, columns, 1e-6) },
          output(of: x) { table.l2_normalize_f32($0, $1, 3, columns, 0.25) },
          output(of: x) { table.softmax_f32($0, $1, 3, columns) },
          output(of: x, count: columns) { table.mean_rows_f32($0, $1, mask.start, 3, columns) },
          output(of: x, count: columns) { table.mean_rows_f32($0, $1, nil, 3, columns) },
        ]
      }
      let pairs = zip(results(level.table.pointee), results(Level.scalar.table.pointee))
      for (index, pair) in pairs.enumerated() {
        #expect(areEqual(pair.0, pair.1), "kernel \(index)")
      }
    }
  }

  @Test(arguments: Level.running, vectorCounts)
  func aNaNSpoilsItsRowOnly(level: Level, columns: Int) {
    for place in Set([0, columns / 2, columns - 1]) {
      var x = randoms(3 * columns, seed: 1)
      x[columns + place] = .nan
      let table = level.table.pointee
      let results = [
        output(of: x) { table.softmax_f32($0, $1, 3, columns) },
        output(of: x) { table.layernorm_f32($0, $1, nil, nil, 3, columns, 1e-5) },
        output(of: x) { table.rmsnorm_f32($0, $1, nil, 3, columns, 1e-5) },
      ]
      for y in results {
        #expect(y.indices.allSatisfy { y[$0].isNaN == ($0 / columns == 1) })
      }
    }
  }

  @Test(arguments: Level.running, vectorCounts)
  func meanOfRows(level: Level, columns: Int) {
    for rows in [1, 2, 7, 40] {
      let x = randoms(rows * columns, seed: 1)
      let mask = GuardedBuffer((0..<rows).map { $0 % 3 == 1 ? 0 : Float($0 + 1) / 8 })
      let none = GuardedBuffer(count: rows)
      for weight in [nil, mask, none] {
        let weights = weight?.values ?? [Float](repeating: 1, count: rows)
        let total = max(weights.reduce(0) { $0 + Double($1) }, 1e-9)
        let expected = (0..<columns).map { column in
          Float(
            (0..<rows).reduce(0) { $0 + Double(weights[$1]) * Double(x[$1 * columns + column]) }
              / total)
        }
        let y = output(of: x, count: columns) {
          level.table.pointee.mean_rows_f32($0, $1, weight?.start, rows, columns)
        }
        #expect(maxError(y, expected) <= 1e-6)
      }
    }
  }

  @Test(arguments: Level.running, [1, 2, 255, 256, 257, 1000])
  func groupSums(level: Level, pixels: Int) {
    for channels in [1, 3, 8, 15, 16, 17, 33] {
      // Far from zero: without the pivot the squares would have no digits left.
      let x = GuardedBuffer(randoms(pixels * channels, seed: 1, in: 1000...1001))
      let pivot = GuardedBuffer(Array(x.values.prefix(channels)))
      var sums = [Double](repeating: .nan, count: channels)
      var squares = sums
      level.table.pointee.groupnorm_stats_f32(
        &sums, &squares, x.start, pivot.start, pixels, channels)
      let values = x.values
      for channel in 0..<channels {
        let differences = (0..<pixels).map {
          Double(values[$0 * channels + channel]) - Double(values[channel])
        }
        let sum = differences.reduce(0, +)
        let square = differences.reduce(0) { $0 + $1 * $1 }
        #expect(abs(sums[channel] - sum) <= 1e-6 * Double(pixels))
        #expect(abs(squares[channel] - square) <= 1e-6 * Double(pixels))
      }
      let found = sums + squares
      Level.scalar.table.pointee.groupnorm_stats_f32(
        &sums, &squares, x.start, pivot.start, pixels, channels)
      #expect(found == sums + squares)
    }
  }
}
