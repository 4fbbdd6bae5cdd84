import PipitGraph
import PipitKernels
import PipitRuntime

extension BenchmarkWork {
  /// Small weights: whatever the depth, their sums are what Winograd's algorithm can take.
  private static func integers(
    columns: Int, depth: Int, _ kernels: KernelTable
  ) -> PackedIntegers {
    PackedIntegers(columns: columns, depth: depth, kernels: kernels) { range, rows in
      for index in 0..<range.count * depth { rows[index] = Int8(index % 7 - 3) }
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

  /// An image and the result, integers both, and the weights between them.
  private struct IntegerImages {
    let x: UnsafePointer<Int8>
    let weights: PackedIntegers
    let epilogue: IntegerEpilogue
    let memory: [BenchmarkMemory]
    let byteCount: Int

    init(_ geometry: ConvolutionGeometry, _ kernels: KernelTable) {
      let inputCount = geometry.inputHeight * geometry.inputWidth * geometry.inputChannels
      let outputCount = geometry.pixelCount * geometry.outputChannels
      let (input, x) = BenchmarkWork.bytes(inputCount)
      let (output, y) = BenchmarkWork.bytes(outputCount)
      let scales = BenchmarkMemory(geometry.outputChannels)
      self.x = UnsafePointer(x)
      weights = BenchmarkWork.integers(
        columns: geometry.outputChannels,
        depth: geometry.kernelHeight * geometry.kernelWidth * geometry.inputChannels, kernels)
      var epilogue = IntegerEpilogue(columnScales: scales.start)
      epilogue.integers = y
      self.epilogue = epilogue
      memory = [input, output, scales]
      byteCount = inputCount + outputCount + weights.byteCount
    }
  }

  /// [height, width, in, out, kernel, stride]: integers in, integers out.
  @Sendable static func integerConvolution(
    _ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool
  ) -> BenchmarkWork {
    let geometry = geometry(s[0], s[1], from: s[2], to: s[3], kernel: s[4], stride: s[5], 1)
    let images = IntegerImages(geometry, kernels)
    let call = IntegerConv2DCall(
      kernels: kernels, geometry: geometry, x: images.x, weights: images.weights, y: nil,
      epilogue: images.epilogue)
    let grid = ProductGrid(
      rowCount: call.pixelCount, panelCount: call.panelCount, tileRows: call.tileRows,
      tiles: Lowering.tiles(
        operations: geometry.multiplyAdds / 32, threadCount: pool.threadCount))
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: 2 * geometry.multiplyAdds, bytes: images.byteCount,
      memory: images.memory
    ) { tile, _ in
      let (pixels, panels) = grid[tile]
      withExtendedLifetime(images.weights) { call.run(pixels: pixels, panels: panels) }
    }
  }

  static func integerWinogradGeometry(_ s: [Int]) -> ConvolutionGeometry {
    geometry(s[0], s[1], from: s[2], to: s[3], kernel: 3, stride: 1, 1)
  }

  /// [height, width, in, out], 3x3: integers in, integers out, of what the level computes so.
  @Sendable static func integerWinograd(_ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    let geometry = integerWinogradGeometry(s)
    let images = IntegerImages(geometry, kernels)
    guard
      let call = IntegerWinogradCall(
        kernels: kernels, geometry: geometry, x: images.x, weights: images.weights, y: nil,
        epilogue: images.epilogue)
    else { preconditionFailure("sums of these weights are too large") }
    let grid = IntegerWinogradGrid(
      tileCount: call.tileCount, panelCount: call.panelCount, threadCount: pool.threadCount)
    let scratchCount = IntegerWinogradCall.scratchByteCount(
      geometry, panels: grid.longestPanels, kernels: kernels)
    let scratch = (0..<pool.threadCount).map { _ in BenchmarkMemory((scratchCount + 3) / 4) }
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: 2 * geometry.multiplyAdds, bytes: images.byteCount,
      memory: images.memory + scratch
    ) { tile, worker in
      let (tiles, panels) = grid[tile]
      withExtendedLifetime(images.weights) {
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
