import CKernels

/// A weight `[columns, depth]` in the tile order of one level's product kernels.
package final class PackedMatrix: Sendable {
  package let columns: Int
  package let depth: Int
  package let tileColumns: Int
  package let format: PackedFormat

  // SAFETY: written only in `init`; freed in `deinit`; read-only in between.
  nonisolated(unsafe) private let values: UnsafeRawPointer
  nonisolated(unsafe) private let factors: UnsafePointer<Float>?
  package let byteCount: Int

  /// Packs panel by panel: `fill` writes rows `range`, `depth` numbers each as the format has them, to the
  /// pointer it is given, so that at no time more than a panel for each thread exists twice. `forEach`
  /// calls its body with 0 ..< the count it is given, in any order, on as many threads as it likes.
  ///
  /// - Parameter factors: `[columns, groups]` as the format has them; empty if it has none.
  package init(
    columns: Int, depth: Int, format: PackedFormat, factors: [Float], kernels: KernelTable,
    forEach: (_ count: Int, _ body: (Int) -> Void) -> Void = { (0..<$0).forEach($1) },
    fill: @escaping (_ range: Range<Int>, _ rows: UnsafeMutableRawPointer) -> Void
  ) {
    precondition(columns > 0 && depth > 0)
    precondition(format.factorDepth == 0 || format.factorDepth == .max || depth % format.factorDepth == 0)
    let gemm = kernels.raw.pointee.gemm_f32
    let tile = gemm.tile_columns
    let panels = (columns + tile - 1) / tile
    let panelBytes = format.byteCount(tile * depth)
    let memory = BlockMemory.allocate(byteCount: panels * panelBytes)
    forEach(panels) { panel in
      withUnsafeTemporaryAllocation(byteCount: panelBytes, alignment: 64) { rows in
        guard let rows = rows.baseAddress else { return }
        let range = panel * tile..<min(columns, (panel + 1) * tile)
        fill(range, rows)
        gemm.pack_panel(memory + panel * panelBytes, rows, depth, range.count, depth, format.raw)
      }
    }
    self.columns = columns
    self.depth = depth
    self.format = format
    byteCount = kernels.packedByteCount(columns: columns, depth: depth, format: format)
    tileColumns = tile
    values = UnsafeRawPointer(memory)
    let groups = format.factorCount(depth: depth)
    precondition(factors.count == columns * groups)
    self.factors = groups == 0 ? nil : PackedMatrix.pack(factors, groups: groups, tile: tile)
  }

  /// As above, of f32 numbers.
  package convenience init(
    columns: Int, depth: Int, kernels: KernelTable,
    expand: @escaping (_ range: Range<Int>, _ rows: UnsafeMutablePointer<Float>) -> Void
  ) {
    self.init(columns: columns, depth: depth, format: .f32, factors: [], kernels: kernels) {
      range, rows in
      expand(range, rows.bindMemory(to: Float.self, capacity: range.count * depth))
    }
  }

  deinit {
    values.deallocate()
    factors?.deallocate()
  }

  package var panelCount: Int { (columns + tileColumns - 1) / tileColumns }

  var raw: packed_weight {
    let factorDepth = format.factorDepth == .max ? depth : format.factorDepth
    return packed_weight(
      values: values, format: format.raw, factors: factors, factor_depth: factorDepth)
  }

  /// `[columns, groups]` to `[panels, groups, tile]`.
  private static func pack(_ factors: [Float], groups: Int, tile: Int) -> UnsafePointer<Float> {
    let columns = factors.count / groups
    let count = (columns + tile - 1) / tile * tile * groups
    let memory = BlockMemory.allocate(byteCount: count * MemoryLayout<Float>.stride)
    let packed = memory.bindMemory(to: Float.self, capacity: count)
    packed.initialize(repeating: 0, count: count)
    for column in 0..<columns {
      for group in 0..<groups {
        packed[(column / tile * groups + group) * tile + column % tile] =
          factors[column * groups + group]
      }
    }
    return UnsafePointer(packed)
  }
}
