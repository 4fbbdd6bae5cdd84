import CKernels
import TestSupport

/// Bytes that end where memory does (see `GuardedBuffer`).
struct GuardedBytes {
  private let buffer: GuardedBuffer
  let count: Int
  var start: UnsafeMutablePointer<Int8> {
    let end = UnsafeMutableRawPointer(buffer.start + buffer.count)
    return (end - count).assumingMemoryBound(to: Int8.self)
  }

  init(count: Int, filledWith value: Int8 = 0) {
    self.count = count
    buffer = GuardedBuffer(count: (count + 3) / 4)
    for index in 0..<count { start[index] = value }
  }

  init(_ values: [Int8]) {
    self.init(count: values.count)
    for (index, value) in values.enumerated() { start[index] = value }
  }

  var values: [Int8] { Array(UnsafeBufferPointer(start: start, count: count)) }
}

/// `count` integers of all sizes within a range, its ends among them.
func randomIntegers(_ count: Int, seed: UInt64, in range: ClosedRange<Int> = -128...127) -> [Int8] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in
    let pick = generator.next() % 8
    if pick == 0 { return Int8(range.lowerBound) }
    if pick == 1 { return Int8(range.upperBound) }
    return Int8(Int.random(in: range, using: &generator))
  }
}

extension Level {
  var integers: gemm_i8_kernels { table.pointee.gemm_i8 }
}

/// An integer weight `[columns, depth]` in the order of a level's tiles, in guarded memory.
func packed(_ weight: [Int8], columns: Int, depth: Int, for level: Level) -> GuardedBytes {
  var kernels = level.integers
  let tile = kernels.tile_columns
  let panels = (columns + tile - 1) / tile
  let panelBytes = gemm_i8_panel_bytes(&kernels, depth)
  let source = GuardedBytes(weight)
  let result = GuardedBytes(count: panels * panelBytes, filledWith: 99)
  for panel in 0..<panels {
    let count = min(tile, columns - panel * tile)
    kernels.pack_panel(
      result.start + panel * panelBytes, source.start + panel * tile * depth, depth, count, depth)
  }
  return result
}

/// Rows of integers with a quantization each, as `quantize_rows_i8` writes them.
struct QuantizedRows {
  static func stride(_ columns: Int) -> Int { (columns + 3) / 4 * 4 + MemoryLayout<row_quantization>.size }

  let bytes: GuardedBytes
  let stride: Int
  let quantizations: [row_quantization]
  private let columns: Int
  private let signs: Int8

  /// `values`: [rows, columns].
  init(_ values: [Int8], rows: Int, columns: Int, for level: Level) {
    self.init(rows: rows, columns: columns, for: level) { bytes, stride, signs in
      let scales = randoms(rows, seed: 7, in: 0.5...2)
      let zeros = randomIntegers(rows, seed: 9)
      for row in 0..<rows {
        for column in 0..<columns {
          bytes.start[row * stride + column] = values[row * columns + column] ^ signs
        }
        let place = UnsafeMutableRawPointer(bytes.start) + (row + 1) * stride
        (place - 8).storeBytes(of: scales[row], as: Float.self)
        (place - 4).storeBytes(of: Int32(zeros[row]), as: Int32.self)
      }
    }
  }

  /// What the level makes of numbers [rows, columns].
  init(quantizing x: [Float], rows: Int, columns: Int, by level: Level) {
    let source = GuardedBuffer(x)
    self.init(rows: rows, columns: columns, for: level) { bytes, _, _ in
      level.table.pointee.quantize_rows_i8(bytes.start, source.start, rows, columns)
    }
  }

  private init(
    rows: Int, columns: Int, for level: Level, fill: (GuardedBytes, _ stride: Int, _ signs: Int8) -> Void
  ) {
    let stride = QuantizedRows.stride(columns)
    let bytes = GuardedBytes(count: rows * stride, filledWith: 55)
    let signs: Int8 = level.integers.rows_inverted ? -128 : 0
    fill(bytes, stride, signs)
    self.bytes = bytes
    self.stride = stride
    self.columns = columns
    self.signs = signs
    quantizations = (1...rows).map { row in
      let place = UnsafeRawPointer(bytes.start) + row * stride
      return row_quantization(
        scale: (place - 8).load(as: Float.self), zero_point: (place - 4).load(as: Int32.self))
    }
  }

  /// Signed, whatever the level's form is.
  func value(_ row: Int, _ column: Int) -> Int8 { bytes.start[row * stride + column] ^ signs }

  /// All of it: numbers and quantizations.
  var bits: [UInt32] {
    quantizations.indices.flatMap { row -> [UInt32] in
      let own = quantizations[row]
      let numbers = (0..<columns).map { UInt32(bitPattern: Int32(value(row, $0))) }
      return numbers + [own.scale.bitPattern, UInt32(bitPattern: own.zero_point)]
    }
  }
}

/// What an integer product's test asks of the epilogue.
struct IntegerEpilogueCase: Sendable {
  var floats = EpilogueCase()
  var zeroPoint: Int32 = 0
  var givesIntegers = false
  /// The residual, where `floats` has none, as integers: at the place of the result if that is of integers too.
  var addsIntegers = false
}

/// The memory of an integer epilogue around a kernel.
struct IntegerOutput {
  let floats: Output
  let integers: GuardedBytes
  let residual: GuardedBytes
  let columnScales: GuardedBuffer
  let epilogue: epilogue_i8

  init(rows: Int, columns: Int, stride: Int, depth: Int, case epilogueCase: IntegerEpilogueCase) {
    floats = Output(rows: rows, columns: columns, stride: stride, case: epilogueCase.floats)
    let count = (rows - 1) * stride + columns
    residual = GuardedBytes(randomIntegers(count, seed: 8))
    integers = epilogueCase.addsIntegers
      ? GuardedBytes(residual.values) : GuardedBytes(count: count, filledWith: 77)
    let unit: Float = 1 / (5000 * Float(depth).squareRoot())
    columnScales = GuardedBuffer(randoms(columns, seed: 6, in: 0.5 * unit...2 * unit))
    var epilogue = epilogue_i8()
    epilogue.column_scale = UnsafePointer(columnScales.start)
    epilogue.zero_point = epilogueCase.zeroPoint
    epilogue.floats = floats.epilogue
    if epilogueCase.givesIntegers { epilogue.integers = integers.start }
    if epilogueCase.addsIntegers {
      let source = epilogueCase.givesIntegers ? integers : residual
      epilogue.residual = UnsafePointer(source.start)
      epilogue.residual_scale = 0.007
      epilogue.residual_zero_point = 31
      epilogue.floats.residual_stride = stride
    }
    epilogue.inverse_scale = 50
    epilogue.output_zero_point = -11
    self.epilogue = epilogue
  }

  /// Floats' bits and integers, with what lies between the rows.
  var bits: [UInt32] { floats.y.values.map(\.bitPattern) + integers.values.map { UInt32(bitPattern: Int32($0)) } }
}
