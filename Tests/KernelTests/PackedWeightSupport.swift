import CKernels
import TestSupport

/// A weight of random numbers `[columns, depth]` as one of the formats stores it.
struct StoredWeight {
  enum Kind: Sendable, CaseIterable { case f32, f16, bf16, f16WithFactors, i8, i4 }

  let kind: Kind
  let columns: Int
  let depth: Int
  let bytes: [UInt8]
  /// `[columns, depth / factorDepth]`, empty if there are none.
  let factors: [Float]
  let factorDepth: Int

  init(_ kind: Kind, columns: Int, depth: Int) {
    self.kind = kind
    self.columns = columns
    self.depth = depth
    let values = randoms(columns * depth, seed: 2)
    factorDepth = kind == .i4 && depth % 8 == 0 ? 8 : depth
    let hasFactors = kind == .f16WithFactors || kind == .i8 || kind == .i4
    factors = hasFactors ? randoms(columns * (depth / factorDepth), seed: 3) : []
    switch kind {
    case .f32: bytes = values.flatMap { StoredWeight.bytes($0.bitPattern) }
    // Exponents of -14 to 0 and any fraction.
    case .f16, .f16WithFactors:
      bytes = values.flatMap { value -> [UInt8] in
        let bits = value.bitPattern
        let exponent = UInt16(1 + bits >> 3 % 15)
        return StoredWeight.bytes(UInt16(bits >> 16 & 0x8000) | exponent << 10 | UInt16(bits & 0x3FF))
      }
    case .bf16: bytes = values.flatMap { StoredWeight.bytes(UInt16($0.bitPattern >> 16)) }
    case .i8: bytes = values.map { UInt8(bitPattern: Int8($0 * 127)) }
    case .i4:
      precondition(depth % 2 == 0)
      bytes = values[..<(values.count / 2)].map { UInt8(truncatingIfNeeded: $0.bitPattern >> 5) }
    }
  }

  private init(floats: [Float], columns: Int, depth: Int) {
    kind = .f32
    self.columns = columns
    self.depth = depth
    bytes = floats.flatMap { StoredWeight.bytes($0.bitPattern) }
    factors = []
    factorDepth = depth
  }

  /// The same numbers stored as f32.
  var expanded: StoredWeight { StoredWeight(floats: floats, columns: columns, depth: depth) }

  private static func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }

  var format: weight_format {
    switch kind {
    case .f32: WEIGHT_F32
    case .f16, .f16WithFactors: WEIGHT_F16
    case .bf16: WEIGHT_BF16
    case .i8: WEIGHT_I8
    case .i4: WEIGHT_I4
    }
  }

  /// The numbers that it stands for, by the scalar level.
  var floats: [Float] {
    let table = Level.scalar.table
    var y = [Float](repeating: 0, count: columns * depth)
    bytes.withUnsafeBytes { bytes in
      guard let x = bytes.baseAddress else { return }
      switch kind {
      case .f32: y = Array(bytes.bindMemory(to: Float.self))
      case .f16, .f16WithFactors:
        table.pointee.f32_from_f16(&y, x.assumingMemoryBound(to: UInt16.self), y.count)
      case .bf16: table.pointee.f32_from_bf16(&y, x.assumingMemoryBound(to: UInt16.self), y.count)
      case .i8: table.pointee.f32_from_i8(&y, x.assumingMemoryBound(to: Int8.self), y.count, 1)
      case .i4:
        let ones = [Float](repeating: 1, count: y.count / 2)
        table.pointee.f32_from_i4(&y, x.assumingMemoryBound(to: UInt8.self), ones, y.count, 2)
      }
    }
    if factors.isEmpty { return y }
    return y.enumerated().map { $1 * factors[$0 / factorDepth] }
  }
}

/// A weight in the order of a level's tiles, in guarded memory.
final class PackedWeight {
  let values: GuardedBytes
  private let factors: GuardedBuffer?
  let raw: packed_weight
  private let scratchCount: Int

  init(_ weight: StoredWeight, for level: Level) {
    let (columns, depth) = (weight.columns, weight.depth)
    let tile = level.gemm.tile_columns
    let panels = (columns + tile - 1) / tile
    let rowBytes = weight.bytes.count / columns
    let source = GuardedBytes(weight.bytes.map { Int8(bitPattern: $0) })
    values = GuardedBytes(count: panels * tile * rowBytes, filledWith: 99)
    for panel in 0..<panels {
      level.gemm.pack_panel(
        values.start + panel * tile * rowBytes, source.start + panel * tile * rowBytes, depth,
        min(tile, columns - panel * tile), depth, weight.format)
    }
    let groups = depth / weight.factorDepth
    var packed = [Float](repeating: 0, count: panels * groups * tile)
    for (index, factor) in weight.factors.enumerated() {
      let (column, group) = (index / groups, index % groups)
      packed[(column / tile * groups + group) * tile + column % tile] = factor
    }
    factors = weight.factors.isEmpty ? nil : GuardedBuffer(packed)
    raw = packed_weight(
      values: values.start, format: weight.format, factors: factors.map { UnsafePointer($0.start) },
      factor_depth: weight.factorDepth)
    scratchCount = level.gemm.product_scratch_count(weight.format, columns, depth, true)
  }

  /// Scratch memory for gemm and conv2d of exactly the size asked for.
  func makeScratch() -> GuardedBuffer {
    GuardedBuffer([Float](repeating: .nan, count: scratchCount))
  }
}
