import CKernels

extension KernelTable {
  /// Bytes that a weight `[columns, depth]` takes in the tile order of this level's f32 products.
  package func packedByteCount(columns: Int, depth: Int, format: PackedFormat) -> Int {
    let tile = raw.pointee.gemm_f32.tile_columns
    let padded = (columns + tile - 1) / tile * tile
    let factors = format.factorCount(depth: depth)
    return format.byteCount(padded * depth) + padded * factors * MemoryLayout<Float>.stride
  }

  /// Floats of scratch memory that a thread needs for products with a weight `[columns, depth]`.
  package func productScratchCount(
    columns: Int, depth: Int, format: PackedFormat, hasResidual: Bool
  ) -> Int {
    if multipliesHalves(format) { return 0 }
    return raw.pointee.gemm_f32.product_scratch_count(format.raw, columns, depth, hasResidual)
  }

  /// Bytes that an 8-bit weight `[columns, depth]` takes in the order of this level's integer products.
  package func packedIntegerByteCount(columns: Int, depth: Int) -> Int {
    var kernel = raw.pointee.gemm_i8
    return (columns + kernel.tile_columns - 1) / kernel.tile_columns
      * gemm_i8_panel_bytes(&kernel, depth)
  }
}

/// What a convolution by Winograd's filtering is cut into, told before there are weights or images.
package struct WinogradExtents {
  package let tileCount: Int
  package let tileRows: Int
  package let panelCount: Int
  package let longestBlock: Int
  private let geometry: ConvolutionGeometry
  private let format: PackedFormat
  private let kernel: gemm_f32_kernels

  /// Of a geometry that `WinogradCall.applies` to and weights of that format.
  package init(_ geometry: ConvolutionGeometry, format: PackedFormat, kernels: KernelTable) {
    precondition(WinogradCall.applies(to: geometry))
    kernel = kernels.raw.pointee.gemm_f32
    self.geometry = geometry
    self.format = format
    tileRows = kernel.tile_rows
    longestBlock = WinogradCost(geometry).longestBlock
    panelCount = (geometry.outputChannels + kernel.tile_columns - 1) / kernel.tile_columns
    tileCount = WinogradExtents.withArguments(geometry, format) { winograd_tile_count($0) }
  }

  /// Floats of scratch memory for `tiles` tiles at a time.
  package func scratchCount(tiles: Int) -> Int {
    WinogradExtents.withArguments(geometry, format) { kernel.winograd_scratch_count($0, tiles) }
  }

  private static func withArguments(
    _ geometry: ConvolutionGeometry, _ format: PackedFormat,
    _ body: (UnsafePointer<conv2d_f32_args>) -> Int
  ) -> Int {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 1) { number in
      // The sizes depend on geometry and format only; nothing reads or writes the numbers.
      guard let start = number.baseAddress else { preconditionFailure("no memory") }
      var weight = packed_weight()
      weight.format = format.raw
      let arguments = geometry.arguments(
        x: start, weight: weight, zeros: nil, y: start, epilogue: KernelEpilogue())
      return withUnsafePointer(to: arguments, body)
    }
  }
}
