package import PipitKernels

/// How the output of a product, rows (or pixels) by panels of columns, is cut into tiles.
package struct ProductGrid {
  private let rows: Split
  private let panels: Split

  /// Few rows: cut the panels, so that each weight is read once. Many rows: cut the rows, so that each
  /// activation is read once. In between: both. Weights that each piece of rows expands anew should serve
  /// many of them.
  package init(
    rowCount: Int, panelCount: Int, tileRows: Int, tiles: Int, expandsWeights: Bool = false
  ) {
    if rowCount >= (expandsWeights ? 256 : 4 * tileRows) * tiles {
      rows = Split(rowCount, tiles: tiles, grain: tileRows)
      panels = Split(panelCount, tiles: 1)
    } else {
      panels = Split(panelCount, tiles: tiles)
      let left = (tiles + panels.tileCount - 1) / panels.tileCount
      rows = Split(rowCount, tiles: left, grain: tileRows)
    }
  }

  package var tileCount: Int { rows.tileCount * panels.tileCount }

  package subscript(tile: Int) -> (rows: Range<Int>, panels: Range<Int>) {
    (rows[tile / panels.tileCount], panels[tile % panels.tileCount])
  }
}

/// How fast convolution is cut: into blocks of tiles that share the transformed filters; few blocks are
/// cut by columns too, for which the image is transformed again.
package struct WinogradGrid {
  private let tiles: Split
  private let panels: Split

  package init(_ call: WinogradCall, threadCount: Int) {
    self.init(
      tileCount: call.tileCount, tileRows: call.tileRows, panelCount: call.panelCount,
      longestBlock: call.longestBlock, threadCount: threadCount)
  }

  /// As above, of a convolution that need not be there yet.
  package init(
    tileCount: Int, tileRows: Int, panelCount: Int, longestBlock: Int, threadCount: Int
  ) {
    // Whole register tiles, as one of few rows takes as long.
    tiles = Split(
      tileCount, tiles: (tileCount + longestBlock - 1) / longestBlock, grain: tileRows)
    panels = Split(
      panelCount, tiles: WinogradGrid.cuts(of: tiles.tileCount, threadCount: threadCount))
  }

  /// Pieces of each block so that threads have equally many; of many blocks one more or less is little.
  private static func cuts(of blocks: Int, threadCount: Int) -> Int {
    guard blocks < 5 * threadCount else { return 1 }
    return (1...threadCount).first { blocks * $0 % threadCount == 0 } ?? 1
  }

  /// Winograd's tiles in a piece, at most: what its scratch memory is for.
  package var longestTiles: Int { tiles.unitsPerTile }

  package var tileCount: Int { tiles.tileCount * panels.tileCount }

  package subscript(tile: Int) -> (tiles: Range<Int>, panels: Range<Int>) {
    (tiles[tile / panels.tileCount], panels[tile % panels.tileCount])
  }
}

/// How fast integer convolution is cut: into runs of tiles long enough to share the transform of the filters;
/// where there are few, by columns, for which the image is transformed again.
package struct IntegerWinogradGrid {
  private let tiles: Split
  private let panels: Split

  /// Tiles that share transforms in one call of the kernel.
  private static let block = 56

  package init(tileCount: Int, panelCount: Int, threadCount: Int) {
    let blocks = tileCount / IntegerWinogradGrid.block
    if blocks >= threadCount {
      let runs = min(4 * threadCount, blocks / threadCount * threadCount)
      tiles = Split(tileCount, tiles: runs)
      panels = Split(panelCount, tiles: 1)
    } else {
      panels = Split(panelCount, tiles: threadCount)
      tiles = Split(tileCount, tiles: (threadCount + panels.tileCount - 1) / panels.tileCount)
    }
  }

  /// Panels in a piece, at most: what its scratch memory is for.
  package var longestPanels: Int { panels.unitsPerTile }

  package var tileCount: Int { tiles.tileCount * panels.tileCount }

  package subscript(tile: Int) -> (tiles: Range<Int>, panels: Range<Int>) {
    (tiles[tile / panels.tileCount], panels[tile % panels.tileCount])
  }
}

/// How attention is cut: by heads, and each head's queries as far as the threads need it, since every
/// piece packs the keys that it sees.
package struct AttentionGrid {
  private let queries: Split
  private let callCount: Int

  package init(queries: Int, calls: Int, tiles: Int) {
    callCount = calls
    // Rows of whole register tiles, of whichever level.
    self.queries = Split(queries, tiles: (tiles + calls - 1) / calls, grain: 42)
  }

  package var tileCount: Int { callCount * queries.tileCount }

  package subscript(tile: Int) -> (call: Int, queries: Range<Int>) {
    (tile / queries.tileCount, queries[tile % queries.tileCount])
  }
}
