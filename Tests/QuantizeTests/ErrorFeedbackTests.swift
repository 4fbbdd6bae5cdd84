import PipitQuantize
import TestSupport
import Testing

@Suite struct ErrorFeedbackTests {
  /// Inputs whose channels have much in common: `[rows, count]`.
  private func inputs(rows: Int, count: Int, seed: UInt64) -> [Float] {
    let own = randoms(rows * count, seed: seed)
    let common = randoms(rows, seed: seed + 1)
    return (0..<rows * count).map { index in
      let gain = Float(index % count % 5 + 1)
      return gain * (0.3 * own[index] + common[index / count])
    }
  }

  private func products(_ inputs: [Float], count: Int) -> InputProducts {
    let products = InputProducts(count: count)
    // In two parts, as from two texts.
    let half = inputs.count / count / 2 * count
    inputs.withUnsafeBufferPointer { inputs in
      for range in [0..<half, half..<inputs.count] {
        for row in stride(from: range.lowerBound, to: range.upperBound, by: count) {
          products.add(rows: UnsafeBufferPointer(rebasing: inputs[row..<row + count]))
        }
      }
    }
    return products
  }

  private func rounded(_ row: [Float], _ feedback: ErrorFeedback, scale: Float, limit: Float) -> [Int8] {
    var result = [Int8](repeating: 0, count: row.count)
    row.withUnsafeBufferPointer { row in
      result.withUnsafeMutableBufferPointer { result in
        guard let start = result.baseAddress else { return }
        feedback.quantize(row, low: -limit, high: limit, into: start) { _ in scale }
      }
    }
    return result
  }

  /// The squared error of a row's outputs.
  private func noise(_ inputs: [Float], _ row: [Float], _ whole: [Float], scale: Float) -> Double {
    let difference = zip(row, whole).map { $0 - $1 * scale }
    var sum = 0.0
    for first in stride(from: 0, to: inputs.count, by: row.count) {
      var error: Float = 0
      for index in row.indices { error += inputs[first + index] * difference[index] }
      sum += Double(error * error)
    }
    return sum
  }

  @Test func outputsLoseLessThanByRoundingToNearest() throws {
    let (count, scale, limit) = (40, Float(0.15), Float(7))
    let inputs = inputs(rows: 400, count: count, seed: 3)
    let feedback = try #require(ErrorFeedback(products(inputs, count: count)))
    var (nearest, better) = (0.0, 0.0)
    for seed in 0..<8 {
      let row = randoms(count, seed: UInt64(seed + 20))
      let whole = row.map { max(-limit, min(limit, ($0 / scale).rounded(.toNearestOrEven))) }
      nearest += noise(inputs, row, whole, scale: scale)
      let own = rounded(row, feedback, scale: scale, limit: limit)
      #expect(own.allSatisfy { abs(Float($0)) <= limit })
      better += noise(inputs, row, own.map(Float.init), scale: scale)
    }
    #expect(better < 0.3 * nearest, "\(better) of \(nearest)")
  }

  /// The definition: after each number the rest is moved by the inverse of what is left of the matrix.
  private func reference(_ row: [Float], _ inputs: [Float], scale: Double, limit: Double) -> [Int8] {
    let count = row.count
    var matrix = [[Double]](repeating: [Double](repeating: 0, count: count), count: count)
    for first in stride(from: 0, to: inputs.count, by: count) {
      let x = inputs[first..<first + count].map(Double.init)
      let energy = x.reduce(0) { $0 + $1 * $1 }
      for i in 0..<count {
        for j in 0..<count { matrix[i][j] += x[i] * x[j] / energy * Double(count) }
      }
    }
    let energy = (0..<count).map { matrix[$0][$0] }
    let mean = energy.reduce(0, +) / Double(count)
    for i in 0..<count { matrix[i][i] += Double(ErrorFeedback.damping) * mean }
    var rest = row.map(Double.init)
    var result = [Int8](repeating: 0, count: count)
    var left = (0..<count).sorted { energy[$0] > energy[$1] }
    while let column = left.first {
      let inverse = inverse(left.map { i in left.map { matrix[i][$0] } })
      let whole = max(-limit, min(limit, (rest[column] / scale).rounded(.toNearestOrEven)))
      result[column] = Int8(whole)
      let error = rest[column] - whole * scale
      for (place, other) in left.enumerated() { rest[other] -= error * inverse[place][0] / inverse[0][0] }
      left.removeFirst()
    }
    return result
  }

  /// By Gauss and Jordan.
  private func inverse(_ matrix: [[Double]]) -> [[Double]] {
    let count = matrix.count
    var rows = matrix.enumerated().map { index, row in
      row + (0..<count).map { $0 == index ? 1 : 0 }
    }
    for pivot in 0..<count {
      let factor = 1 / rows[pivot][pivot]
      rows[pivot] = rows[pivot].map { $0 * factor }
      for other in 0..<count where other != pivot {
        let part = rows[other][pivot]
        rows[other] = zip(rows[other], rows[pivot]).map { $0 - part * $1 }
      }
    }
    return rows.map { Array($0[count...]) }
  }

  @Test func isWhatTheDefinitionSays() throws {
    let count = 9
    let inputs = inputs(rows: 300, count: count, seed: 8)
    let feedback = try #require(ErrorFeedback(products(inputs, count: count)))
    for seed in 0..<20 {
      let row = randoms(count, seed: UInt64(seed + 50))
      let expected = reference(row, inputs, scale: 0.11, limit: 127)
      #expect(rounded(row, feedback, scale: 0.11, limit: 127) == expected, "row \(seed)")
    }
  }

  @Test func tooLittleSeenIsNothing() {
    #expect(ErrorFeedback(products(inputs(rows: 100, count: 6, seed: 1), count: 6)) == nil)
    let zeros = [Float](repeating: 0, count: 6 * 400)
    #expect(ErrorFeedback(products(zeros, count: 6)) == nil)
    let oddities = [Float](repeating: .nan, count: 6 * 400)
    #expect(ErrorFeedback(products(oddities, count: 6)) == nil)
  }

  @Test func weightsNearTheLargestFloatAreWholeNumbers() throws {
    let count = 9
    let feedback = try #require(ErrorFeedback(products(inputs(rows: 300, count: count, seed: 8), count: count)))
    let row = (0..<count).map { $0 % 2 == 0 ? Float(3.3e38) : Float(-3.3e38) }
    let whole = rounded(row, feedback, scale: 1e30, limit: 127)
    #expect(whole.allSatisfy { abs(Int($0)) <= 127 })
    #expect(whole.contains { $0 != 0 })
  }

  @Test func channelsThatAreAlikeCanBeInverted() throws {
    let alike = (0..<400 * 6).map { Float($0 / 6 % 7) - 3 }
    let feedback = try #require(ErrorFeedback(products(alike, count: 6)))
    let row: [Float] = [0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    // What the first loses the others give back: the sum is right.
    let sum = rounded(row, feedback, scale: 1, limit: 127).reduce(0) { $0 + Int($1) }
    #expect(sum == 2)
  }
}
