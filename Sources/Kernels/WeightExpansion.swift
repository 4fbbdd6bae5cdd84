import CKernels
package import PipitTensors

extension KernelTable {
  /// Expands rows of a stored weight to f32, `weight.columns` floats each, without allocating.
  package func expand(
    _ weight: Weight, rows: Range<Int>, into output: UnsafeMutablePointer<Float>
  ) {
    expandStored(weight, rows: rows, into: output)
    for row in rows { multiply(weight, row: row, output + (row - rows.lowerBound) * weight.columns) }
  }

  /// As above, of one row that is read from its file (see `MappedFile.read`) by way of `scratch`, which has room for
  /// the row's `storedRowByteCount`.
  package func expand(
    _ weight: Weight, row: Int, from file: MappedFile, by scratch: UnsafeMutableRawPointer,
    into output: UnsafeMutablePointer<Float>
  ) {
    precondition(row >= 0 && row < weight.rows && weight.expandsToFloat)
    let values = weight.row(row, of: weight.bytes)
    file.read(values, into: scratch)
    let scales = scratch + values.count
    if case .int4(let stored, _) = weight.storage {
      file.read(weight.row(row, of: stored.bytes), into: scales)
    }
    expandStored(weight, row: row, values: scratch, scales: scales, into: output)
    multiply(weight, row: row, output)
  }

  /// Multiplies an expanded row by its factor, if it has one.
  private func multiply(_ weight: Weight, row: Int, _ y: UnsafeMutablePointer<Float>) {
    guard let factors = weight.rowFactors else { return }
    affine(y, y, count: weight.columns, scale: factors[row], shift: 0)
  }

  private func expandStored(
    _ weight: Weight, rows: Range<Int>, into output: UnsafeMutablePointer<Float>
  ) {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= weight.rows)
    precondition(weight.expandsToFloat)
    guard let start = weight.bytes.baseAddress, !rows.isEmpty else { return }
    let columns = weight.columns
    var (rowBytes, scaleBytes, scales) = (columns, 0, UnsafeRawPointer?.none)
    switch weight.storage {
    case .dense(let type):
      let first = rows.lowerBound * columns * type.byteCount
      expand(start + first, type, count: rows.count * columns, into: output)
      return
    case .int8: break
    case .int4(let stored, let group):
      (rowBytes, scaleBytes) = (columns / 2, columns / group * stored.elementType.byteCount)
      scales = stored.bytes.baseAddress
    }
    for row in rows {
      expandStored(
        weight, row: row, values: start + row * rowBytes, scales: scales.map { $0 + row * scaleBytes },
        into: output + (row - rows.lowerBound) * columns)
    }
  }

  /// One row, whose values, and scales if it has several, lie there.
  private func expandStored(
    _ weight: Weight, row: Int, values: UnsafeRawPointer, scales: UnsafeRawPointer?,
    into output: UnsafeMutablePointer<Float>
  ) {
    let columns = weight.columns
    switch weight.storage {
    case .dense(let type):
      expand(values, type, count: columns, into: output)
    case .int8(let factors):
      raw.pointee.f32_from_i8(output, values.assumingMemoryBound(to: Int8.self), columns, factors[row])
    case .int4(let stored, let group):
      guard let scales else { return }
      withUnsafeTemporaryAllocation(of: Float.self, capacity: columns / group) { factors in
        guard let factors = factors.baseAddress else { return }
        expand(scales, stored.elementType, count: columns / group, into: factors)
        raw.pointee.f32_from_i4(
          output, values.assumingMemoryBound(to: UInt8.self), factors, columns, group)
      }
    }
  }

  private func expand(
    _ source: UnsafeRawPointer, _ type: ElementType, count: Int,
    into output: UnsafeMutablePointer<Float>
  ) {
    switch type {
    case .f16:
      raw.pointee.f32_from_f16(output, source.assumingMemoryBound(to: UInt16.self), count)
    case .bf16:
      raw.pointee.f32_from_bf16(output, source.assumingMemoryBound(to: UInt16.self), count)
    default:
      // Tensors of a file may lie at any byte, so f32 is copied, not read in place.
      UnsafeMutableRawPointer(output).copyMemory(
        from: source, byteCount: count * MemoryLayout<Float>.stride)
    }
  }

  /// Writes rows of a stored weight as a packed format has its numbers, `weight.columns` each: f32, or as
  /// they are stored. Factors are left to who multiplies.
  package func unpack(
    _ weight: Weight, rows: Range<Int>, _ format: PackedFormat, into output: UnsafeMutableRawPointer
  ) {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= weight.rows)
    if format.numbers == .f32 {
      let count = rows.count * weight.columns
      expand(weight, rows: rows, into: output.bindMemory(to: Float.self, capacity: count))
      return
    }
    guard let start = weight.bytes.baseAddress else { return }
    let rowBytes = weight.bytes.count / weight.rows
    precondition(rowBytes == format.byteCount(weight.columns))
    output.copyMemory(
      from: start + rows.lowerBound * rowBytes, byteCount: rows.count * rowBytes)
  }

  /// Writes rows of a weight of integers as 8-bit ones, `weight.columns` each; `scales` are its `integerScales`.
  package func integers(
    _ weight: Weight, _ scales: [Float], rows: Range<Int>, into output: UnsafeMutablePointer<Int8>
  ) {
    precondition(scales.count == weight.rows)
    let columns = weight.columns
    if case .int8 = weight.storage {
      guard let start = weight.bytes.baseAddress else { return }
      UnsafeMutableRawPointer(output).copyMemory(
        from: start + rows.lowerBound * columns, byteCount: rows.count * columns)
      return
    }
    withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { floats in
      guard let floats = floats.baseAddress else { return }
      for row in rows {
        expand(weight, rows: row..<row + 1, into: floats)
        quantize(
          output + (row - rows.lowerBound) * columns, floats, count: columns, scale: scales[row],
          zeroPoint: 0)
      }
    }
  }

  /// A matrix of whole bytes a number `[rows, columns]` to `[columns, rows]`.
  package func turn(
    _ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ format: PackedFormat,
    rows: Int, columns: Int
  ) {
    switch format.byteCount(2) {
    case 2: turn(source, to: target, of: UInt8.self, rows: rows, columns: columns)
    case 4: turn(source, to: target, of: UInt16.self, rows: rows, columns: columns)
    default:
      precondition(format.numbers == .f32)
      transpose(
        target.bindMemory(to: Float.self, capacity: rows * columns), yStride: rows,
        source.assumingMemoryBound(to: Float.self), xStride: columns, rows: rows, columns: columns)
    }
  }

  private func turn<Number: BitwiseCopyable>(
    _ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, of: Number.Type,
    rows: Int, columns: Int
  ) {
    let x = source.assumingMemoryBound(to: Number.self)
    let y = target.bindMemory(to: Number.self, capacity: rows * columns)
    for column in 0..<columns {
      for row in 0..<rows { y[column * rows + row] = x[row * columns + column] }
    }
  }
}
