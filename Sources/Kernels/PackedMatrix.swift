import CKernels

/// A weight `[columns, depth]` in the tile order of one level's product kernels.
package final class PackedMatrix: Sendable {
  package let columns: Int
  package let depth: Int
  package let tileColumns: Int

  // SAFETY: written only in `init`; freed in `deinit`; read-only in between.
  nonisolated(unsafe) let values: UnsafePointer<Float>
  package let byteCount: Int

  /// Packs panel by panel: `expand` writes rows `range`, `depth` floats each, to the pointer it is given,
  /// so that at no time more than a panel for each thread exists twice. `forEach` calls its body with
  /// 0 ..< the count it is given, in any order, on as many threads as it likes.
  package init(
    columns: Int, depth: Int, kernels: KernelTable,
    forEach: (_ count: Int, _ body: (Int) -> Void) -> Void = { (0..<$0).forEach($1) },
    expand: @escaping (_ range: Range<Int>, _ rows: UnsafeMutablePointer<Float>) -> Void
  ) {
    precondition(columns > 0)
    precondition(depth > 0)
    let gemm = kernels.raw.pointee.gemm_f32
    let tile = gemm.tile_columns
    let panels = (columns + tile - 1) / tile
    let byteCount = panels * tile * depth * MemoryLayout<Float>.stride
    let memory = BlockMemory.allocate(byteCount: byteCount)
    let packed = memory.bindMemory(to: Float.self, capacity: panels * tile * depth)
    forEach(panels) { panel in
      withUnsafeTemporaryAllocation(of: Float.self, capacity: tile * depth) { rows in
        guard let rows = rows.baseAddress else { return }
        let range = panel * tile..<min(columns, (panel + 1) * tile)
        expand(range, rows)
        gemm.pack_panel(packed + panel * tile * depth, rows, depth, range.count, depth)
      }
    }
    self.columns = columns
    self.depth = depth
    self.byteCount = byteCount
    tileColumns = tile
    values = UnsafePointer(packed)
  }

  deinit { values.deallocate() }

  package var panelCount: Int { (columns + tileColumns - 1) / tileColumns }
}
