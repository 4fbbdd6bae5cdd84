import CKernels

/// An integer convolution by Winograd's minimal filtering, ready to run: the same numbers as those of
/// `IntegerConv2DCall`, to the last bit, by a quarter of the multiplications, of 16 bits.
package struct IntegerWinogradCall {
  private let kernel: gemm_i8_kernels
  private let arguments: conv2d_i8_args
  package let tileCount: Int
  package let panelCount: Int

  /// What sums must stay below in magnitude.
  package static let sumLimit = 1 << 25

  /// Whether a level has the kernel, it computes a convolution of that geometry, and fewer multiplications
  /// pay for the transforms: there must be tiles enough to share those of the filters, which few pixels of
  /// stand out.
  ///
  /// Of the direct convolution's time at AVX-512 VNNI (an EPYC's core, one thread): 256 x 256 x 64 .66,
  /// 28 x 28 x 128 .70, 32 x 32 x 512 .69, 16 x 16 x 640 .78, but 14 x 14 x 256 1.04 and 7 x 7 x 512 2.0.
  package static func pays(for geometry: ConvolutionGeometry, kernels: KernelTable) -> Bool {
    let g = geometry
    guard kernels.raw.pointee.gemm_i8.winograd != nil, g.kernelHeight == 3, g.kernelWidth == 3,
      g.stride == 1, g.dilation == 1, g.upsample == 1
    else { return false }
    let tiles = tileCount(g)
    return g.inputChannels % 64 == 0 && g.outputChannels >= 32 && tiles >= 16
      && g.pixelCount >= 13 * tiles
  }

  /// Tiles of 4 x 4 pixels.
  package static func tileCount(_ geometry: ConvolutionGeometry) -> Int {
    geometry.batch * ((geometry.outputHeight + 3) / 4) * ((geometry.outputWidth + 3) / 4)
  }

  /// Bytes of scratch memory that a thread needs for `panels` panels of a convolution at a time.
  package static func scratchByteCount(
    _ geometry: ConvolutionGeometry, panels: Int, kernels: KernelTable
  ) -> Int {
    var arguments = conv2d_i8_args()
    arguments.input_channels = geometry.inputChannels
    return kernels.raw.pointee.gemm_i8.winograd_scratch_bytes?(&arguments, panels) ?? 0
  }

  /// Panels that the weights of a convolution have.
  package static func panelCount(_ geometry: ConvolutionGeometry, kernels: KernelTable) -> Int {
    let columns = kernels.raw.pointee.gemm_i8.tile_columns
    return (geometry.outputChannels + columns - 1) / columns
  }

  /// As `IntegerConv2DCall.init`; `nil` where it does not pay, or where sums might not fit the 26 bits that
  /// are left of them.
  package init?(
    kernels: KernelTable, geometry: ConvolutionGeometry, x: UnsafePointer<Int8>,
    weights: PackedIntegers, y: UnsafeMutablePointer<Float>?, epilogue: IntegerEpilogue
  ) {
    guard IntegerWinogradCall.pays(for: geometry, kernels: kernels), epilogue.rowQuantization == nil,
      weights.greatestSum(zeroPoint: epilogue.zeroPoint) < IntegerWinogradCall.sumLimit
    else { return nil }
    precondition(y != nil || epilogue.integers != nil)
    precondition(weights.columns == geometry.outputChannels)
    precondition(weights.depth == 9 * geometry.inputChannels)
    kernel = kernels.raw.pointee.gemm_i8
    precondition(kernel.tile_columns == weights.tileColumns, "packed for another level")
    arguments = geometry.integerArguments(
      x: x, packed: weights.values, y: y, yRowGap: 0, epilogue: epilogue.raw)
    tileCount = IntegerWinogradCall.tileCount(geometry)
    panelCount = weights.panelCount
  }

  /// Computes a range of tiles and panels; disjoint ranges can run at the same time. Of a call that was made
  /// there is a kernel.
  package func run(tiles: Range<Int>, panels: Range<Int>, scratch: UnsafeMutableRawPointer) {
    withUnsafePointer(to: arguments) {
      kernel.winograd?(
        $0, scratch.assumingMemoryBound(to: Int8.self), tiles.lowerBound, tiles.upperBound,
        panels.lowerBound, panels.upperBound)
    }
  }
}
