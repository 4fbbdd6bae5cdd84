import CKernels
import PipitKernels
import TestSupport
import Testing

/// Levels whose half-precision products this processor runs, without scalar's.
private let levels = Level.beyondScalar.filter { kernel_halves_missing($0.index) == nil }
private let reason: Comment = "this processor has no half-precision arithmetic"

/// Products in half precision: every level's have the bits of the specification.
@Suite struct HalvesTests {
  private static func product(_ rows: Int, _ columns: Int, _ depth: Int) -> GemmCase {
    var product = GemmCase(rows: rows, columns: columns, depth: depth)
    product.kind = .f16
    product.isHalf = true
    return product
  }

  private static func halved(_ convolution: ConvolutionCase) -> ConvolutionCase {
    var convolution = convolution
    convolution.kind = .f16
    convolution.isHalf = true
    return convolution
  }

  // Numbers of usual size, those whose sums are subnormal, and those whose sums or that themselves are too large.
  @Test(arguments: [1, 0x1p-18, 20_000, 66_000] as [Float])
  func scalarIsTheFormula(size: Float) {
    var product = HalvesTests.product(4, 19, 150)
    product.aRange = -size...size
    let (a, weight, y) = (product.a, product.weight, product.run(.scalar))
    for row in 0..<product.rows {
      for column in 0..<product.columns {
        var sum: Float = 0
        for begin in stride(from: 0, to: product.depth, by: Int(HALVES_BLOCK)) {
          var block: Float16 = 0
          for d in begin..<min(begin + Int(HALVES_BLOCK), product.depth) {
            let left = Float16(a[row * product.aStride + d])
            // In Double products are exact, and sums so close that their rounding to a half is the exact one's.
            block = Float16(Double(left) * Double(weight[column * product.depth + d]) + Double(block))
          }
          sum += Float(block)
        }
        let found = y[row * product.yStride + column]
        #expect(found == sum || (found.isNaN && sum.isNaN), "row \(row), column \(column)")
      }
    }
  }

  @Test(.enabled(if: !levels.isEmpty, reason), arguments: levels, awkwardCounts)
  func equalsScalarInEverySize(level: Level, rows: Int) {
    for columns in awkwardCounts {
      for depth in [1, 3, 8, 23, 64, 65, 136] {
        let product = HalvesTests.product(rows, columns, depth)
        #expect(areEqual(product.run(level), product.run(.scalar)), "\(rows) x \(columns) x \(depth)")
      }
    }
  }

  // Around the lengths of depth blocks; more rows than wait, more panels than one group has.
  @Test(
    .enabled(if: !levels.isEmpty, reason), arguments: levels,
    [(9, 33, 1279), (43, 17, 1280), (101, 33, 1281), (5, 290, 1300), (9, 20, 2500)])
  func equalsScalarInDepth(level: Level, size: (Int, Int, Int)) {
    for residual in EpilogueCase.Residual.allCases {
      var product = HalvesTests.product(size.0, size.1, size.2)
      product.kind = .f16WithFactors
      product.epilogue = EpilogueCase(hasBias: true, residual: residual)
      #expect(areEqual(product.run(level), product.run(.scalar)), "\(residual)")
    }
  }

  @Test(
    .enabled(if: !levels.isEmpty, reason), arguments: levels, [0x1p-18, 20_000, 66_000] as [Float])
  func equalsScalarWhereHalvesEnd(level: Level, size: Float) {
    var product = HalvesTests.product(9, 40, 150)
    product.aRange = -size...size
    #expect(areEqual(product.run(level), product.run(.scalar)))
  }

  @Test(.enabled(if: !levels.isEmpty, reason), arguments: levels, EpilogueCase.every.indices)
  func equalsScalarInEveryEpilogue(level: Level, epilogue: Int) {
    for kind in [StoredWeight.Kind.f16, .f16WithFactors] {
      for (rows, columns, depth) in [(9, 37, 20), (15, 32, 64)] {
        var product = HalvesTests.product(rows, columns, depth)
        product.kind = kind
        product.epilogue = EpilogueCase.every[epilogue]
        #expect(areEqual(product.run(level), product.run(.scalar)), "\(product)")
      }
    }
  }

  @Test(.enabled(if: !levels.isEmpty, reason), arguments: levels, [20, 1500])
  func splitsGiveTheSameBits(level: Level, depth: Int) {
    for residual in EpilogueCase.Residual.allCases {
      var product = HalvesTests.product(47, 99, depth)
      product.epilogue = EpilogueCase(hasBias: true, residual: residual, activation: ACTIVATION_SILU)
      let whole = bits(product.run(level))
      for split in Split.allCases {
        product.split = split
        #expect(bits(product.run(level)) == whole, "\(split), \(residual)")
      }
    }
  }

  @Test(.enabled(if: !levels.isEmpty, reason), arguments: levels, convolutionShapes.indices)
  func convolutionsEqualScalar(level: Level, shape: Int) {
    let convolution = HalvesTests.halved(convolutionShapes[shape])
    #expect(areEqual(convolution.run(level), convolution.run(.scalar)))
  }

  @Test(.enabled(if: !levels.isEmpty, reason), arguments: levels, 1...20)
  func convolutionsEqualScalarWithEveryChannelCount(level: Level, channels: Int) {
    for upsample in 1...2 {
      var convolution = HalvesTests.halved(ConvolutionCase(5, 7, from: channels, to: 21 - channels))
      convolution.upsample = upsample
      #expect(areEqual(convolution.run(level), convolution.run(.scalar)), "upsample \(upsample)")
    }
  }

  @Test func aLevelWithoutThemIsRefused() throws {
    for table in KernelTable.available {
      if table.missingForHalves == nil {
        #expect(try table.multiplyingHalves().multipliesHalves)
      } else {
        #expect(throws: KernelTableError.self) { _ = try table.multiplyingHalves() }
      }
      #expect(!table.multipliesHalves)
    }
    #expect(KernelTable.scalar.missingForHalves == nil)
    #expect(kernel_halves_missing(kernel_level_count()) != nil)
  }
}
