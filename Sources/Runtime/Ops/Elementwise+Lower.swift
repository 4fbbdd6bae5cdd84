import Glibc
import PipitGraph
import PipitKernels
import PipitTensors

/// Work on a run of rows or elements that a closure does. The closure is made at load time; calling
/// it allocates nothing.
final class RangeStep: Step {
  private let split: Split
  private let body: (Range<Int>) -> Void

  init(_ split: Split, _ body: @escaping (Range<Int>) -> Void) {
    self.split = split
    self.body = body
    super.init(tileCount: split.tileCount)
  }

  override func run(tile: Int, worker: Int) { body(split[tile]) }
}

extension Lowering {
  func activation(_ op: Activation, _ node: Node) -> Step {
    if let store = integerStore(node) {
      let x = source(node.inputs[0])
      return quantizing(store) { [kernels] y, rows in
        kernels.activate(
          y, x + rows.lowerBound * store.columns, count: rows.count * store.columns, op.kernel)
      }
    }
    let (x, y) = (source(node.inputs[0]), target(node.output))
    let count = shape(node.output).count
    return RangeStep(Split(count, tiles: tiles(operations: count), grain: 64)) { [kernels] range in
      kernels.activate(
        y + range.lowerBound, x + range.lowerBound, count: range.count, op.kernel)
    }
  }

  func affine(_ op: Affine, _ node: Node) -> Step {
    let (x, y) = (source(node.inputs[0]), target(node.output))
    let count = shape(node.output).count
    let split = Split(count, tiles: tiles(operations: count / 8), grain: 64)
    return RangeStep(split) { [kernels] range in
      kernels.affine(
        y + range.lowerBound, x + range.lowerBound, count: range.count, scale: op.scale,
        shift: op.shift)
    }
  }

  func binary(_ op: Binary, _ node: Node) -> Step {
    let (a, b, y) = (source(node.inputs[0]), source(node.inputs[1]), target(node.output))
    let count = shape(node.output).count
    let period = shape(node.inputs[1]).count  // b repeats after that many elements
    let operation: KernelBinary =
      switch op.operation {
      case .add: .add
      case .subtract: .subtract
      case .multiply: .multiply
      case .divide: .divide
      }
    guard let repetition = Binary.Repetition(of: shape(node.inputs[1]), over: shape(node.output))
    else { preconditionFailure("a binary operation on shapes that do not match") }
    if repetition.outer > 1, repetition.count > 1 {
      return perBlock(repetition, y: y, a: a, b: b, operation)
    }
    if period == count {
      let split = Split(count, tiles: tiles(operations: count / 8), grain: 64)
      return RangeStep(split) { [kernels] range in
        let first = range.lowerBound
        kernels.binary(
          y + first, a + first, b + first, rows: 1, columns: range.count, bRowStride: 0,
          bColumnStride: 1, operation)
      }
    }
    let columns = period == 1 ? 1024 : period
    guard count % columns == 0 else {
      // One number over a value that has no rows of 1024.
      return RangeStep(Split(count, tiles: 1)) { [kernels] range in
        kernels.binary(
          y, a, b, rows: 1, columns: range.count, bRowStride: 0, bColumnStride: 0, operation)
      }
    }
    let split = Split(count / columns, tiles: tiles(operations: count / 8))
    return RangeStep(split) { [kernels] rows in
      let first = rows.lowerBound * columns
      kernels.binary(
        y + first, a + first, b, rows: rows.count, columns: columns, bRowStride: 0,
        bColumnStride: period == 1 ? 0 : 1, operation)
    }
  }

  /// One row of b for each block of rows of a.
  private func perBlock(
    _ repetition: Binary.Repetition, y: UnsafeMutablePointer<Float>, a: UnsafePointer<Float>,
    b: UnsafePointer<Float>, _ operation: KernelBinary
  ) -> Step {
    let (count, inner) = (repetition.count, repetition.inner)
    let rowCount = repetition.outer * count
    let split = Split(rowCount, tiles: tiles(operations: rowCount * inner / 8))
    return RangeStep(split) { [kernels] rows in
      var row = rows.lowerBound
      while row < rows.upperBound {
        let end = min(rows.upperBound, (row / count + 1) * count)
        kernels.binary(
          y + row * inner, a + row * inner, b + row / count * inner, rows: end - row,
          columns: inner, bRowStride: 0, bColumnStride: 1, operation)
        row = end
      }
    }
  }

  func modulate(_ op: Modulate, _ node: Node) -> Step {
    let (x, y) = (source(node.inputs[0]), target(node.output))
    let extents = shape(node.output)
    let scale = perBatch(node.inputs[1], op.scaleOffset)
    let shift = perBatch(node.inputs[2], op.shiftOffset)
    let (tokens, width) = (extents[1], extents[2])
    return RangeStep(Split(extents[0], tiles: 1)) { [kernels] batches in
      for batch in batches {
        let first = batch * tokens * width
        kernels.modulate(
          y + first, x + first, scale: scale(batch), shift: shift(batch), rows: tokens,
          columns: width)
      }
    }
  }

  func gateAdd(_ op: GateAdd, _ node: Node) -> Step {
    let (x, y) = (source(node.inputs[0]), target(node.output))
    let residual = source(node.inputs[2])
    let extents = shape(node.output)
    let gate = perBatch(node.inputs[1], op.gateOffset)
    let (tokens, width) = (extents[1], extents[2])
    return RangeStep(Split(extents[0], tiles: 1)) { [kernels] batches in
      for batch in batches {
        let first = batch * tokens * width
        kernels.gateAdd(
          y + first, x + first, gate: gate(batch), residual: residual + first, rows: tokens,
          columns: width)
      }
    }
  }

  /// The row of a per-batch value for each element of the batch; one row serves all if it is alone.
  private func perBatch(_ value: ValueID, _ offset: Int) -> (Int) -> UnsafePointer<Float> {
    let start = source(value) + offset
    let stride = shape(value).rows == 1 ? 0 : shape(value).columns
    return { start + $0 * stride }
  }

  func gatedGELU(_ node: Node) -> Step {
    if let store = integerStore(node) {
      let x = source(node.inputs[0])
      return quantizing(store) { [kernels] y, rows in
        kernels.gatedGELU(
          y, x + 2 * rows.lowerBound * store.columns, rows: rows.count, columns: store.columns)
      }
    }
    let (x, y) = (source(node.inputs[0]), target(node.output))
    let extents = shape(node.output)
    let columns = extents.columns
    let split = Split(extents.rows, tiles: tiles(operations: extents.count))
    return RangeStep(split) { [kernels] rows in
      kernels.gatedGELU(
        y + rows.lowerBound * columns, x + 2 * rows.lowerBound * columns, rows: rows.count,
        columns: columns)
    }
  }

  func mask(_ node: Node, one: Float, zero: Float) -> Step {
    let ids = ids(node.inputs[0])
    let y = target(node.output)
    return RangeStep(Split(shape(node.output).count, tiles: 1)) { range in
      for index in range { y[index] = ids[index] != 0 ? one : zero }
    }
  }

  func timestepEmbedding(_ op: TimestepEmbedding, _ node: Node) -> Step {
    let steps = source(node.inputs[0])
    let y = target(node.output)
    let half = op.width / 2
    // By way of double precision: libraries' last bits differ there, hardly ever those of what is rounded.
    let logarithm = Float(log(10000.0))
    let frequencies = (0..<half).map { index in
      Float(exp(Double(-logarithm * Float(index) / (Float(half) - op.frequencyShift))))
    }
    let (cosines, sines) = op.cosineFirst ? (0, half) : (half, 0)
    return RangeStep(Split(shape(node.inputs[0]).count, tiles: 1)) { batches in
      for batch in batches {
        let row = y + batch * op.width
        for index in 0..<half {
          let angle = steps[batch] * frequencies[index]
          row[cosines + index] = Float(cos(Double(angle)))
          row[sines + index] = Float(sin(Double(angle)))
        }
      }
    }
  }
}
