import Glibc
import PipitGraph
import PipitKernels
import PipitTensors

/// Looks rows of a table up. Of a table in a mapped file they are read, not touched where they are mapped.
private final class EmbeddingStep: Step {
  private let kernels: KernelTable
  private let table: Weight
  private let ids: UnsafePointer<Int32>
  private let y: UnsafeMutablePointer<Float>
  private let tokens: Split
  /// The table's file, if it is read, and where to.
  private let file: MappedFile?
  private let scratch: Scratch?

  init(
    kernels: KernelTable, table: Weight, ids: UnsafePointer<Int32>, y: UnsafeMutablePointer<Float>, tokens: Split,
    scratch: Scratch?
  ) {
    self.kernels = kernels
    self.table = table
    self.ids = ids
    self.y = y
    self.tokens = tokens
    self.scratch = scratch
    file = scratch.flatMap { _ in table.owner as? MappedFile }
    super.init(tileCount: tokens.tileCount)
  }

  override func run(tile: Int, worker: Int) {
    for index in tokens[tile] {
      let row = Int(ids[index])
      let output = y + index * table.columns
      if let file, let scratch {
        kernels.expand(table, row: row, from: file, by: scratch.block(worker), into: output)
      } else {
        kernels.expand(table, rows: row..<row + 1, into: output)
      }
    }
  }
}

extension Lowering {
  mutating func embedding(_ op: Embedding, _ node: Node) -> Step {
    check(ids: node.inputs[0], limit: op.table.rows)
    let tokens = Split(
      shape(node.inputs[0]).count, tiles: tiles(operations: shape(node.output).count))
    return EmbeddingStep(
      kernels: kernels, table: op.table, ids: ids(node.inputs[0]), y: target(node.output), tokens: tokens,
      scratch: reserved(Lowering.scratchCount(ofLookups: op.table)))
  }

  /// Floats of scratch memory that a thread needs to read rows of a table from its file; 0 where it does not.
  static func scratchCount(ofLookups table: Weight) -> Int {
    guard table.owner is MappedFile, let count = table.storedRowByteCount else { return 0 }
    let size = MemoryLayout<Float>.stride
    return (count + size - 1) / size
  }

  func positionEmbedding(_ op: PositionEmbedding, _ node: Node) -> Step {
    let ids = ids(node.inputs[0])
    let y = target(node.output)
    let extents = shape(node.output)
    let (tokens, width) = (extents[1], extents[2])
    let split = Split(extents[0], tiles: tiles(operations: extents.count))
    return RangeStep(split) { [kernels] texts in
      for text in texts {
        var last = op.paddingID
        for index in text * tokens..<(text + 1) * tokens {
          let isPadding = Int(ids[index]) == op.paddingID
          if !isPadding { last += 1 }
          let row = isPadding ? op.paddingID : last
          kernels.expand(op.table, rows: row..<row + 1, into: y + index * width)
        }
      }
    }
  }

  func pickRow(_ op: PickRow, _ node: Node) -> Step {
    let x = source(node.inputs[0])
    let ids = ids(node.inputs[1])
    let y = target(node.output)
    let extents = shape(node.inputs[0])
    let (tokens, width) = (extents[1], extents[2])
    return RangeStep(Split(extents[0], tiles: 1)) { texts in
      for text in texts {
        let row = op.position(
          in: UnsafeBufferPointer(start: ids + text * tokens, count: tokens))
        memcpy(
          y + text * width, x + (text * tokens + row) * width, width * MemoryLayout<Float>.stride)
      }
    }
  }
}
