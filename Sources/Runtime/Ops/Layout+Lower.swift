import Glibc
import PipitGraph
import PipitKernels
import PipitTensors

extension Lowering {
  func meanRows(_ op: MeanRows, _ node: Node) -> Step {
    let weights = op.hasWeights ? source(node.inputs[1]) : nil
    let extents = shape(node.inputs[0])
    return mean(node, batch: extents[0], rows: extents[1], columns: extents[2], weights: weights)
  }

  func averagePool(_ node: Node) -> Step {
    let extents = shape(node.inputs[0])
    return mean(
      node, batch: extents[0], rows: extents[1] * extents[2], columns: extents[3], weights: nil)
  }

  private func mean(
    _ node: Node, batch: Int, rows: Int, columns: Int, weights: UnsafePointer<Float>?
  ) -> Step {
    let (x, y) = (source(node.inputs[0]), target(node.output))
    return RangeStep(Split(batch, tiles: 1)) { [kernels] batches in
      for batch in batches {
        kernels.meanRows(
          y + batch * columns, x + batch * rows * columns,
          weight: weights.map { $0 + batch * rows },
          rows: rows, columns: columns)
      }
    }
  }

  func maxPool(_ op: Pool, _ node: Node) -> Step {
    let input = shape(node.inputs[0])
    let output = shape(node.output)
    var geometry = ConvolutionGeometry()
    geometry.batch = input[0]
    geometry.inputHeight = input[1]
    geometry.inputWidth = input[2]
    geometry.inputChannels = input[3]
    geometry.outputHeight = output[1]
    geometry.outputWidth = output[2]
    geometry.outputChannels = output[3]
    geometry.kernelHeight = op.window
    geometry.kernelWidth = op.window
    geometry.stride = op.stride
    geometry.padTop = op.padding
    geometry.padLeft = op.padding
    geometry.xPixelStride = input[3]
    geometry.yPixelStride = output[3]
    let call =
      graph[node.output].quantization == nil
      ? MaxPoolCall(
        kernels: kernels, geometry: geometry, x: source(node.inputs[0]), y: target(node.output))
      : MaxPoolCall(
        kernels: kernels, geometry: geometry, x: integers(node.inputs[0]), y: integers(node.output))
    let tiles = tiles(operations: output.count * op.window * op.window / 8)
    return RangeStep(Split(call.rowCount, tiles: tiles)) { call.run(rows: $0) }
  }

  func sumTaps(_ op: SumTaps, _ node: Node) -> Step {
    let (input, output) = (shape(node.inputs[0]), shape(node.output))
    var geometry = ConvolutionGeometry()
    (geometry.inputHeight, geometry.inputWidth) = (input[1], input[2])
    (geometry.outputHeight, geometry.outputWidth) = (output[1], output[2])
    geometry.outputChannels = op.channels
    (geometry.kernelHeight, geometry.kernelWidth) = (op.kernel, op.kernel)
    (geometry.padTop, geometry.padLeft) = (op.padding.top, op.padding.left)
    let (x, y) = (source(node.inputs[0]), target(node.output))
    let (xCount, yCount) = (input.count / input[0], output.count / output[0])
    let bias = Parameter(op.bias)
    let split = Split(output[0] * output[1], tiles: tiles(operations: input.count))
    return RangeStep(split) { [kernels, geometry] rows in
      for row in rows {
        let image = row / geometry.outputHeight
        let own = row % geometry.outputHeight
        kernels.sumTaps(
          y + image * yCount, x + image * xCount, bias: bias?.pointer, geometry: geometry,
          rows: own..<own + 1)
      }
    }
  }

  func upsample2x(_ node: Node) -> Step {
    let (x, y) = (source(node.inputs[0]), target(node.output))
    let input = shape(node.inputs[0])
    let (height, width, channels) = (input[1], input[2], input[3])
    let split = Split(
      input[0] * 2 * height, tiles: tiles(operations: shape(node.output).count / 8))
    return RangeStep(split) { [kernels] rows in
      for row in rows {
        let image = row / (2 * height)
        kernels.upsample2x(
          y + image * 4 * height * width * channels, x + image * height * width * channels,
          width: width, channels: channels,
          rows: row % (2 * height)..<row % (2 * height) + 1)
      }
    }
  }

  // MARK: Copies

  func transpose(_ op: Transpose, _ node: Node) -> Step {
    let input = shape(node.inputs[0])
    let (x, y) = (source(node.inputs[0]), target(node.output))
    if let (batch, rows, columns) = matrixTranspose(op.axes, input) {
      // Cut where there is more: of pictures one side has three.
      let split = Split(max(rows, columns), tiles: tiles(operations: input.count / 4))
      return RangeStep(split) { [kernels] range in
        let cutsRows = rows >= columns
        let (xFirst, yFirst) = (
          range.lowerBound * (cutsRows ? columns : 1), range.lowerBound * (cutsRows ? 1 : rows))
        for image in 0..<batch {
          let first = image * rows * columns
          kernels.transpose(
            y + first + yFirst, yStride: rows, x + first + xFirst, xStride: columns,
            rows: cutsRows ? range.count : rows, columns: cutsRows ? columns : range.count)
        }
      }
    }
    return StridedCopyStep(
      x: x, y: y, extents: op.axes.map { input[$0] },
      strides: op.axes.map { axis in Shape(Array(input.extents[(axis + 1)...])).count })
  }

  /// A permutation that swaps two neighbouring runs of axes behind some that stay, as batch, rows, columns.
  private func matrixTranspose(_ axes: [Int], _ input: Shape) -> (Int, Int, Int)? {
    let kept = zip(axes, axes.indices).prefix { $0 == $1 }.count
    guard kept < axes.count else { return nil }
    let first = axes[kept]
    let rotated = Array(first..<axes.count) + Array(kept..<first)
    guard Array(axes[kept...]) == rotated else { return nil }
    func count(_ range: Range<Int>) -> Int { Shape(Array(input.extents[range])).count }
    return (count(0..<kept), count(kept..<first), count(first..<axes.count))
  }

  func slice(_ op: Slice, _ node: Node) -> [Step] {
    let input = shape(node.inputs[0])
    let outer = Shape(Array(input.extents[..<op.axis])).count
    let stride = byteCount(node.inputs[0], cutBy: op.axis) / outer
    let columns = byteCount(node.output, cutBy: op.axis) / outer
    let copy = RowCopy(
      x: bytes(node.inputs[0]) + stride / input[op.axis] * op.range.lowerBound, xStride: stride,
      y: bytes(node.output), yStride: columns, byteCount: columns)
    return rowCopySteps(copy, rows: outer)
  }

  func concatenate(_ op: Concatenate, _ node: Node) -> [Step] {
    let outer = Shape(Array(shape(node.output).extents[..<op.axis])).count
    let stride = byteCount(node.output, cutBy: op.axis) / outer
    var offset = 0
    return node.inputs.flatMap { input in
      let columns = byteCount(input, cutBy: op.axis) / outer
      let copy = RowCopy(
        x: bytes(input), xStride: columns, y: bytes(node.output) + offset, yStride: stride,
        byteCount: columns)
      offset += columns
      return rowCopySteps(copy, rows: outer)
    }
  }

  /// Where a value's numbers lie, of whichever type.
  private func bytes(_ value: ValueID) -> UnsafeMutableRawPointer {
    switch graph[value].elementType {
    case .i8: UnsafeMutableRawPointer(integers(value))
    default: UnsafeMutableRawPointer(mutating: source(value))
    }
  }

  private func byteCount(_ value: ValueID, cutBy axis: Int) -> Int {
    let info = graph[value]
    precondition(info.quantization != .rows || axis < info.shape.rank - 1, "rows with scales stay whole")
    return info.byteCount
  }

  /// None for what lies where it belongs: the planner has made a view of it.
  private func rowCopySteps(_ copy: RowCopy, rows: Int) -> [Step] {
    guard copy.x != copy.y else { return [] }
    let split = Split(rows, tiles: tiles(operations: rows * copy.byteCount / 32))
    return [RangeStep(split) { copy.run($0) }]
  }
}

/// Rows copied from one stride to another; all counts in bytes.
private struct RowCopy {
  let x: UnsafeMutableRawPointer
  let xStride: Int
  let y: UnsafeMutableRawPointer
  let yStride: Int
  let byteCount: Int

  func run(_ rows: Range<Int>) {
    for row in rows { memcpy(y + row * yStride, x + row * xStride, byteCount) }
  }
}

/// Copies a value with its axes in another order, number by number, or row by row where the last
/// axis stays last.
private final class StridedCopyStep: Step {
  private let x: UnsafePointer<Float>
  private let y: UnsafeMutablePointer<Float>
  private let extents: [Int]
  private let strides: [Int]

  /// y[i, j, ..] = x[i * strides[0] + j * strides[1] + ..]
  init(
    x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>, extents: [Int], strides: [Int]
  ) {
    precondition(extents.count >= 2)
    precondition(extents.count == strides.count)
    self.x = x
    self.y = y
    self.extents = extents
    self.strides = strides
    super.init(tileCount: 1)
  }

  override func run(tile: Int, worker: Int) {
    let last = extents.count - 1
    let columns = extents[last]
    let step = strides[last]
    let rows = extents[..<last].reduce(1, *)
    for row in 0..<rows {
      var rest = row
      var offset = 0
      for axis in stride(from: last - 1, through: 0, by: -1) {
        offset += rest % extents[axis] * strides[axis]
        rest /= extents[axis]
      }
      let target = y + row * columns
      for column in 0..<columns { target[column] = x[offset + column * step] }
    }
  }
}
