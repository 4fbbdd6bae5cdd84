/// A tensor that a model was trained to have, as it lies in its file: mapped, perhaps compressed.
///
/// Seen as a matrix, rows are the first axis and columns everything behind it, which is how linear
/// layers `[out, in]`, convolutions `[out, in, height, width]` and embedding tables `[ids, width]` lie.
package struct Weight: Sendable {
  /// How the numbers are stored.
  package enum Storage: Sendable {
    /// Elements as they are: f32, f16 or bf16 (others are legal in a file; see `expandsToFloat`).
    case dense(ElementType)
    /// 8-bit integers with one scale a row: value = stored * scale[row].
    case int8(scales: [Float])
    /// 4-bit integers, low half of each byte first, stored with 8 added, with one scale for every
    /// `group` columns of a row: value = (stored - 8) * scale[row, column / group].
    case int4(scales: StoredFloats, group: Int)
  }

  /// What becomes of a layer's input before the product with the layer's weight.
  package enum Activations: Sendable, Equatable {
    /// It stays f32, and so is the product.
    case float
    /// Each row (a token, a pixel) becomes 8-bit integers when the layer runs:
    /// stored = round(127 * value / largest magnitude of the row). The product is an integer one.
    case dynamicPerToken
    /// All of it becomes 8-bit integers by numbers from calibration:
    /// stored = clamp(round(value / scale) + zeroPoint, -128...127). The product is an integer one.
    case staticPerTensor(scale: Float, zeroPoint: Int8)
  }

  /// Scales as they lie in the file, f32, f16 or bf16.
  package struct StoredFloats: Sendable {
    package let elementType: ElementType
    // SAFETY: lies in the mapping that the weight's `owner` keeps alive; never written.
    nonisolated(unsafe) package let bytes: UnsafeRawBufferPointer

    package init(elementType: ElementType, bytes: UnsafeRawBufferPointer) {
      precondition(elementType == .f32 || elementType == .f16 || elementType == .bf16)
      self.elementType = elementType
      self.bytes = bytes
    }
  }

  /// The tensor's name in the checkpoint.
  package let name: String
  /// The logical shape, whatever the storage.
  package let shape: Shape
  package let storage: Storage
  /// How the layer's input is prepared for its product with this weight.
  package let activations: Activations
  /// What each row is multiplied by when it is expanded, if anything (a normalization folded into it).
  package private(set) var rowFactors: [Float]?

  // SAFETY: lies in memory that `owner` keeps alive and that is never written after construction.
  nonisolated(unsafe) package let bytes: UnsafeRawBufferPointer
  package let owner: any AnyObject & Sendable

  /// A weight over bytes that `owner` keeps alive; the byte count fits the shape and storage.
  package init(
    name: String, shape: Shape, storage: Storage, activations: Activations = .float,
    bytes: UnsafeRawBufferPointer, owner: any AnyObject & Sendable
  ) {
    self.name = name
    self.shape = shape
    self.storage = storage
    self.activations = activations
    self.bytes = bytes
    self.owner = owner
    precondition(bytes.count == storedByteCount, "\(name): bytes do not fit the shape")
  }

  /// The same numbers, whose products are those of floats.
  package var withFloatProducts: Weight {
    var result = Weight(
      name: name, shape: shape, storage: storage, bytes: bytes, owner: owner)
    result.rowFactors = rowFactors
    return result
  }

  /// Rows when seen as a matrix; 1 for a scalar.
  package var rows: Int { shape.rank == 0 ? 1 : shape[0] }
  /// Columns when seen as a matrix: all axes behind the first.
  package var columns: Int { shape.extents.dropFirst().reduce(1, *) }

  /// Whether a product can take it as 8-bit integers with a scale a row.
  package var isIntegers: Bool {
    switch storage {
    case .dense: false
    case .int8: true
    case .int4: shape.rank == 2 && rowFactors == nil
    }
  }

  /// The scale of each row of 8-bit integers; `nil` where `isIntegers` is false. Rows of 4-bit integers, whose
  /// groups have scales of their own, become 8-bit ones of one scale by which the greatest number that they can
  /// hold (-8 by the greatest scale) is 127.
  package var integerScales: [Float]? {
    switch storage {
    case .int8(let scales): return scales
    case .int4(let stored, let group) where isIntegers:
      let scales = stored.floats()
      let groups = columns / group
      return (0..<rows).map { row in
        let greatest = scales[row * groups..<(row + 1) * groups].reduce(0) { max($0, abs($1)) }
        // What a file says may be no number, or none to divide by.
        return greatest > 0x1p-100 && greatest < 0x1p100 ? greatest * (8 / 127) : 1
      }
    default: return nil
    }
  }

  /// Whether the engine can compute with it (false for 64-bit integers and the like).
  package var expandsToFloat: Bool {
    switch storage {
    case .dense(let type): type == .f32 || type == .f16 || type == .bf16
    case .int8, .int4: true
    }
  }

  /// The bytes of one row among those of all, of values or of scales.
  package func row(_ index: Int, of bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let count = bytes.count / rows
    return UnsafeRawBufferPointer(rebasing: bytes[index * count..<(index + 1) * count])
  }

  /// Bytes of one row's stored values and scales; `nil` where a row begins within a byte.
  package var storedRowByteCount: Int? {
    guard bytes.count % rows == 0 else { return nil }
    guard case .int4(let scales, _) = storage else { return bytes.count / rows }
    return (bytes.count + scales.bytes.count) / rows
  }

  /// Bytes of the stored values, scales not counted.
  package var storedByteCount: Int {
    switch storage {
    case .dense(let type): shape.count * type.byteCount
    case .int8: shape.count
    case .int4: (shape.count + 1) / 2
    }
  }
}

extension Weight {
  /// A weight made here from f32 numbers (a folded constant, a test's random matrix).
  package init(name: String, shape: Shape, values: [Float]) {
    precondition(values.count == shape.count)
    let copy = FloatStorage(values)
    self.init(
      name: name, shape: shape, storage: .dense(.f32), bytes: copy.bytes, owner: copy)
  }

  /// Each row times a number, copying nothing. Integers take it into their scales.
  package func scalingRows(by factors: [Float]) -> Weight {
    precondition(factors.count == rows)
    if case .int8(let scales) = storage {
      return Weight(
        name: name, shape: shape, storage: .int8(scales: zip(scales, factors).map { $0 * $1 }),
        activations: activations, bytes: bytes, owner: owner)
    }
    var result = self
    result.rowFactors = zip(rowFactors ?? factors.map { _ in 1 }, factors).map { $0 * $1 }
    return result
  }

  /// The same numbers under another shape that has as many rows and columns.
  package func reshaped(to shape: Shape) -> Weight {
    var result = Weight(
      name: name, shape: shape, storage: storage, activations: activations, bytes: bytes,
      owner: owner)
    result.rowFactors = rowFactors
    precondition(result.rows == rows && result.columns == columns, "\(name): other rows")
    return result
  }
}

/// Owns a block of floats, 64-byte aligned.
package final class FloatStorage: Sendable {
  // SAFETY: written only in `init`; freed in `deinit`.
  nonisolated(unsafe) package let bytes: UnsafeRawBufferPointer

  package init(_ values: [Float]) {
    let byteCount = values.count * MemoryLayout<Float>.stride
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    values.withUnsafeBytes { block.copyMemory(from: $0) }
    bytes = UnsafeRawBufferPointer(block)
  }

  deinit { bytes.deallocate() }
}

/// Owns a block of bytes, 64-byte aligned.
package final class ByteStorage: Sendable {
  // SAFETY: written only in `init`; freed in `deinit`.
  nonisolated(unsafe) package let bytes: UnsafeRawBufferPointer

  /// `fill` writes all of the `count` bytes.
  package init(count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    fill(block)
    bytes = UnsafeRawBufferPointer(block)
  }

  deinit { bytes.deallocate() }
}

/// Where a model's weights come from: a checkpoint folder, or a test's random numbers.
package protocol WeightSource: Sendable {
  /// The names of all tensors (logical names: a compressed weight counts once).
  var names: [String] { get }

  /// The file or folder, for messages; empty if there is none.
  var path: String { get }

  /// The tensor of that name, `nil` if there is none; throws if it is there but cannot be used.
  func weight(named name: String) throws -> Weight?
}

extension WeightSource {
  package var path: String { "" }
}
