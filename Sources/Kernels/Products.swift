import CKernels

extension KernelTable {
  /// The kernels of products over weights of that format, which know nothing of how it is computed.
  func products(_ format: PackedFormat) -> gemm_f32_kernels {
    var kernels = raw.pointee.gemm_f32
    if multipliesHalves(format) {
      kernels.gemm = kernels.gemm_halves
      kernels.conv2d = kernels.conv2d_halves
      kernels.tile_rows = kernels.halves_tile_rows
    }
    return kernels
  }
}

/// One matrix product, ready to run: y = epilogue(a W^T).
package struct GemmCall {
  private let kernel: gemm_f32_kernels
  /// Whether it is computed in half precision.
  package let isHalf: Bool
  private var arguments: gemm_f32_args
  package let rows: Int
  package let panelCount: Int
  /// Floats of scratch memory that a thread needs.
  package let scratchCount: Int
  /// Whether each piece of rows expands the weights anew.
  package let expandsWeights: Bool

  /// a: [rows, weights.depth] with `aStride`; y: [rows, weights.columns] with `yStride`; not overlapping.
  package init(
    kernels: KernelTable, a: UnsafePointer<Float>, aStride: Int, weights: PackedMatrix,
    y: UnsafeMutablePointer<Float>, yStride: Int, rows: Int, epilogue: KernelEpilogue
  ) {
    precondition(aStride >= weights.depth)
    precondition(yStride >= weights.columns)
    kernel = kernels.products(weights.format)
    isHalf = kernels.multipliesHalves(weights.format)
    precondition(kernel.tile_columns == weights.tileColumns, "packed for another level")
    arguments = gemm_f32_args(
      a: a, a_stride: aStride, weight: weights.raw, y: y, y_stride: yStride, rows: rows,
      columns: weights.columns, depth: weights.depth, epilogue: epilogue.raw)
    self.rows = rows
    panelCount = weights.panelCount
    scratchCount = kernels.productScratchCount(
      columns: weights.columns, depth: weights.depth, format: weights.format,
      hasResidual: epilogue.residual != nil)
    expandsWeights = weights.format.numbers != .f32 && scratchCount > 0
  }

  package var tileRows: Int { kernel.tile_rows }

  /// Computes a range of rows and panels; disjoint ranges can run at the same time.
  package func run(
    rows: Range<Int>, panels: Range<Int>, scratch: UnsafeMutablePointer<Float>?
  ) {
    withUnsafePointer(to: arguments) {
      kernel.gemm(
        $0, scratch, rows.lowerBound, rows.upperBound, panels.lowerBound, panels.upperBound)
    }
  }
}

/// The geometry of a convolution or a pooling over NHWC images.
package struct ConvolutionGeometry {
  package var batch = 1
  package var inputHeight = 0, inputWidth = 0, inputChannels = 0
  package var outputHeight = 0, outputWidth = 0, outputChannels = 0
  package var kernelHeight = 1, kernelWidth = 1
  package var stride = 1
  /// The step from column to column where it is not `stride`.
  package var columnStride: Int?
  package var padTop = 0, padLeft = 0
  package var dilation = 1
  package var upsample = 1
  package var xPixelStride = 0, yPixelStride = 0

  package init() {}

  package var pixelCount: Int { batch * outputHeight * outputWidth }
  package var rowCount: Int { batch * outputHeight }

  func arguments(
    x: UnsafePointer<Float>, weight: packed_weight, zeros: UnsafePointer<Float>?,
    y: UnsafeMutablePointer<Float>, epilogue: KernelEpilogue
  ) -> conv2d_f32_args {
    precondition(xPixelStride >= inputChannels)
    precondition(yPixelStride >= outputChannels)
    return conv2d_f32_args(
      x: x, weight: weight, zeros: zeros, y: y, x_pixel_stride: xPixelStride,
      y_pixel_stride: yPixelStride, batch: batch, input_height: inputHeight,
      input_width: inputWidth, input_channels: inputChannels, output_height: outputHeight,
      output_width: outputWidth, output_channels: outputChannels, kernel_height: kernelHeight,
      kernel_width: kernelWidth, stride_height: stride, stride_width: columnStride ?? stride, pad_top: padTop,
      pad_left: padLeft, dilation_height: dilation, dilation_width: dilation, upsample: upsample,
      winograd_side: winogradSide, epilogue: epilogue.raw)
  }
}

/// One convolution (or one group of a grouped one), ready to run.
package struct Conv2DCall {
  private let kernel: gemm_f32_kernels
  /// Whether it is computed in half precision.
  package let isHalf: Bool
  private let arguments: conv2d_f32_args
  package let pixelCount: Int
  package let panelCount: Int
  /// Floats of scratch memory that a thread needs.
  package let scratchCount: Int
  /// Whether each piece of pixels expands the weights anew.
  package let expandsWeights: Bool

  /// weights: OHWI rows packed; zeros: `inputChannels` floats of 0.
  package init(
    kernels: KernelTable, geometry: ConvolutionGeometry, x: UnsafePointer<Float>,
    weights: PackedMatrix, zeros: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>,
    epilogue: KernelEpilogue
  ) {
    kernel = kernels.products(weights.format)
    isHalf = kernels.multipliesHalves(weights.format)
    precondition(kernel.tile_columns == weights.tileColumns, "packed for another level")
    precondition(weights.columns == geometry.outputChannels)
    precondition(
      weights.depth == geometry.kernelHeight * geometry.kernelWidth * geometry.inputChannels)
    arguments = geometry.arguments(
      x: x, weight: weights.raw, zeros: zeros, y: y, epilogue: epilogue)
    pixelCount = geometry.pixelCount
    panelCount = weights.panelCount
    scratchCount = kernels.productScratchCount(
      columns: weights.columns, depth: weights.depth, format: weights.format,
      hasResidual: epilogue.residual != nil)
    expandsWeights = weights.format.numbers != .f32 && scratchCount > 0
  }

  package var tileRows: Int { kernel.tile_rows }

  /// Computes a range of output pixels and panels; disjoint ranges can run at the same time.
  package func run(
    pixels: Range<Int>, panels: Range<Int>, scratch: UnsafeMutablePointer<Float>?
  ) {
    withUnsafePointer(to: arguments) {
      kernel.conv2d(
        $0, scratch, pixels.lowerBound, pixels.upperBound, panels.lowerBound, panels.upperBound)
    }
  }
}

/// One convolution by Winograd's minimal filtering, ready to run.
package struct WinogradCall {
  private let kernel: gemm_f32_kernels
  private let arguments: conv2d_f32_args
  package let tileCount: Int
  package let panelCount: Int
  /// Tiles that share a transform of the filters, at most.
  package let longestBlock: Int

  /// Whether the kernel computes a convolution of that geometry (see the contract).
  package static func applies(to geometry: ConvolutionGeometry) -> Bool {
    let kernel = geometry.kernelHeight
    guard geometry.kernelWidth == kernel, geometry.dilation == 1 else { return false }
    if geometry.stride == 2 {
      guard geometry.upsample == 1 else { return false }
      return (kernel == 7 && geometry.inputChannels <= 4)
        || (kernel == 3 && geometry.inputChannels % 16 == 0)
    }
    guard kernel == 3, geometry.stride == 1 else { return false }
    let keepsSize =
      geometry.padTop == 1 && geometry.padLeft == 1
      && geometry.outputHeight == 2 * geometry.inputHeight
      && geometry.outputWidth == 2 * geometry.inputWidth
    return geometry.upsample == 1 || (geometry.upsample == 2 && keepsSize)
  }

  /// Whether fewer multiplications pay for the transforms: not for shallow images, whose transforms
  /// weigh as much as the products (but a large kernel saves three quarters of these), nor for few tiles, which
  /// share the transform of the filters.
  package static func pays(for geometry: ConvolutionGeometry) -> Bool {
    guard applies(to: geometry) else { return false }
    let side = 4 * geometry.upsample
    let tiles = geometry.pixelCount / (side * side)
    guard geometry.outputChannels >= 16 else { return false }
    if geometry.stride == 2 {
      return tiles >= 12
        && (geometry.kernelHeight == 7 || WinogradCost.paysInStepsOfTwo(geometry))
    }
    guard geometry.inputChannels >= 16 else { return false }
    // (An EPYC's core, of the plain convolution's time with AVX-512: 8 x 8 x 1280 .75 to .8, 7 x 7 x 512 1.)
    return tiles >= (geometry.upsample == 1 ? 3 : 4)
  }

  /// As `Conv2DCall`, of a geometry that `applies`.
  package init(
    kernels: KernelTable, geometry: ConvolutionGeometry, x: UnsafePointer<Float>,
    weights: PackedMatrix, zeros: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>,
    epilogue: KernelEpilogue
  ) {
    precondition(WinogradCall.applies(to: geometry))
    precondition(weights.columns == geometry.outputChannels)
    precondition(
      weights.depth == geometry.kernelHeight * geometry.kernelWidth * geometry.inputChannels)
    precondition(weights.format.numbers != .i4)
    kernel = kernels.raw.pointee.gemm_f32
    precondition(kernel.tile_columns == weights.tileColumns, "packed for another level")
    arguments = geometry.arguments(
      x: x, weight: weights.raw, zeros: zeros, y: y, epilogue: epilogue)
    tileCount = withUnsafePointer(to: arguments) { winograd_tile_count($0) }
    panelCount = weights.panelCount
    longestBlock = WinogradCost(geometry).longestBlock
  }

  /// Tiles that one register tile of the level's products holds.
  package var tileRows: Int { kernel.tile_rows }

  /// Floats of scratch memory for `tiles` tiles at a time.
  package func scratchCount(tiles: Int) -> Int {
    withUnsafePointer(to: arguments) { kernel.winograd_scratch_count($0, tiles) }
  }

  /// Computes a range of tiles and panels; disjoint ranges can run at the same time.
  package func run(tiles: Range<Int>, panels: Range<Int>, scratch: UnsafeMutablePointer<Float>) {
    withUnsafePointer(to: arguments) {
      kernel.winograd(
        $0, scratch, tiles.lowerBound, tiles.upperBound, panels.lowerBound, panels.upperBound)
    }
  }
}

/// One depthwise convolution, ready to run; weights are [taps, channels].
package struct DepthwiseCall {
  private let kernel: depthwise_f32_fn
  private let arguments: conv2d_f32_args
  package let rowCount: Int

  package init(
    kernels: KernelTable, geometry: ConvolutionGeometry, x: UnsafePointer<Float>,
    weights: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, epilogue: KernelEpilogue
  ) {
    precondition(geometry.inputChannels == geometry.outputChannels)
    precondition(geometry.upsample == 1)
    kernel = kernels.raw.pointee.depthwise_f32
    arguments = geometry.arguments(
      x: x, weight: packed_weight(values: weights, format: WEIGHT_F32, factors: nil, factor_depth: 0),
      zeros: nil, y: y, epilogue: epilogue)
    rowCount = geometry.rowCount
  }

  package func run(rows: Range<Int>) {
    withUnsafePointer(to: arguments) { kernel($0, rows.lowerBound, rows.upperBound) }
  }
}

/// One max pooling, ready to run.
package struct MaxPoolCall {
  private enum Work {
    case floats(max_pool_f32_fn, conv2d_f32_args)
    case integers(max_pool_i8_fn, conv2d_i8_args)
  }
  private let work: Work
  package let rowCount: Int

  package init(
    kernels: KernelTable, geometry: ConvolutionGeometry, x: UnsafePointer<Float>,
    y: UnsafeMutablePointer<Float>
  ) {
    precondition(geometry.inputChannels == geometry.outputChannels)
    work = .floats(
      kernels.raw.pointee.max_pool_f32,
      geometry.arguments(
        x: x, weight: packed_weight(), zeros: nil, y: y, epilogue: KernelEpilogue()))
    rowCount = geometry.rowCount
  }

  package init(
    kernels: KernelTable, geometry: ConvolutionGeometry, x: UnsafePointer<Int8>,
    y: UnsafeMutablePointer<Int8>
  ) {
    precondition(geometry.inputChannels == geometry.outputChannels)
    var epilogue = epilogue_i8()
    epilogue.integers = y
    work = .integers(
      kernels.raw.pointee.max_pool_i8,
      geometry.integerArguments(x: x, packed: nil, y: nil, yRowGap: 0, epilogue: epilogue))
    rowCount = geometry.rowCount
  }

  package func run(rows: Range<Int>) {
    switch work {
    case .floats(let kernel, let arguments):
      withUnsafePointer(to: arguments) { kernel($0, rows.lowerBound, rows.upperBound) }
    case .integers(let kernel, let arguments):
      withUnsafePointer(to: arguments) { kernel($0, rows.lowerBound, rows.upperBound) }
    }
  }
}

/// Attention of one head, ready to run.
package struct AttentionCall {
  private let kernel: attention_f32_fn
  private let arguments: attention_f32_args
  package let queryCount: Int

  /// Queries that share one pass over the keys, at most; a range given to `run` is cut into such blocks.
  package static let queryBlock = Int(ATTENTION_QUERY_BLOCK)

  /// Floats of scratch memory that each thread needs.
  package static func scratchCount(headDimension: Int) -> Int {
    attention_scratch_count(headDimension)
  }

  /// One matrix of an attention: its first number and the stride from token to token.
  package struct Operand {
    package var start: UnsafePointer<Float>
    package var stride: Int

    package init(start: UnsafePointer<Float>, stride: Int) {
      self.start = start
      self.stride = stride
    }
  }

  /// keyBias: `[keyCount]`; relativeBias: `[queryCount + keyCount - 1]`, the number of query i and key j at
  /// j - i + queryCount - 1.
  package init(
    kernels: KernelTable, q: Operand, k: Operand, v: Operand, y: UnsafeMutablePointer<Float>,
    yStride: Int, queryCount: Int, keyCount: Int, headDimension: Int, scale: Float,
    keyBias: UnsafePointer<Float>?, relativeBias: UnsafePointer<Float>? = nil, causal: Bool
  ) {
    precondition(headDimension > 0 && headDimension <= 512)
    precondition(min(q.stride, k.stride, v.stride, yStride) >= headDimension)
    kernel = kernels.raw.pointee.attention_f32
    arguments = attention_f32_args(
      q: q.start, k: k.start, v: v.start, y: y, q_stride: q.stride, k_stride: k.stride,
      v_stride: v.stride, y_stride: yStride, query_count: queryCount, key_count: keyCount,
      head_dimension: headDimension, scale: scale, key_bias: keyBias,
      score_bias: relativeBias.map { $0 + queryCount - 1 }, score_bias_stride: -1, causal: causal)
    self.queryCount = queryCount
  }

  package func run(queries: Range<Int>, scratch: UnsafeMutablePointer<Float>) {
    withUnsafePointer(to: arguments) {
      kernel($0, scratch, queries.lowerBound, queries.upperBound)
    }
  }
}
