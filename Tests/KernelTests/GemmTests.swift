import CKernels
import TestSupport
import Testing

/// A product with rows that are further apart than they are long.
struct GemmCase: Sendable {
  var rows: Int, columns: Int, depth: Int
  var epilogue = EpilogueCase()
  var split = Split.whole
  /// How the weight is stored, and whether it is expanded before it is packed.
  var kind = StoredWeight.Kind.f32
  var isExpanded = false
  /// Whether it is computed in half precision.
  var isHalf = false

  var aStride: Int { depth + 3 }
  var yStride: Int { columns + 5 }
  var aRange: ClosedRange<Float> = -1...1
  var a: [Float] { randoms((rows - 1) * aStride + depth, seed: 1, in: aRange) }
  var stored: StoredWeight { StoredWeight(kind, columns: columns, depth: depth) }
  var weight: [Float] { stored.floats }

  /// y with what lies between its rows.
  func run(_ level: Level) -> [Float] {
    let a = GuardedBuffer(self.a)
    let weights = PackedWeight(isExpanded ? stored.expanded : stored, for: level)
    let scratch = weights.makeScratch()
    let output = Output(rows: rows, columns: columns, stride: yStride, case: epilogue)
    var arguments = gemm_f32_args(
      a: a.start, a_stride: aStride, weight: weights.raw, y: output.y.start, y_stride: yStride,
      rows: rows, columns: columns, depth: depth, epilogue: output.epilogue)
    let tile = level.gemm.tile_columns
    guard let kernel = isHalf ? level.gemm.gemm_halves : level.gemm.gemm else { return [] }
    split.run(rows: rows, panels: (columns + tile - 1) / tile) { rows, panels in
      kernel(
        &arguments, scratch.start, rows.lowerBound, rows.upperBound, panels.lowerBound,
        panels.upperBound)
    }
    return output.y.values
  }
}

/// Around every tile and vector.
let awkwardCounts = [1, 2, 3, 5, 7, 8, 13, 14, 15, 16, 17, 31, 32, 33, 63, 77, 100]

@Suite struct GemmTests {
  @Test func scalarIsTheFormula() {
    let sizes = [(1, 1, 1), (3, 5, 7), (9, 17, 33)]
    for (rows, columns, depth) in sizes {
      let product = GemmCase(rows: rows, columns: columns, depth: depth)
      let a = product.a
      let weight = product.weight
      let y = product.run(.scalar)
      for row in 0..<rows {
        for column in 0..<columns {
          var sum: Float = 0
          for d in 0..<depth {
            sum.addProduct(a[row * product.aStride + d], weight[column * depth + d])
          }
          #expect(y[row * product.yStride + column] == sum)
        }
      }
    }
  }

  @Test(arguments: Level.beyondScalar, awkwardCounts)
  func equalsScalarInEverySize(level: Level, rows: Int) {
    for columns in awkwardCounts {
      for depth in [1, 3, 4, 16, 33] {
        let product = GemmCase(rows: rows, columns: columns, depth: depth)
        #expect(areEqual(product.run(level), product.run(.scalar)), "\(rows) x \(columns) x \(depth)")
      }
    }
  }

  // Around the lengths of depth blocks; several tiles of rows.
  @Test(arguments: Level.beyondScalar, [255, 256, 383, 384, 385, 640, 641, 700, 1300])
  func equalsScalarInDepth(level: Level, depth: Int) {
    for residual in EpilogueCase.Residual.allCases {
      var product = GemmCase(rows: 43, columns: 33, depth: depth)
      product.epilogue = EpilogueCase(hasBias: true, residual: residual)
      #expect(areEqual(product.run(level), product.run(.scalar)), "\(residual)")
    }
  }

  // More panels than one block of them holds, more row tiles than use it.
  @Test(arguments: Level.beyondScalar, [(7, 330, 650), (231, 5, 650)])
  func equalsScalarInSeveralGroups(level: Level, size: (Int, Int, Int)) {
    for residual in EpilogueCase.Residual.allCases {
      var product = GemmCase(rows: size.0, columns: size.1, depth: size.2)
      product.epilogue.residual = residual
      #expect(areEqual(product.run(level), product.run(.scalar)), "\(residual)")
    }
  }

  @Test(arguments: Level.beyondScalar, EpilogueCase.every.indices)
  func equalsScalarInEveryEpilogue(level: Level, epilogue: Int) {
    for (rows, columns, depth) in [(9, 37, 20), (15, 32, 64)] {
      var product = GemmCase(rows: rows, columns: columns, depth: depth)
      product.epilogue = EpilogueCase.every[epilogue]
      #expect(areEqual(product.run(level), product.run(.scalar)), "\(product)")
    }
  }

  @Test(arguments: Level.running, [20, 700])
  func splitsGiveTheSameBits(level: Level, depth: Int) {
    for residual in EpilogueCase.Residual.allCases {
      var product = GemmCase(rows: 47, columns: 99, depth: depth)
      product.epilogue = EpilogueCase(
        hasBias: true, residual: residual, activation: ACTIVATION_SILU)
      let whole = bits(product.run(level))
      for split in Split.allCases {
        product.split = split
        #expect(bits(product.run(level)) == whole, "\(split), \(residual)")
      }
    }
  }

  @Test(arguments: Level.running, [20, 700])
  func aResidualInPlaceGivesTheSameBits(level: Level, depth: Int) {
    for activation in EpilogueCase.activations {
      var product = GemmCase(rows: 47, columns: 99, depth: depth)
      product.epilogue = EpilogueCase(residual: .apart, activation: activation)
      let apart = bits(product.run(level))
      product.epilogue.residual = .inPlace
      #expect(bits(product.run(level)) == apart, "\(activation)")
    }
  }

  @Test(arguments: Level.running)
  func fusedActivationsGiveTheBitsOfTheirOwnKernel(level: Level) {
    for activation in EpilogueCase.activations {
      var product = GemmCase(rows: 15, columns: 41, depth: 30)
      product.epilogue.hasBias = true
      var plain = product.run(level)
      product.epilogue.activation = activation
      let fused = product.run(level)
      for row in 0..<product.rows {
        plain.withUnsafeMutableBufferPointer {
          guard let start = $0.baseAddress else { return }
          let y = start + row * product.yStride
          level.table.pointee.activate_f32(y, y, product.columns, activation)
        }
      }
      #expect(bits(plain) == bits(fused), "\(activation)")
    }
  }

  @Test(arguments: Level.running)
  func notANumberStaysOne(level: Level) {
    for activation in [ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_RELU6, ACTIVATION_SILU] {
      for columns in [32, 5] {
        let a = GuardedBuffer([1, .nan, 2])
        let weights = PackedWeight(StoredWeight(.f32, columns: columns, depth: 3), for: level)
        let y = GuardedBuffer(count: columns)
        var epilogue = epilogue_f32()
        epilogue.activation = activation
        var arguments = gemm_f32_args(
          a: a.start, a_stride: 3, weight: weights.raw, y: y.start, y_stride: columns, rows: 1,
          columns: columns, depth: 3, epilogue: epilogue)
        let tile = level.gemm.tile_columns
        level.gemm.gemm(&arguments, nil, 0, 1, 0, (columns + tile - 1) / tile)
        #expect(y.values.filter(\.isNaN).count == columns, "\(activation)")
      }
    }
  }

  @Test(arguments: Level.running)
  func panelsHoldTheWeightAndZeros(level: Level) {
    let tile = level.gemm.tile_columns
    let columns = tile + 1
    let depth = 37
    let stored = StoredWeight(.f32, columns: columns, depth: depth)
    let weight = stored.floats
    let packed = PackedWeight(stored, for: level)
    let panels = UnsafeRawBufferPointer(start: packed.values.start, count: packed.values.count)
    for (index, value) in panels.bindMemory(to: Float.self).enumerated() {
      let column = index / (depth * tile) * tile + index % tile
      let d = index % (depth * tile) / tile
      #expect(value == (column < columns ? weight[column * depth + d] : 0))
    }
  }
}
