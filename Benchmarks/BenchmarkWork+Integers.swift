import PipitGraph
import PipitKernels
import PipitRuntime

extension BenchmarkWork {
  private static func integers(
    columns: Int, depth: Int, _ kernels: KernelTable
  ) -> PackedIntegers {
    PackedIntegers(columns: columns, depth: depth, kernels: kernels) { range, rows in
      for index in 0..<range.count * depth { rows[index] = Int8(index % 127 - 63) }
    }
  }

  /// Memory of floats as bytes, which hold whatever they hold.
  private static func bytes(_ count: Int) -> (BenchmarkMemory, UnsafeMutablePointer<Int8>) {
    let memory = BenchmarkMemory((count + 3) / 4)
    return (memory, UnsafeMutableRawPointer(memory.start).assumingMemoryBound(to: Int8.self))
  }

  /// [rows, columns, depth]: integers with a scale and zero point a row in, floats out.
  @Sendable static func integerGemm(_ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    let (rows, columns, depth) = (s[0], s[1], s[2])
    let stride = Quantization.rows.rowStride(columns: depth)
    let (memory, a) = bytes(rows * stride)
    let x = BenchmarkMemory(depth)
    for row in 0..<rows {
      kernels.quantizeRows(a + row * stride, x.start, rows: 1, columns: depth, stride: stride)
    }
    let y = BenchmarkMemory(rows * columns)
    let scales = BenchmarkMemory(columns)
    let weights = integers(columns: columns, depth: depth, kernels)
    var epilogue = IntegerEpilogue(columnScales: scales.start)
    epilogue.rowQuantization = UnsafeRawPointer(a) + (stride - Quantization.rowQuantizationSize)
    epilogue.rowStride = stride
    let call = IntegerGemmCall(
      kernels: kernels, a: a, aStride: stride, weights: weights, y: y.start, rows: rows,
      epilogue: epilogue)
    let grid = ProductGrid(
      rowCount: rows, panelCount: call.panelCount, tileRows: call.tileRows,
      tiles: Lowering.tiles(
        operations: rows * columns * depth / 32, threadCount: pool.threadCount))
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: 2 * rows * columns * depth,
      bytes: rows * depth + 4 * rows * columns + columns * depth, memory: [memory, y, scales]
    ) { tile, _ in
      let (rows, panels) = grid[tile]
      withExtendedLifetime(weights) { call.run(rows: rows, panels: panels) }
    }
  }

  /// [height, width, in, out, kernel, stride]: integers in, integers out.
  @Sendable static func integerConvolution(
    _ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool
  ) -> BenchmarkWork {
    let geometry = geometry(s[0], s[1], from: s[2], to: s[3], kernel: s[4], stride: s[5], 1)
    let inputCount = geometry.inputHeight * geometry.inputWidth * geometry.inputChannels
    let outputCount = geometry.pixelCount * geometry.outputChannels
    let (input, x) = bytes(inputCount)
    let (output, y) = bytes(outputCount)
    let scales = BenchmarkMemory(geometry.outputChannels)
    let weights = integers(
      columns: geometry.outputChannels,
      depth: geometry.kernelHeight * geometry.kernelWidth * geometry.inputChannels, kernels)
    var epilogue = IntegerEpilogue(columnScales: scales.start)
    epilogue.integers = y
    let call = IntegerConv2DCall(
      kernels: kernels, geometry: geometry, x: x, weights: weights, y: nil, epilogue: epilogue)
    let grid = ProductGrid(
      rowCount: call.pixelCount, panelCount: call.panelCount, tileRows: call.tileRows,
      tiles: Lowering.tiles(
        operations: geometry.multiplyAdds / 32, threadCount: pool.threadCount))
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: 2 * geometry.multiplyAdds,
      bytes: inputCount + outputCount + weights.byteCount, memory: [input, output, scales]
    ) { tile, _ in
      let (pixels, panels) = grid[tile]
      withExtendedLifetime(weights) { call.run(pixels: pixels, panels: panels) }
    }
  }

  /// [height, width, in, out], 3x3: integers in, integers out.
  static func integerWinogradGeometry(_ s: [Int]) -> ConvolutionGeometry {
    geometry(s[0], s[1], from: s[2], to: s[3], kernel: 3, stride: 1, 1)
  }

  /// As above, of what the level computes so.
  @Sendable static func integerWinograd(_ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    let geometry = integerWinogradGeometry(s)
    let (inputCount, outputCount) = (s[0] * s[1] * s[2], s[0] * s[1] * s[3])
    let (input, x) = bytes(inputCount)
    let (output, y) = bytes(outputCount)
    let scales = BenchmarkMemory(geometry.outputChannels)
    let weights = integers(columns: s[3], depth: 9 * s[2], kernels)
    var epilogue = IntegerEpilogue(columnScales: scales.start)
    epilogue.integers = y
    guard
      let call = IntegerWinogradCall(
        kernels: kernels, geometry: geometry, x: x, weights: weights, y: nil, epilogue: epilogue)
    else { preconditionFailure("sums of these weights are too large") }
    let grid = IntegerWinogradGrid(
      tileCount: call.tileCount, panelCount: call.panelCount, threadCount: pool.threadCount)
    let scratchCount = IntegerWinogradCall.scratchByteCount(
      geometry, panels: grid.longestPanels, kernels: kernels)
    let scratch = (0..<pool.threadCount).map { _ in BenchmarkMemory((scratchCount + 3) / 4) }
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: 2 * geometry.multiplyAdds,
      bytes: inputCount + outputCount + weights.byteCount, memory: [input, output, scales] + scratch
    ) { tile, worker in
      let (tiles, panels) = grid[tile]
      withExtendedLifetime(weights) {
        call.run(tiles: tiles, panels: panels, scratch: UnsafeMutableRawPointer(scratch[worker].start))
      }
    }
  }

  /// [rows, columns].
  @Sendable static func quantizeRows(_ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    let (rows, columns) = (s[0], s[1])
    let x = BenchmarkMemory(rows * columns)
    let stride = Quantization.rows.rowStride(columns: columns)
    let (memory, y) = bytes(rows * stride)
    let parts = min(pool.threadCount, rows)
    return BenchmarkWork(
      tileCount: parts, operations: rows * columns, bytes: 5 * rows * columns,
      memory: [x, memory]
    ) { tile, _ in
      let own = part(rows, tile, of: parts)
      kernels.quantizeRows(
        y + own.lowerBound * stride, x.start + own.lowerBound * columns, rows: own.count,
        columns: columns, stride: stride)
    }
  }
}
