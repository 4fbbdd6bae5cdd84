import CKernels

/// What happens to an integer sum before it is stored; see `epilogue_i8` in the contract.
package struct IntegerEpilogue {
  /// [columns]: the weight's scale, times the input's where that is one for all.
  package var columnScales: UnsafePointer<Float>
  /// Where the first of the input's rows' own quantizations lies, if they have them, `rowStride` bytes apart.
  package var rowQuantization: UnsafeRawPointer?
  package var rowStride = 0
  /// The input's where its rows have none.
  package var zeroPoint: Int8 = 0
  package var floats = KernelEpilogue()
  /// Integers to be added, of the same shape and stride as the residual of `floats`, which is `nil` then.
  package var residual: UnsafePointer<Int8>?
  package var residualScale: Float = 1
  package var residualZeroPoint: Int8 = 0
  /// Where integers are stored instead of floats, and how.
  package var integers: UnsafeMutablePointer<Int8>?
  package var outputScale: Float = 1
  package var outputZeroPoint: Int8 = 0

  package init(columnScales: UnsafePointer<Float>) { self.columnScales = columnScales }

  var raw: epilogue_i8 {
    epilogue_i8(
      column_scale: columnScales, row: rowQuantization?.assumingMemoryBound(to: row_quantization.self),
      row_stride: rowStride,
      zero_point: Int32(zeroPoint), floats: floats.raw, residual: residual,
      residual_scale: residualScale, residual_zero_point: Int32(residualZeroPoint), integers: integers,
      inverse_scale: 1 / outputScale, output_zero_point: Int32(outputZeroPoint))
  }
}

/// An 8-bit weight `[columns, depth]` in the order of one level's integer products.
package final class PackedIntegers: Sendable {
  package let columns: Int
  package let depth: Int
  package let byteCount: Int
  let tileColumns: Int
  /// Of all columns the greatest sum of positive weights, and of negative ones' magnitudes.
  private let greatestSums: (positive: Int, negative: Int)

  // SAFETY: written only in `init`; freed in `deinit`; read-only in between.
  nonisolated(unsafe) let values: UnsafePointer<Int8>

  /// As `PackedMatrix.init`: `read` writes rows `range`, `depth` bytes each.
  package init(
    columns: Int, depth: Int, kernels: KernelTable,
    forEach: (_ count: Int, _ body: (Int) -> Void) -> Void = { (0..<$0).forEach($1) },
    read: @escaping (_ range: Range<Int>, _ rows: UnsafeMutablePointer<Int8>) -> Void
  ) {
    precondition(columns > 0)
    precondition(depth > 0 && depth <= PackedIntegers.greatestDepth)
    var kernel = kernels.raw.pointee.gemm_i8
    let tile = kernel.tile_columns
    let panels = (columns + tile - 1) / tile
    let panelBytes = gemm_i8_panel_bytes(&kernel, depth)
    let packed = BlockMemory.allocate(byteCount: panels * panelBytes)
      .bindMemory(to: Int8.self, capacity: panels * panelBytes)
    let pack = kernel.pack_panel
    // SAFETY: each panel writes its own element; freed below, after the last.
    let sums = UnsafeMutablePointer<(positive: Int, negative: Int)>.allocate(capacity: panels)
    defer { sums.deallocate() }
    forEach(panels) { panel in
      withUnsafeTemporaryAllocation(of: Int8.self, capacity: tile * depth) { rows in
        guard let rows = rows.baseAddress else { return }
        let range = panel * tile..<min(columns, (panel + 1) * tile)
        read(range, rows)
        pack?(packed + panel * panelBytes, rows, depth, range.count, depth)
        (sums + panel).initialize(to: greatestSumsOfRows(rows, count: range.count, depth: depth))
      }
    }
    let all = UnsafeBufferPointer(start: sums, count: panels)
    greatestSums = (all.map { $0.positive }.max() ?? 0, all.map { $0.negative }.max() ?? 0)
    self.columns = columns
    self.depth = depth
    byteCount = panels * panelBytes
    tileColumns = tile
    values = UnsafePointer(packed)
  }

  deinit { values.deallocate() }

  /// The deepest product whose sums cannot overflow.
  package static let greatestDepth = 65536

  package var panelCount: Int { (columns + tileColumns - 1) / tileColumns }

  /// What no product of a row of 8-bit numbers of that zero point with these weights is greater than, in
  /// magnitude.
  package func greatestSum(zeroPoint: Int8) -> Int {
    PackedIntegers.greatestSum(greatestSums, zeroPoint: zeroPoint)
  }

  /// As above, of weights `[count, depth]` that are not packed.
  package static func greatestSum(
    of rows: UnsafePointer<Int8>, count: Int, depth: Int, zeroPoint: Int8
  ) -> Int {
    greatestSum(greatestSumsOfRows(rows, count: count, depth: depth), zeroPoint: zeroPoint)
  }

  private static func greatestSum(_ sums: (positive: Int, negative: Int), zeroPoint: Int8) -> Int {
    let (above, below) = (127 - Int(zeroPoint), 128 + Int(zeroPoint))
    return max(
      above * sums.positive + below * sums.negative, below * sums.positive + above * sums.negative)
  }
}

/// Of some rows of weights the greatest sum of positive ones, and of negative ones' magnitudes.
private func greatestSumsOfRows(
  _ weights: UnsafePointer<Int8>, count: Int, depth: Int
) -> (positive: Int, negative: Int) {
  var greatest = (positive: 0, negative: 0)
  for row in 0..<count {
    var (sum, magnitudes): (Int32, Int32) = (0, 0)
    for index in row * depth..<(row + 1) * depth {
      let weight = Int32(weights[index])
      sum &+= weight
      magnitudes &+= abs(weight)
    }
    greatest.positive = max(greatest.positive, Int(magnitudes + sum) / 2)
    greatest.negative = max(greatest.negative, Int(magnitudes - sum) / 2)
  }
  return greatest
}

/// One integer matrix product, ready to run: y = epilogue(a W^T).
package struct IntegerGemmCall {
  private let kernel: gemm_i8_kernels
  private let arguments: gemm_i8_args
  package let panelCount: Int

  /// a: [rows, weights.depth] with `aStride`; y: [rows, weights.columns] dense; not overlapping. y is not
  /// written where the epilogue stores integers.
  package init(
    kernels: KernelTable, a: UnsafePointer<Int8>, aStride: Int, weights: PackedIntegers,
    y: UnsafeMutablePointer<Float>?, rows: Int, epilogue: IntegerEpilogue
  ) {
    precondition(aStride >= weights.depth)
    precondition(y != nil || epilogue.integers != nil)
    kernel = kernels.raw.pointee.gemm_i8
    precondition(kernel.tile_columns == weights.tileColumns, "packed for another level")
    arguments = gemm_i8_args(
      a: a, a_stride: aStride, packed: weights.values, y: y, y_stride: weights.columns, rows: rows,
      columns: weights.columns, depth: weights.depth, epilogue: epilogue.raw)
    panelCount = weights.panelCount
  }

  package var tileRows: Int { kernel.tile_rows }

  /// Computes a range of rows and panels; disjoint ranges can run at the same time.
  package func run(rows: Range<Int>, panels: Range<Int>) {
    withUnsafePointer(to: arguments) {
      kernel.gemm($0, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound)
    }
  }
}

extension ConvolutionGeometry {
  /// What the integer kernels take. y is `nil` where the epilogue stores integers.
  func integerArguments(
    x: UnsafePointer<Int8>, packed: UnsafePointer<Int8>?, y: UnsafeMutablePointer<Float>?,
    yRowGap: Int, epilogue: epilogue_i8
  ) -> conv2d_i8_args {
    precondition(xPixelStride >= inputChannels)
    precondition(yPixelStride >= outputChannels)
    return conv2d_i8_args(
      x: x, packed: packed, y: y, x_pixel_stride: xPixelStride, y_pixel_stride: yPixelStride,
      y_row_gap: yRowGap, batch: batch, input_height: inputHeight, input_width: inputWidth,
      input_channels: inputChannels, output_height: outputHeight, output_width: outputWidth,
      output_channels: outputChannels, kernel_height: kernelHeight, kernel_width: kernelWidth,
      stride_height: stride, stride_width: columnStride ?? stride, pad_top: padTop, pad_left: padLeft,
      dilation_height: dilation, dilation_width: dilation, upsample: upsample, epilogue: epilogue)
  }
}

/// One integer convolution, ready to run.
package struct IntegerConv2DCall {
  private let kernel: gemm_i8_kernels
  private let arguments: conv2d_i8_args
  package let pixelCount: Int
  package let panelCount: Int

  /// weights: OHWI rows packed. Behind each row of output pixels `yRowGap` numbers are left out.
  package init(
    kernels: KernelTable, geometry: ConvolutionGeometry, x: UnsafePointer<Int8>,
    weights: PackedIntegers, y: UnsafeMutablePointer<Float>?, yRowGap: Int = 0,
    epilogue: IntegerEpilogue
  ) {
    let g = geometry
    precondition(y != nil || epilogue.integers != nil)
    precondition(yRowGap == 0 || epilogue.floats.residual == nil)
    precondition(weights.columns == g.outputChannels)
    precondition(weights.depth == g.kernelHeight * g.kernelWidth * g.inputChannels)
    kernel = kernels.raw.pointee.gemm_i8
    precondition(kernel.tile_columns == weights.tileColumns, "packed for another level")
    arguments = g.integerArguments(
      x: x, packed: weights.values, y: y, yRowGap: yRowGap, epilogue: epilogue.raw)
    pixelCount = g.pixelCount
    panelCount = weights.panelCount
  }

  package var tileRows: Int { kernel.tile_rows }

  /// Computes a range of output pixels and panels; disjoint ranges can run at the same time.
  package func run(pixels: Range<Int>, panels: Range<Int>) {
    withUnsafePointer(to: arguments) {
      kernel.conv2d($0, pixels.lowerBound, pixels.upperBound, panels.lowerBound, panels.upperBound)
    }
  }
}

extension KernelTable {
  /// y[i] = clamp(round(x[i] / scale) + zeroPoint, -128...127).
  package func quantize(
    _ y: UnsafeMutablePointer<Int8>, _ x: UnsafePointer<Float>, count: Int, scale: Float,
    zeroPoint: Int8
  ) {
    precondition(scale > 0)
    raw.pointee.quantize_i8(y, x, count, 1 / scale, Int32(zeroPoint))
  }

  /// Each row by its own range, its scale and zero point behind it, in the form that products of the same level
  /// take. Rows are `stride` bytes apart, as is the contract's QUANTIZED_ROW_STRIDE.
  package func quantizeRows(
    _ y: UnsafeMutablePointer<Int8>, _ x: UnsafePointer<Float>, rows: Int, columns: Int, stride: Int
  ) {
    precondition(columns > 0)
    precondition(stride == (columns + 3) / 4 * 4 + MemoryLayout<row_quantization>.size)
    raw.pointee.quantize_rows_i8(y, x, rows, columns)
  }

  /// As `computeAtPeak`, of integer multiply-adds.
  package func computeIntegersAtPeak(rounds: Int) -> Int {
    var result: Int32 = 3
    return raw.pointee.peak_i8(rounds, &result)
  }
}
