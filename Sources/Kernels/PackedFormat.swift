import CKernels
package import PipitTensors

/// How a weight's numbers lie in the order of f32 products: as they are stored where kernels expand them
/// block by block while they multiply, else as f32.
package struct PackedFormat: Hashable, Sendable {
  package enum Numbers: Sendable { case f32, f16, bf16, i8, i4 }

  package let numbers: Numbers
  /// The depth that shares a factor, 0 where numbers have none; `Int.max`: all of it.
  package let factorDepth: Int

  package static let f32 = PackedFormat(.f32)

  package init(_ numbers: Numbers, factorDepth: Int = 0) {
    precondition(numbers != .f32 || factorDepth == 0)
    self.numbers = numbers
    self.factorDepth = factorDepth
  }

  /// The format for rows of several weights, one below the other.
  package init(_ weights: [Weight]) {
    let own = weights.map(PackedFormat.init)
    let isFactored = own.contains { $0.factorDepth != 0 }
    let numbers = own[0].numbers
    let fitsAll = own.allSatisfy { $0.numbers == numbers && $0.factorDepth == own[0].factorDepth }
    if fitsAll {
      self = own[0]
    } else if numbers != .i4, numbers != .f32, own.allSatisfy({ $0.numbers == numbers }) {
      self = PackedFormat(numbers, factorDepth: isFactored ? .max : 0)
    } else {
      self = .f32
    }
  }

  private init(_ weight: Weight) {
    let factorDepth = weight.rowFactors == nil ? 0 : Int.max
    switch weight.storage {
    case .dense(.f16): self = PackedFormat(.f16, factorDepth: factorDepth)
    case .dense(.bf16): self = PackedFormat(.bf16, factorDepth: factorDepth)
    case .int8: self = PackedFormat(.i8, factorDepth: .max)
    // Convolutions' numbers change places, and would leave their groups.
    case .int4(_, let group) where weight.shape.rank == 2 && factorDepth == 0:
      self = PackedFormat(.i4, factorDepth: group)
    default: self = .f32
    }
  }

  var raw: weight_format {
    switch numbers {
    case .f32: WEIGHT_F32
    case .f16: WEIGHT_F16
    case .bf16: WEIGHT_BF16
    case .i8: WEIGHT_I8
    case .i4: WEIGHT_I4
    }
  }

  /// Bytes that some numbers take; of 4-bit ones there are an even count.
  package func byteCount(_ count: Int) -> Int {
    switch numbers {
    case .f32: 4 * count
    case .f16, .bf16: 2 * count
    case .i8: count
    case .i4: count / 2
    }
  }

  /// Factors of a row.
  func factorCount(depth: Int) -> Int {
    factorDepth == 0 ? 0 : factorDepth == .max ? 1 : depth / factorDepth
  }
}

extension Weight {
  /// The factors of each row, `[rows, groups]`, that its packed numbers are multiplied by; those of the f32
  /// format have been.
  package func factors(_ format: PackedFormat) -> [Float] {
    guard format.factorDepth != 0 else { return [] }
    let ones = [Float](repeating: 1, count: rows)
    switch storage {
    case .int8(let scales): return zip(scales, rowFactors ?? ones).map { $0 * $1 }
    case .int4(let scales, _): return scales.floats()
    case .dense: return rowFactors ?? ones
    }
  }
}
