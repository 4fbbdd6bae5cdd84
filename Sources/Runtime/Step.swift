import PipitKernels

/// One piece of a program: work split into tiles that write disjoint parts of the output.
///
/// Everything a step needs is resolved when it is made; running it allocates nothing. Subclasses
/// override `run(tile:worker:)`.
class Step: TiledWork {
  final let tileCount: Int

  init(tileCount: Int) {
    precondition(tileCount > 0)
    self.tileCount = tileCount
  }

  func run(tile: Int, worker: Int) {
    preconditionFailure("a step must say what it does")
  }

  /// The kernel that does most of its work, for reports; `nil` where the operation's name says it.
  var kernelName: String? { nil }
}

/// Splits `count` units of work into about equal runs of whole units.
struct Split {
  let count: Int
  let unitsPerTile: Int

  /// At most `tiles` tiles of at least `minimum` units each, cut at multiples of `grain`.
  init(_ count: Int, tiles: Int, minimum: Int = 1, grain: Int = 1) {
    precondition(count > 0)
    let even = (count + max(tiles, 1) - 1) / max(tiles, 1)
    let units = max(even, minimum, 1)
    self.count = count
    unitsPerTile = (units + grain - 1) / grain * grain
  }

  var tileCount: Int { (count + unitsPerTile - 1) / unitsPerTile }

  subscript(tile: Int) -> Range<Int> {
    tile * unitsPerTile..<min(count, (tile + 1) * unitsPerTile)
  }
}
