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
  /// so that at no time more than one panel exists twice.
  package init(
    columns: Int, depth: Int, kernels: KernelTable,
    expand: (_ range: Range<Int>, _ rows: UnsafeMutablePointer<Float>) -> Void
  ) {
    precondition(columns > 0)
    precondition(depth > 0)
    let gemm = kernels.raw.pointee.gemm_f32
    let tile = gemm.tile_columns
    let panels = (columns + tile - 1) / tile
    let byteCount = panels * tile * depth * MemoryLayout<Float>.stride
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
    let packed = memory.bindMemory(to: Float.self, capacity: panels * tile * depth)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: tile * depth) { rows in
      guard let rows = rows.baseAddress else { return }
      for panel in 0..<panels {
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
