import CKernels
import TestSupport
import Testing

private let narrow = StoredWeight.Kind.allCases.filter { $0 != .f32 }

/// Products with weights that are not f32 have the bits of those with the f32 numbers that they stand for.
@Suite struct PackedWeightTests {
  // One tile of rows and several, more panels and depth than a block has, sums that wait.
  @Test(arguments: Level.running, narrow)
  func productsHaveTheBitsOfFloats(level: Level, kind: StoredWeight.Kind) {
    let sizes = [(1, 33, 34), (3, 7, 1320), (5, 330, 700), (15, 37, 40), (43, 41, 648), (300, 33, 1288)]
    for (rows, columns, depth) in sizes {
      for residual in EpilogueCase.Residual.allCases {
        var product = GemmCase(rows: rows, columns: columns, depth: depth)
        product.epilogue = EpilogueCase(hasBias: true, residual: residual)
        product.kind = kind
        let found = product.run(level)
        product.isExpanded = true
        #expect(bits(found) == bits(product.run(level)), "\(rows) x \(columns) x \(depth) \(residual)")
      }
    }
  }

  @Test(arguments: Level.running, narrow)
  func splitsGiveTheSameBits(level: Level, kind: StoredWeight.Kind) {
    for depth in [24, 1288] {
      for residual in EpilogueCase.Residual.allCases {
        var product = GemmCase(rows: 47, columns: 99, depth: depth)
        product.epilogue = EpilogueCase(residual: residual, activation: ACTIVATION_SILU)
        product.kind = kind
        let whole = bits(product.run(level))
        for split in Split.allCases {
          product.split = split
          #expect(bits(product.run(level)) == whole, "\(split), \(residual)")
        }
      }
    }
  }

  @Test(arguments: Level.running, narrow)
  func convolutionsHaveTheBitsOfFloats(level: Level, kind: StoredWeight.Kind) {
    for (channels, upsample) in [(4, 1), (80, 1), (20, 2)] {
      var convolution = ConvolutionCase(9, 7, from: channels, to: 37)
      convolution.upsample = upsample
      convolution.kind = kind
      let found = convolution.run(level)
      let side = convolution.winogradSides.last ?? 4
      let fast = kind == .i4 ? [] : convolution.runWinograd(level, side: side, step: 5)
      convolution.isExpanded = true
      #expect(bits(found) == bits(convolution.run(level)))
      if kind != .i4 {
        #expect(bits(fast) == bits(convolution.runWinograd(level, side: side, step: 5)), "winograd")
      }
    }
  }

  @Test(arguments: Level.running, narrow)
  func panelsHoldTheStoredNumbers(level: Level, kind: StoredWeight.Kind) {
    let tile = level.gemm.tile_columns
    for depth in [2, 8, 38] {
      let weight = StoredWeight(kind, columns: tile + 3, depth: depth)
      let packed = PackedWeight(weight, for: level)
      let numbers = packed.values.values.map { UInt8(bitPattern: $0) }
      for panel in 0..<2 {
        for index in 0..<depth * tile {
          let column = panel * tile + index % tile
          let place = column * depth + index / tile
          let found = PackedWeightTests.number(numbers, panel * depth * tile + index, kind)
          let zero: UInt16 = kind == .i4 ? 8 : 0
          let isInside = column < weight.columns
          #expect(found == (isInside ? PackedWeightTests.number(weight.bytes, place, kind) : zero))
        }
      }
    }
  }

  private static func number(_ bytes: [UInt8], _ index: Int, _ kind: StoredWeight.Kind) -> UInt16 {
    switch kind {
    case .i8: return UInt16(bytes[index])
    case .i4: return UInt16(index % 2 == 0 ? bytes[index / 2] & 15 : bytes[index / 2] >> 4)
    default: return UInt16(bytes[2 * index]) | UInt16(bytes[2 * index + 1]) << 8
    }
  }
}
