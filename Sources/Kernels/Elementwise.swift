import CKernels

/// Operations on two numbers; raw values are the C enumeration's.
package enum KernelBinary: UInt32, Sendable {
  case add, subtract, multiply, divide
}

/// Elementwise kernels, norms and layout. Shapes and aliasing are those of `ckernels.h`.
extension KernelTable {
  package func activate(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int,
    _ activation: KernelActivation
  ) {
    raw.pointee.activate_f32(y, x, count, activation.raw)
  }

  package func binary(
    _ y: UnsafeMutablePointer<Float>, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
    rows: Int, columns: Int, bRowStride: Int, bColumnStride: Int, _ operation: KernelBinary
  ) {
    precondition(bColumnStride == 0 || bColumnStride == 1)
    raw.pointee.binary_f32(
      y, a, b, rows, columns, bRowStride, bColumnStride,
      CKernels.binary(rawValue: operation.rawValue))
  }

  package func affine(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int, scale: Float,
    shift: Float
  ) {
    raw.pointee.affine_f32(y, x, count, scale, shift)
  }

  package func modulate(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, scale: UnsafePointer<Float>,
    shift: UnsafePointer<Float>, rows: Int, columns: Int
  ) {
    raw.pointee.modulate_f32(y, x, scale, shift, rows, columns)
  }

  package func gateAdd(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, gate: UnsafePointer<Float>,
    residual: UnsafePointer<Float>, rows: Int, columns: Int
  ) {
    raw.pointee.gate_add_f32(y, x, gate, residual, rows, columns)
  }

  package func gatedGELU(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, rows: Int, columns: Int
  ) {
    raw.pointee.geglu_f32(y, x, rows, columns)
  }

  package func layerNorm(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, gain: UnsafePointer<Float>?,
    bias: UnsafePointer<Float>?, rows: Int, columns: Int, epsilon: Float
  ) {
    precondition(columns > 0)
    precondition(epsilon > 0)
    raw.pointee.layernorm_f32(y, x, gain, bias, rows, columns, epsilon)
  }

  package func groupNormSums(
    _ sums: UnsafeMutablePointer<Double>, _ squares: UnsafeMutablePointer<Double>,
    _ x: UnsafePointer<Float>, pivot: UnsafePointer<Float>, pixels: Int, channels: Int
  ) {
    raw.pointee.groupnorm_stats_f32(sums, squares, x, pivot, pixels, channels)
  }

  package func scaleShift(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, scale: UnsafePointer<Float>,
    shift: UnsafePointer<Float>, pixels: Int, channels: Int, _ activation: KernelActivation
  ) {
    raw.pointee.scale_shift_f32(y, x, scale, shift, pixels, channels, activation.raw)
  }

  package func softmax(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, rows: Int, columns: Int
  ) {
    precondition(columns > 0)
    raw.pointee.softmax_f32(y, x, rows, columns)
  }

  package func l2Normalize(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, rows: Int, columns: Int,
    epsilon: Float
  ) {
    precondition(epsilon > 0)
    raw.pointee.l2_normalize_f32(y, x, rows, columns, epsilon)
  }

  package func meanRows(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>?,
    rows: Int, columns: Int
  ) {
    raw.pointee.mean_rows_f32(y, x, weight, rows, columns)
  }

  /// Rows of one image's sum over windows; see `sum_taps_args` in the contract.
  package func sumTaps(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    geometry g: ConvolutionGeometry, rows: Range<Int>
  ) {
    precondition(g.kernelHeight == g.kernelWidth && g.stride == 1)
    var arguments = sum_taps_args(
      x: x, bias: bias, y: y, height: g.inputHeight, width: g.inputWidth,
      output_width: g.outputWidth, channels: g.outputChannels, kernel: g.kernelHeight,
      top: g.padTop, left: g.padLeft)
    raw.pointee.sum_taps_f32(&arguments, rows.lowerBound, rows.upperBound)
  }

  package func upsample2x(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, width: Int, channels: Int,
    rows: Range<Int>
  ) {
    raw.pointee.upsample2x_f32(y, x, width, channels, rows.lowerBound, rows.upperBound)
  }

  package func transpose(
    _ y: UnsafeMutablePointer<Float>, yStride: Int, _ x: UnsafePointer<Float>, xStride: Int,
    rows: Int, columns: Int
  ) {
    precondition(yStride >= rows)
    precondition(xStride >= columns)
    raw.pointee.transpose_f32(y, yStride, x, xStride, rows, columns)
  }

  /// Pixels of one to three numbers get `value` as their others, up to four; x may be y's last bytes.
  package func widenPixels(
    _ y: UnsafeMutablePointer<Int8>, _ x: UnsafePointer<Int8>, pixels: Int, channels: Int, value: Int8
  ) {
    precondition((1...3).contains(channels))
    raw.pointee.widen_pixels_i8(y, x, pixels, channels, value)
  }
}
