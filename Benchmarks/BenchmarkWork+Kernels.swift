import PipitKernels
import PipitRuntime

extension BenchmarkWork {
  /// Part `index` of `whole` cut into `count` parts.
  static func part(_ whole: Int, _ index: Int, of count: Int) -> Range<Int> {
    index * whole / count..<(index + 1) * whole / count
  }

  private static func packed(
    columns: Int, depth: Int, _ kernels: KernelTable, _ format: PackedFormat = .f32
  ) -> PackedMatrix {
    let row = BenchmarkMemory(depth)
    let bytes = format.byteCount(depth)
    // As halves random bits of floats could be huge ones, or none: small ones of either kind.
    let halves = [UInt16](repeating: 0x2C00, count: depth)
    let factors = [Float](repeating: 0.01, count: format.factorDepth == 0 ? 0 : columns)
    return PackedMatrix(
      columns: columns, depth: depth, format: format, factors: factors, kernels: kernels
    ) { range, rows in
      halves.withUnsafeBytes { halves in
        let source = format == .f32 ? UnsafeRawBufferPointer(start: row.start, count: bytes) : halves
        guard let start = source.baseAddress else { return }
        for index in 0..<range.count {
          (rows + index * bytes).copyMemory(from: start, byteCount: bytes)
        }
      }
    }
  }

  /// [rows, columns, depth], as a graph's linear would run it.
  @Sendable static func gemm(_ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    gemm(.f32, s, kernels, pool)
  }

  /// As `gemm`, over weights of another format.
  static func gemm(_ format: PackedFormat, _ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    let (rows, columns, depth) = (s[0], s[1], s[2])
    let a = BenchmarkMemory(rows * depth)
    let y = BenchmarkMemory(rows * columns)
    let weights = packed(columns: columns, depth: depth, kernels, format)
    let call = GemmCall(
      kernels: kernels, a: a.start, aStride: depth, weights: weights, y: y.start, yStride: columns,
      rows: rows, epilogue: KernelEpilogue())
    let grid = ProductGrid(
      rowCount: rows, panelCount: call.panelCount, tileRows: call.tileRows,
      tiles: Lowering.tiles(
        operations: rows * columns * depth / 16, threadCount: pool.threadCount),
      expandsWeights: call.expandsWeights)
    let scratch = (0..<pool.threadCount).map { _ in BenchmarkMemory(call.scratchCount) }
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: 2 * rows * columns * depth,
      bytes: 4 * (rows * depth + rows * columns) + format.byteCount(columns * depth),
      memory: [a, y] + scratch
    ) { tile, worker in
      let (rows, panels) = grid[tile]
      withExtendedLifetime(weights) {
        call.run(rows: rows, panels: panels, scratch: scratch[worker].start)
      }
    }
  }

  /// [height, width, in, out, kernel, stride].
  @Sendable static func convolution(_ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    let geometry = geometry(s[0], s[1], from: s[2], to: s[3], kernel: s[4], stride: s[5], 1)
    let (memory, weights, zeros) = images(geometry, kernels)
    let call = Conv2DCall(
      kernels: kernels, geometry: geometry, x: memory[0].start, weights: weights,
      zeros: zeros.start, y: memory[1].start, epilogue: KernelEpilogue())
    let grid = ProductGrid(
      rowCount: call.pixelCount, panelCount: call.panelCount, tileRows: call.tileRows,
      tiles: Lowering.tiles(
        operations: geometry.multiplyAdds / 16, threadCount: pool.threadCount))
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: 2 * geometry.multiplyAdds,
      bytes: bytes(geometry, weights), memory: memory + [zeros]
    ) { tile, _ in
      let (pixels, panels) = grid[tile]
      withExtendedLifetime(weights) { call.run(pixels: pixels, panels: panels, scratch: nil) }
    }
  }

  /// [height, width, in, out, upsample], 3x3.
  @Sendable static func winograd(_ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    winograd(.f32, s, kernels, pool)
  }

  /// As `winograd`, over weights of another format.
  static func winograd(
    _ format: PackedFormat, _ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool
  ) -> BenchmarkWork {
    let geometry = geometry(s[0], s[1], from: s[2], to: s[3], kernel: 3, stride: 1, s[4])
    let (memory, weights, zeros) = images(geometry, kernels, format)
    let call = WinogradCall(
      kernels: kernels, geometry: geometry, x: memory[0].start, weights: weights,
      zeros: zeros.start, y: memory[1].start, epilogue: KernelEpilogue())
    let grid = WinogradGrid(call, threadCount: pool.threadCount)
    let scratchCount = call.scratchCount(tiles: grid.longestTiles)
    let scratch = (0..<pool.threadCount).map { _ in BenchmarkMemory(scratchCount) }
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: 2 * geometry.multiplyAdds,
      bytes: bytes(geometry, weights), memory: memory + [zeros] + scratch
    ) { tile, worker in
      let (tiles, panels) = grid[tile]
      withExtendedLifetime(weights) {
        call.run(tiles: tiles, panels: panels, scratch: scratch[worker].start)
      }
    }
  }

  static func geometry(
    _ height: Int, _ width: Int, from input: Int, to output: Int, kernel: Int, stride: Int,
    _ upsample: Int
  ) -> ConvolutionGeometry {
    var geometry = ConvolutionGeometry()
    (geometry.inputHeight, geometry.inputWidth) = (height, width)
    (geometry.inputChannels, geometry.outputChannels) = (input, output)
    geometry.outputHeight = (height * upsample - 1) / stride + 1
    geometry.outputWidth = (width * upsample - 1) / stride + 1
    (geometry.kernelHeight, geometry.kernelWidth) = (kernel, kernel)
    (geometry.stride, geometry.upsample) = (stride, upsample)
    (geometry.padTop, geometry.padLeft) = (kernel / 2, kernel / 2)
    (geometry.xPixelStride, geometry.yPixelStride) = (input, output)
    return geometry
  }

  /// The image and the result, the weights, and a pixel of zeros.
  private static func images(
    _ geometry: ConvolutionGeometry, _ kernels: KernelTable, _ format: PackedFormat = .f32
  ) -> ([BenchmarkMemory], PackedMatrix, BenchmarkMemory) {
    let x = BenchmarkMemory(
      geometry.inputHeight * geometry.inputWidth * geometry.inputChannels)
    let y = BenchmarkMemory(geometry.pixelCount * geometry.outputChannels)
    let zeros = BenchmarkMemory(geometry.inputChannels)
    zeros.start.update(repeating: 0, count: geometry.inputChannels)
    let depth = geometry.kernelHeight * geometry.kernelWidth * geometry.inputChannels
    return ([x, y], packed(columns: geometry.outputChannels, depth: depth, kernels, format), zeros)
  }

  private static func bytes(_ geometry: ConvolutionGeometry, _ weights: PackedMatrix) -> Int {
    let input = geometry.inputHeight * geometry.inputWidth * geometry.inputChannels
    return 4 * (input + geometry.pixelCount * geometry.outputChannels) + weights.byteCount
  }

  /// [queries, keys, heads, dimension].
  @Sendable static func attention(_ s: [Int], _ kernels: KernelTable, _ pool: ThreadPool)
    -> BenchmarkWork
  {
    let (queries, keys, heads, dimension) = (s[0], s[1], s[2], s[3])
    let width = heads * dimension
    let q = BenchmarkMemory(queries * width)
    let k = BenchmarkMemory(keys * width)
    let v = BenchmarkMemory(keys * width)
    let y = BenchmarkMemory(queries * width)
    let calls = (0..<heads).map { head in
      AttentionCall(
        kernels: kernels, q: .init(start: q.start + head * dimension, stride: width),
        k: .init(start: k.start + head * dimension, stride: width),
        v: .init(start: v.start + head * dimension, stride: width),
        y: y.start + head * dimension, yStride: width, queryCount: queries, keyCount: keys,
        headDimension: dimension, scale: 1 / Float(dimension).squareRoot(), keyBias: nil,
        causal: false)
    }
    let operations = 4 * queries * keys * width
    let grid = AttentionGrid(
      queries: queries, calls: heads,
      tiles: Lowering.tiles(operations: operations / 32, threadCount: pool.threadCount))
    let count = AttentionCall.scratchCount(headDimension: dimension)
    let scratch = (0..<pool.threadCount).map { _ in BenchmarkMemory(count) }
    return BenchmarkWork(
      tileCount: grid.tileCount, operations: operations,
      bytes: 4 * width * 2 * (queries + keys), memory: [q, k, v, y] + scratch
    ) { tile, worker in
      let (call, queries) = grid[tile]
      calls[call].run(queries: queries, scratch: scratch[worker].start)
    }
  }

  typealias RowKernel =
    @Sendable (
      KernelTable, UnsafeMutablePointer<Float>, UnsafePointer<Float>, _ rows: Int, _ columns: Int
    ) -> Void

  /// [rows, columns], rows cut among the threads.
  static func rows(_ kernel: @escaping RowKernel) -> @Sendable ([Int], KernelTable, ThreadPool)
    -> BenchmarkWork
  {
    { s, kernels, pool in
      let (rows, columns) = (s[0], s[1])
      let x = BenchmarkMemory(rows * columns)
      let y = BenchmarkMemory(rows * columns)
      let parts = min(pool.threadCount, rows)
      return BenchmarkWork(
        tileCount: parts, operations: rows * columns, bytes: 8 * rows * columns, memory: [x, y]
      ) { tile, _ in
        let own = part(rows, tile, of: parts)
        let first = own.lowerBound * columns
        kernel(kernels, y.start + first, x.start + first, own.count, columns)
      }
    }
  }

  static func activation(_ activation: KernelActivation) -> @Sendable (
    [Int], KernelTable, ThreadPool
  ) -> BenchmarkWork {
    rows { k, y, x, rows, columns in k.activate(y, x, count: rows * columns, activation) }
  }
}

extension ConvolutionGeometry {
  var multiplyAdds: Int {
    pixelCount * outputChannels * inputChannels * kernelHeight * kernelWidth
  }
}
