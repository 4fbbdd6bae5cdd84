import CKernels
import TestSupport
import Testing

/// An integer product with rows that are further apart than they are long.
private struct IntegerCase: Sendable {
  var rows: Int, columns: Int, depth: Int
  var epilogue = IntegerEpilogueCase()
  var split = Split.whole
  var hasRowQuantizations = false

  var aStride: Int { depth + 3 }
  var yStride: Int { columns + 5 }
  var a: [Int8] { randomIntegers((rows - 1) * aStride + depth, seed: 1) }
  var weight: [Int8] { randomIntegers(columns * depth, seed: 2, in: -127...127) }

  func run(_ level: Level) -> IntegerOutput {
    let values = self.a
    let a = GuardedBytes(values)
    let rowValues = (0..<rows).flatMap { values[$0 * aStride..<$0 * aStride + depth] }
    let quantized = QuantizedRows(rowValues, rows: rows, columns: depth, for: level)
    let weights = packed(weight, columns: columns, depth: depth, for: level)
    let output = IntegerOutput(
      rows: rows, columns: columns, stride: yStride, depth: depth, case: epilogue)
    var arguments = gemm_i8_args(
      a: a.start, a_stride: aStride, packed: weights.start, y: output.floats.y.start,
      y_stride: yStride, rows: rows, columns: columns, depth: depth, epilogue: output.epilogue)
    if hasRowQuantizations {
      let place = UnsafeRawPointer(quantized.bytes.start) + (quantized.stride - 8)
      arguments.a = UnsafePointer(quantized.bytes.start)
      arguments.a_stride = quantized.stride
      arguments.epilogue.row = place.assumingMemoryBound(to: row_quantization.self)
      arguments.epilogue.row_stride = quantized.stride
    }
    let tile = level.integers.tile_columns
    split.run(rows: rows, panels: (columns + tile - 1) / tile) { rows, panels in
      level.integers.gemm(
        &arguments, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound)
    }
    return output
  }
}

extension ConvolutionCase {
  fileprivate func runIntegers(
    _ level: Level, _ integerCase: IntegerEpilogueCase, rowGap: Int = 0
  ) -> IntegerOutput {
    let depth = taps * inputChannels
    let x = GuardedBytes(randomIntegers(self.x.count, seed: 1))
    let weight = randomIntegers(outputChannels * depth, seed: 2, in: -127...127)
    let weights = packed(weight, columns: outputChannels, depth: depth, for: level)
    // More rows than the pixels need, for the gaps.
    let gaps = (batch * outputHeight * rowGap + yPixelStride - 1) / yPixelStride
    let output = IntegerOutput(
      rows: pixelCount + gaps, columns: outputChannels, stride: yPixelStride, depth: depth,
      case: integerCase)
    let g = geometry
    var arguments = conv2d_i8_args(
      x: x.start, packed: weights.start, y: output.floats.y.start,
      x_pixel_stride: g.x_pixel_stride, y_pixel_stride: g.y_pixel_stride, y_row_gap: rowGap, batch: g.batch,
      input_height: g.input_height, input_width: g.input_width,
      input_channels: g.input_channels, output_height: g.output_height,
      output_width: g.output_width, output_channels: g.output_channels,
      kernel_height: g.kernel_height, kernel_width: g.kernel_width,
      stride_height: g.stride_height, stride_width: g.stride_width, pad_top: g.pad_top,
      pad_left: g.pad_left, dilation_height: g.dilation_height,
      dilation_width: g.dilation_width, upsample: g.upsample, epilogue: output.epilogue)
    let tile = level.integers.tile_columns
    split.run(rows: pixelCount, panels: (outputChannels + tile - 1) / tile) { pixels, panels in
      level.integers.conv2d(
        &arguments, pixels.lowerBound, pixels.upperBound, panels.lowerBound, panels.upperBound)
    }
    return output
  }
}

extension ConvolutionCase {
  /// As `runIntegers`, by minimal filtering where the level has it. `values`, `weights`: their ranges.
  fileprivate func runIntegerWinograd(
    _ level: Level, _ integerCase: IntegerEpilogueCase, values: ClosedRange<Int>, weights: ClosedRange<Int>
  ) -> IntegerOutput {
    let depth = taps * inputChannels
    let x = GuardedBytes(randomIntegers(self.x.count, seed: 1, in: values))
    let weight = randomIntegers(outputChannels * depth, seed: 2, in: weights)
    let packedWeights = packed(weight, columns: outputChannels, depth: depth, for: level)
    let output = IntegerOutput(
      rows: pixelCount, columns: outputChannels, stride: yPixelStride, depth: depth, case: integerCase)
    let g = geometry
    var arguments = conv2d_i8_args()
    arguments.x = UnsafePointer(x.start)
    arguments.packed = UnsafePointer(packedWeights.start)
    arguments.y = output.floats.y.start
    (arguments.x_pixel_stride, arguments.y_pixel_stride) = (g.x_pixel_stride, g.y_pixel_stride)
    (arguments.batch, arguments.upsample) = (g.batch, 1)
    (arguments.input_height, arguments.input_width) = (g.input_height, g.input_width)
    (arguments.output_height, arguments.output_width) = (g.output_height, g.output_width)
    (arguments.input_channels, arguments.output_channels) = (g.input_channels, g.output_channels)
    (arguments.kernel_height, arguments.kernel_width) = (3, 3)
    (arguments.stride_height, arguments.stride_width) = (1, 1)
    (arguments.dilation_height, arguments.dilation_width) = (1, 1)
    (arguments.pad_top, arguments.pad_left) = (g.pad_top, g.pad_left)
    arguments.epilogue = output.epilogue
    let kernels = level.integers
    let panels = (outputChannels + kernels.tile_columns - 1) / kernels.tile_columns
    guard let winograd = kernels.winograd, let scratchBytes = kernels.winograd_scratch_bytes else {
      kernels.conv2d(&arguments, 0, pixelCount, 0, panels)
      return output
    }
    split.run(rows: winograd_i8_tile_count(&arguments), panels: panels) { tiles, panels in
      let scratch = GuardedBuffer(count: (scratchBytes(&arguments, panels.count) + 63) / 64 * 16)
      let start = UnsafeMutableRawPointer(scratch.start).assumingMemoryBound(to: Int8.self)
      winograd(
        &arguments, start, tiles.lowerBound, tiles.upperBound, panels.lowerBound, panels.upperBound)
    }
    return output
  }
}

/// Around the sizes of tiles (4), of their runs (8 tiles) and blocks (64), and of panels.
private let winogradShapes: [ConvolutionCase] = [
  ConvolutionCase(1, 1, from: 64, to: 1),
  ConvolutionCase(4, 4, from: 64, to: 33),
  ConvolutionCase(5, 3, from: 64, to: 64),
  ConvolutionCase(7, 37, from: 64, to: 15),
  ConvolutionCase(33, 31, from: 64, to: 32),
  ConvolutionCase(9, 14, from: 320, to: 50),
  .with(6, 11, from: 128, to: 17) { ($0.batch, $0.otherChannels) = (3, 4) },
  .with(9, 10, from: 64, to: 40) { ($0.padTop, $0.padLeft) = (0, 0) },
  .with(8, 9, from: 64, to: 40) { ($0.padTop, $0.padBottom, $0.padLeft, $0.padRight) = (2, 0, 2, 2) },
]

private let integerShapes: [ConvolutionCase] = [
  ConvolutionCase(1, 1, from: 1, to: 1),
  ConvolutionCase(7, 9, from: 3, to: 8),
  ConvolutionCase(9, 7, from: 4, to: 33),
  ConvolutionCase(8, 8, from: 64, to: 40),
  ConvolutionCase(6, 6, from: 300, to: 40),
  .with(6, 11, from: 3, to: 17) { $0.batch = 2 },
  .with(5, 6, from: 7, to: 64) { $0.upsample = 2 },
  .with(5, 6, from: 16, to: 3) { ($0.upsample, $0.otherChannels) = (2, 2) },
  .with(9, 11, from: 20, to: 12) { ($0.strideHeight, $0.strideWidth) = (2, 2) },
  .with(10, 12, from: 3, to: 9) { ($0.dilationHeight, $0.dilationWidth) = (2, 1) },
  .with(9, 10, from: 6, to: 5) { ($0.kernelHeight, $0.kernelWidth) = (1, 5) },
  // Tiles over one piece of the image: whole rows of tiles, and what is left of them.
  .with(5, 43, from: 12, to: 35) { $0.batch = 2 },
  .with(4, 29, from: 8, to: 64) { $0.otherChannels = 4 },
  .with(7, 61, from: 4, to: 20) { ($0.strideHeight, $0.strideWidth) = (2, 2) },
  .with(6, 33, from: 16, to: 70) { ($0.kernelHeight, $0.kernelWidth) = (2, 2) },
  // To few channels: blocks of columns, images that follow each other, channels of others between.
  .with(9, 61, from: 16, to: 3) { $0.batch = 2 },
  .with(7, 20, from: 64, to: 1) { $0.otherChannels = 4 },
  .with(5, 120, from: 4, to: 2) { ($0.padTop, $0.padBottom, $0.padLeft, $0.padRight) = (0, 5, 3, 0) },
  .with(12, 50, from: 4, to: 33) {
    ($0.kernelHeight, $0.kernelWidth, $0.strideHeight, $0.strideWidth) = (7, 7, 3, 3)
  },
]

@Suite struct IntegerProductTests {
  @Test func scalarIsTheFormula() {
    for (zeroPoint, byRow): (Int32, Bool) in [(0, false), (-128, false), (127, false), (9, false), (0, true)] {
      var product = IntegerCase(rows: 5, columns: 17, depth: 33)
      product.epilogue.zeroPoint = zeroPoint
      product.hasRowQuantizations = byRow
      let output = product.run(.scalar)
      let a = product.a
      let weight = product.weight
      let scales = randoms(product.rows, seed: 7, in: 0.5...2)
      let zeros = randomIntegers(product.rows, seed: 9)
      for row in 0..<product.rows {
        for column in 0..<product.columns {
          var sum = 0
          for d in 0..<product.depth {
            let zero: Int = byRow ? Int(zeros[row]) : Int(zeroPoint)
            let left: Int = Int(a[row * product.aStride + d]) - zero
            sum += left * Int(weight[column * product.depth + d])
          }
          let scale = output.columnScales.values[column] * (byRow ? scales[row] : 1)
          let found = output.floats.y.values[row * product.yStride + column]
          #expect(found == Float(sum) * scale)
        }
      }
    }
  }

  @Test(arguments: Level.beyondScalar, winogradShapes)
  func fastConvolutionIsExact(level: Level, shape: ConvolutionCase) {
    for (number, split) in [Split.whole, .both].enumerated() {
      var convolution = shape
      convolution.split = split
      convolution.epilogue = EpilogueCase(
        hasBias: number == 1, activation: number == 0 ? ACTIVATION_RELU : ACTIVATION_SILU)
      for givesIntegers in [false, true] {
        let epilogue = IntegerEpilogueCase(
          floats: convolution.epilogue, zeroPoint: number == 0 ? 77 : -128, givesIntegers: givesIntegers,
          addsIntegers: number == 0 && givesIntegers)
        let range = (values: -128...127, weights: -100...110)
        let fast = convolution.runIntegerWinograd(level, epilogue, values: range.values, weights: range.weights)
        let plain = convolution.runIntegerWinograd(.scalar, epilogue, values: range.values, weights: range.weights)
        #expect(fast.bits == plain.bits, "\(number) \(givesIntegers)")
      }
    }
  }

  /// The greatest numbers that 64 channels may have: their sums wrap around at the points of evaluation.
  @Test(arguments: Level.beyondScalar)
  func fastConvolutionOfTheGreatestIsExact(level: Level) {
    let convolution = ConvolutionCase(12, 9, from: 64, to: 35)
    for (value, weight, zeroPoint): (Int, Int, Int32) in [
      (127, 127, -128), (-128, 127, 127), (127, -127, -128), (-128, -127, 127),
    ] {
      let epilogue = IntegerEpilogueCase(zeroPoint: zeroPoint)
      let values = value...value, weights = weight...weight
      let fast = convolution.runIntegerWinograd(level, epilogue, values: values, weights: weights)
      let plain = convolution.runIntegerWinograd(.scalar, epilogue, values: values, weights: weights)
      #expect(fast.bits == plain.bits, "\(value) \(weight)")
    }
  }

  @Test(arguments: Level.beyondScalar, awkwardCounts)
  func sameBitsInEverySize(level: Level, rows: Int) {
    for columns in awkwardCounts {
      for depth in [1, 3, 4, 16, 33] {
        var product = IntegerCase(rows: rows, columns: columns, depth: depth)
        product.epilogue.zeroPoint = -5
        product.hasRowQuantizations = rows % 2 == 1
        #expect(product.run(level).bits == product.run(.scalar).bits, "\(rows) \(columns) \(depth)")
      }
    }
  }

  // Around the lengths of depth blocks; several groups of rows and of panels.
  @Test(arguments: Level.beyondScalar, [1535, 1536, 2559, 2560, 2561, 4608, 6000])
  func sameBitsInDepth(level: Level, depth: Int) {
    for (rows, columns) in [(61, 33), (5, 370)] {
      var product = IntegerCase(rows: rows, columns: columns, depth: depth)
      for byRow in [false, true] {
        product.epilogue.zeroPoint = 3
        product.hasRowQuantizations = byRow
        #expect(product.run(level).bits == product.run(.scalar).bits, "\(rows) x \(columns) \(byRow)")
      }
    }
  }

  @Test(arguments: Level.beyondScalar, [false, true])
  func sameBitsInEveryEpilogue(level: Level, givesIntegers: Bool) {
    for activation in [ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_RELU6] {
      for residual in EpilogueCase.Residual.allCases {
        for isFirst in [false, true] {
          var product = IntegerCase(rows: 15, columns: 37, depth: 40)
          product.hasRowQuantizations = isFirst
          product.epilogue = IntegerEpilogueCase(zeroPoint: 17, givesIntegers: givesIntegers)
          product.epilogue.floats = EpilogueCase(
            hasBias: true, residual: residual, residualFirst: isFirst, activation: activation)
          #expect(product.run(level).bits == product.run(.scalar).bits, "\(product)")
        }
      }
    }
  }

  @Test(arguments: Level.beyondScalar, [false, true])
  func residualsMayBeIntegers(level: Level, givesIntegers: Bool) {
    for activation in [ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_RELU6] {
      for isFirst in [false, true] {
        for columns in [37, 64] {
          var product = IntegerCase(rows: 15, columns: columns, depth: 40)
          product.epilogue = IntegerEpilogueCase(givesIntegers: givesIntegers, addsIntegers: true)
          product.epilogue.floats = EpilogueCase(
            hasBias: true, residualFirst: isFirst, activation: activation)
          #expect(product.run(level).bits == product.run(.scalar).bits, "\(product)")
        }
      }
    }
  }

  @Test(arguments: Level.beyondScalar)
  func activationsBehindIntegerResidualsEqualScalars(level: Level) {
    for isFirst in [false, true] {
      var product = IntegerCase(rows: 15, columns: 37, depth: 40)
      product.epilogue.addsIntegers = true
      product.epilogue.floats = EpilogueCase(residualFirst: isFirst, activation: ACTIVATION_SILU)
      #expect(areEqual(product.run(level).floats.y.values, product.run(.scalar).floats.y.values))
    }
  }

  @Test func scalarAddsTheResidualAsItStands() {
    var product = IntegerCase(rows: 3, columns: 9, depth: 5)
    let plain = product.run(.scalar).floats.y.values
    product.epilogue.addsIntegers = true
    let output = product.run(.scalar)
    for row in 0..<3 {
      for column in 0..<9 {
        let place = row * product.yStride + column
        let residual = Float(Int(output.residual.start[place]) - 31) * 0.007
        #expect(output.floats.y.values[place] == plain[place] + residual)
      }
    }
  }

  @Test(arguments: Level.beyondScalar, EpilogueCase.activations.indices)
  func activationsEqualScalars(level: Level, index: Int) {
    var product = IntegerCase(rows: 15, columns: 37, depth: 40)
    product.epilogue.floats.activation = EpilogueCase.activations[index]
    #expect(areEqual(product.run(level).floats.y.values, product.run(.scalar).floats.y.values))
  }

  @Test(arguments: Level.running, [40, 3000])
  func splitsGiveTheSameBits(level: Level, depth: Int) {
    for givesIntegers in [false, true] {
      var product = IntegerCase(rows: 47, columns: 99, depth: depth)
      product.epilogue.givesIntegers = givesIntegers
      let whole = product.run(level).bits
      for split in Split.allCases {
        product.split = split
        #expect(product.run(level).bits == whole, "\(split)")
      }
    }
  }

  @Test(arguments: Level.beyondScalar, integerShapes.indices)
  func convolutionsGiveTheSameBits(level: Level, index: Int) {
    for zeroPoint: Int32 in [0, -100] {
      for split in [Split.whole, Split.both] {
        var convolution = integerShapes[index]
        convolution.split = split
        let epilogue = IntegerEpilogueCase(zeroPoint: zeroPoint, givesIntegers: zeroPoint == 0)
        let found = convolution.runIntegers(level, epilogue).bits
        #expect(found == convolution.runIntegers(.scalar, epilogue).bits, "\(zeroPoint) \(split)")
      }
    }
  }

  @Test(arguments: Level.running, [false, true])
  func rowsOfPixelsCanLieApart(level: Level, givesIntegers: Bool) {
    let convolution = ConvolutionCase(9, 7, from: 4, to: 33)
    let epilogue = IntegerEpilogueCase(givesIntegers: givesIntegers)
    let dense = convolution.runIntegers(level, epilogue)
    let apart = convolution.runIntegers(level, epilogue, rowGap: 50)
    for pixel in 0..<convolution.pixelCount {
      for column in 0..<convolution.outputChannels {
        let place = pixel * convolution.yPixelStride + column
        let moved = place + pixel / convolution.outputWidth * 50
        #expect(apart.floats.y.start[moved] == dense.floats.y.start[place] || givesIntegers)
        #expect(apart.integers.start[moved] == dense.integers.start[place])
      }
    }
    if !givesIntegers {
      let gap = convolution.outputWidth * convolution.yPixelStride
      #expect(apart.floats.y.start[gap] == randoms(gap + 1, seed: 4)[gap])
    }
  }

  @Test(arguments: integerShapes.indices)
  func scalarConvolutionIsTheFormula(index: Int) {
    let convolution = integerShapes[index]
    let output = convolution.runIntegers(.scalar, IntegerEpilogueCase(zeroPoint: 21))
    let depth = convolution.taps * convolution.inputChannels
    let x = randomIntegers(convolution.x.count, seed: 1)
    let weight = randomIntegers(convolution.outputChannels * depth, seed: 2, in: -127...127)
    for pixel in 0..<convolution.pixelCount {
      for column in 0..<convolution.outputChannels {
        var sum = 0
        for tap in 0..<convolution.taps {
          let (row, place) = tap.quotientAndRemainder(dividingBy: convolution.kernelWidth)
          let start = convolution.inputIndex(pixel: pixel, kernelRow: row, kernelColumn: place)
          guard let start else { continue }
          for channel in 0..<convolution.inputChannels {
            let w = Int(weight[column * depth + tap * convolution.inputChannels + channel])
            sum += (Int(x[start + channel]) - 21) * w
          }
        }
        let found = output.floats.y.values[pixel * convolution.yPixelStride + column]
        #expect(found == Float(sum) * output.columnScales.values[column])
      }
    }
  }
}

@Suite struct QuantizationTests {
  /// Ties, ends of the range, what lies beyond it, and what is no number.
  private static let peculiar: [Float] = [
    0, -0.0, 0.5, 1.5, -0.5, -2.5, 126.4, 126.5, 127.6, -128.4, -129, 1e9, -1e9, .infinity,
    -.infinity, .nan, .leastNonzeroMagnitude,
  ]

  @Test(arguments: Level.running, [1, 7, 8, 15, 16, 17, 33, 100])
  func numbersBecomeTheNearestInteger(level: Level, count: Int) {
    let x = GuardedBuffer(
      (0..<count).map {
        let values = QuantizationTests.peculiar + randoms(90, seed: 3, in: -200...200)
        return values[$0 % values.count]
      })
    for (scale, zero) in [(Float(1), Int32(0)), (0.5, 7), (1, -128), (3, 127)] {
      let y = GuardedBytes(count: count)
      level.table.pointee.quantize_i8(y.start, x.start, count, scale, zero)
      for (value, found) in zip(x.values, y.values) {
        let whole = (value * scale).rounded(.toNearestOrEven) + Float(zero)
        let expected = whole.isNaN ? -128 : min(max(whole, -128), 127)
        #expect(Float(found) == expected, "\(value)")
      }
    }
  }

  @Test(arguments: Level.running, [1, 3, 4, 16, 17, 384, 385])
  func rowsGetScalesOfTheirOwn(level: Level, columns: Int) {
    let rows = 3
    var values = randoms(rows * columns, seed: 4, in: -3...3)
    for column in 0..<columns { values[columns + column] = 0 }
    for column in 0..<columns { values[2 * columns + column] = 1 + abs(values[2 * columns + column]) }
    let y = QuantizedRows(quantizing: values, rows: rows, columns: columns, by: level)
    let expected = QuantizedRows(quantizing: values, rows: rows, columns: columns, by: .scalar)
    #expect(y.bits == expected.bits)
    for row in 0..<rows {
      let own = y.quantizations[row]
      for column in 0..<columns {
        let number = Float(Int32(y.value(row, column)) - own.zero_point) * own.scale
        #expect(abs(number - values[row * columns + column]) <= 0.5001 * own.scale)
      }
    }
  }

  /// Rows whose scale or its inverse is infinite, or nearly so.
  @Test(arguments: Level.running, [16, 21, 64])
  func rowsAtTheEndsOfTheRangeAreAsTheScalarOnes(level: Level, columns: Int) {
    let units: [Float] = [
      700 * .leastNonzeroMagnitude, 2e-31, 1.5e-30, 1e38, .infinity, -.infinity, .nan, .greatestFiniteMagnitude,
    ]
    var values = randoms(units.count * columns, seed: 5, in: -3...3)
    for (row, unit) in units.enumerated() {
      values[row * columns + 5] = unit.isFinite ? values[row * columns + 5] : unit
      for column in 0..<columns where unit.isFinite { values[row * columns + column] *= unit }
    }
    let rows = units.count
    let y = QuantizedRows(quantizing: values, rows: rows, columns: columns, by: level)
    #expect(y.bits == QuantizedRows(quantizing: values, rows: rows, columns: columns, by: .scalar).bits)
  }
}
