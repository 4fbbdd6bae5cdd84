/// The products of a layer's input channels with each other, summed over what was seen: X^T X, which tells what an
/// error in one column of a weight can be made up for with the others. Rows count alike, whatever their size: a few
/// tokens of a text model are a hundred times as large as all others, and what follows (a norm) makes them alike.
package final class InputProducts {
  package let count: Int
  /// `[count, count]`; of each pair once, where the column is not before the row.
  private(set) var values: [Float]
  private(set) var rowCount = 0

  /// Inputs of more channels go without: their table would not fit, nor its inverse be there soon.
  static let widest = 2048
  /// Fewer rows say too little.
  static let fewestRows = 256
  /// Rows that are taken of what is given in one go.
  private static let rowsAtOnce = 128

  package init(count: Int) {
    self.count = count
    values = [Float](repeating: 0, count: count * count)
  }

  private init(count: Int, values: [Float], rowCount: Int) {
    (self.count, self.values, self.rowCount) = (count, values, rowCount)
  }

  /// Rows `[rows, count]` of an input.
  package func add(rows: UnsafeBufferPointer<Float>) {
    let total = rows.count / count
    let step = max(1, total / InputProducts.rowsAtOnce)
    guard let start = rows.baseAddress else { return }
    values.withUnsafeMutableBufferPointer { values in
      guard let target = values.baseAddress else { return }
      let rows = stride(from: 0, to: total, by: step).map { row in
        let x = start + row * count
        let energy = dot(x, x, count)
        return (x, energy > 0 ? Float(count) / energy : 0)
      }
      for channel in 0..<count {
        for (x, share) in rows {
          addMultiple(
            of: x + channel, times: x[channel] * share, to: target + channel * count + channel, count - channel)
        }
      }
    }
    rowCount += (total + step - 1) / step
  }

  /// What would have been seen had each channel been divided by a number.
  func divided(by factors: [Float]) -> InputProducts {
    var result = values
    for row in 0..<count {
      for column in row..<count { result[row * count + column] /= factors[row] * factors[column] }
    }
    return InputProducts(count: count, values: result, rowCount: rowCount)
  }

  subscript(row: Int, column: Int) -> Float {
    values[min(row, column) * count + max(row, column)]
  }
}

/// Rounds a weight's row number by number; what each loses is made up for by those that are still to come, as well as
/// the inputs' products with each other allow (GPTQ, Frantar et al. 2023, after Hassibi & Stork's Optimal Brain
/// Surgeon). Columns with the largest inputs come first, while there are many left.
package struct ErrorFeedback {
  /// Columns in the order in which they are rounded.
  private let order: [Int]
  /// `[count, count]` in that order, upper triangle: the Cholesky factor of the products' inverse. Row i over its
  /// diagonal says what the later numbers take of an error in number i.
  private let shares: [Float]

  /// Added to the diagonal, as a part of its mean: the fewer rows were seen the more it is needed.
  package static let damping: Float = 0.1

  /// `nil` for too few rows, and for numbers that cannot be inverted.
  package init?(_ products: InputProducts) {
    guard products.rowCount >= InputProducts.fewestRows else { return nil }
    let count = products.count
    let energy = (0..<count).map { products[$0, $0] }
    let mean = energy.reduce(0, +) / Float(count)
    guard mean > 0, mean.isFinite else { return nil }
    let order = (0..<count).sorted { (-energy[$0], $0) < (-energy[$1], $1) }
    // Of the matrix with its order reversed the lower factor's inverse, reversed again, is the upper factor of
    // the inverse.
    var matrix = [Float](repeating: 0, count: count * count)
    for row in 0..<count {
      for column in 0...row {
        let pair = (order[count - 1 - row], order[count - 1 - column])
        matrix[row * count + column] =
          products[pair.0, pair.1] / mean + (row == column ? ErrorFeedback.damping : 0)
      }
    }
    guard ErrorFeedback.factor(&matrix, count) else { return nil }
    let inverse = ErrorFeedback.inverse(matrix, count)
    var shares = [Float](repeating: 0, count: count * count)
    for row in 0..<count {
      let own = count - 1 - row
      let diagonal = inverse[own * count + own]
      for column in row..<count {
        shares[row * count + column] = inverse[own * count + count - 1 - column] / diagonal
      }
    }
    self.order = order
    self.shares = shares
  }

  /// The whole numbers of a row, and in `output` each at its place. `scale` is asked for a column.
  package func quantize(
    _ row: UnsafeBufferPointer<Float>, low: Float, high: Float, into output: UnsafeMutablePointer<Int8>,
    scale: (Int) -> Float
  ) {
    precondition(row.count == order.count)
    var rest = order.map { row[$0] }
    let count = rest.count
    rest.withUnsafeMutableBufferPointer { rest in
      shares.withUnsafeBufferPointer { shares in
        guard let rest = rest.baseAddress, let shares = shares.baseAddress else { return }
        for (index, column) in order.enumerated() {
          let scale = scale(column)
          // Weights near the largest float can make the rest infinite, and their difference no number.
          let value = rest[index].isFinite ? rest[index] / scale : row[column] / scale
          let whole = Rounding.rounded(value, low, high)
          output[column] = Int8(whole)
          let error = rest[index] - whole * scale
          guard error.isFinite else { continue }
          let next = index + 1
          addMultiple(of: shares + index * count + next, times: -error, to: rest + next, count - next)
        }
      }
    }
  }

  /// Turns a symmetric matrix, of which the lower triangle is given, into its lower Cholesky factor.
  private static func factor(_ matrix: inout [Float], _ count: Int) -> Bool {
    matrix.withUnsafeMutableBufferPointer { matrix in
      guard let start = matrix.baseAddress else { return false }
      for row in 0..<count {
        let own = start + row * count
        for column in 0...row {
          let other = start + column * count
          let sum = own[column] - dot(own, other, column)
          if column < row {
            own[column] = sum / other[column]
          } else {
            guard sum > 0, sum.isFinite else { return false }
            own[column] = sum.squareRoot()
          }
        }
      }
      return true
    }
  }

  /// The inverse of a lower triangle.
  private static func inverse(_ matrix: [Float], _ count: Int) -> [Float] {
    var result = [Float](repeating: 0, count: count * count)
    result.withUnsafeMutableBufferPointer { result in
      guard let start = result.baseAddress else { return }
      for row in 0..<count {
        let own = start + row * count
        for column in 0..<row {
          addMultiple(of: start + column * count, times: -matrix[row * count + column], to: own, column + 1)
        }
        own[row] = 1
        let factor = 1 / matrix[row * count + row]
        for column in 0...row { own[column] *= factor }
      }
    }
    return result
  }
}

/// y += x * factor.
@inline(__always)
private func addMultiple(
  of x: UnsafePointer<Float>, times factor: Float, to y: UnsafeMutablePointer<Float>, _ count: Int
) {
  for index in 0..<count { y[index] += x[index] * factor }
}

/// The sum of products, in sixteen sums side by side.
@inline(__always)
private func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
  var sums = SIMD16<Float>()
  let (left, right) = (UnsafeRawPointer(a), UnsafeRawPointer(b))
  var index = 0
  while index + 16 <= count {
    sums +=
      left.loadUnaligned(fromByteOffset: 4 * index, as: SIMD16<Float>.self)
      * right.loadUnaligned(fromByteOffset: 4 * index, as: SIMD16<Float>.self)
    index += 16
  }
  var sum = sums.sum()
  while index < count {
    sum += a[index] * b[index]
    index += 1
  }
  return sum
}
