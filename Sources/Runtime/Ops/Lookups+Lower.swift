import Glibc
import PipitGraph
import PipitKernels
import PipitTensors

extension Lowering {
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
