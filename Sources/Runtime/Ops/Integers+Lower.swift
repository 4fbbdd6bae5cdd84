import PipitGraph
import PipitKernels
import PipitTensors

/// Where and how a step stores rows of numbers as integers.
struct IntegerStore {
  var target: UnsafeMutablePointer<Int8>
  let quantization: Quantization
  let rows: Int
  var columns: Int

  func store(
    _ x: UnsafePointer<Float>, rows: Range<Int>, _ kernels: KernelTable
  ) {
    let stride = quantization.rowStride(columns: columns)
    let y = target + rows.lowerBound * stride
    switch quantization {
    case .rows:
      kernels.quantizeRows(y, x, rows: rows.count, columns: columns, stride: stride)
    case .tensor(let scale, let zeroPoint):
      kernels.quantize(y, x, count: rows.count * columns, scale: scale, zeroPoint: zeroPoint)
    }
  }
}

/// Quantizes rows that are there already.
private final class QuantizeStep: Step {
  private let split: Split
  private let x: UnsafePointer<Float>
  private let output: IntegerStore
  private let kernels: KernelTable

  init(_ split: Split, x: UnsafePointer<Float>, output: IntegerStore, kernels: KernelTable) {
    self.split = split
    self.x = x
    self.output = output
    self.kernels = kernels
    super.init(tileCount: split.tileCount)
  }

  override var kernelName: String? { "quantize_i8" }

  override func run(tile: Int, worker: Int) {
    let rows = split[tile]
    output.store(x + rows.lowerBound * output.columns, rows: rows, kernels)
  }
}

/// Computes a few rows at a time into memory of the thread and quantizes them from there, so that the
/// floats never leave the cache.
private final class QuantizingStep: Step {
  private let split: Split
  private let output: IntegerStore
  private let scratch: Scratch
  private let kernels: KernelTable
  private let rowsAtATime: Int
  private let compute: (UnsafeMutablePointer<Float>, Range<Int>) -> Void

  init(
    _ split: Split, output: IntegerStore, scratch: Scratch, kernels: KernelTable,
    compute: @escaping (UnsafeMutablePointer<Float>, Range<Int>) -> Void
  ) {
    self.split = split
    self.output = output
    self.scratch = scratch
    self.kernels = kernels
    self.compute = compute
    rowsAtATime = Lowering.rowsQuantizedAtATime(columns: output.columns)
    scratch.reserve(rowsAtATime * output.columns)
    super.init(tileCount: split.tileCount)
  }

  override func run(tile: Int, worker: Int) {
    let rows = split[tile]
    let floats = scratch.block(worker)
    var first = rows.lowerBound
    while first < rows.upperBound {
      let part = first..<min(first + rowsAtATime, rows.upperBound)
      compute(floats, part)
      output.store(floats, rows: part, kernels)
      first = part.upperBound
    }
  }
}

private final class IntegerLinearStep: Step {
  private let call: IntegerGemmCall
  private let grid: ProductGrid
  private let weights: PackedIntegers
  private let parameters: [Parameter]

  init(call: IntegerGemmCall, grid: ProductGrid, weights: PackedIntegers, parameters: [Parameter]) {
    self.call = call
    self.grid = grid
    self.weights = weights
    self.parameters = parameters
    super.init(tileCount: grid.tileCount)
  }

  override var kernelName: String? { "gemm_i8" }

  override func run(tile: Int, worker: Int) {
    let (rows, panels) = grid[tile]
    call.run(rows: rows, panels: panels)
  }
}

private final class IntegerConvolutionStep: Step {
  private let call: IntegerConv2DCall
  private let grid: ProductGrid
  private let weights: PackedIntegers
  private let parameters: [Parameter]

  init(
    call: IntegerConv2DCall, grid: ProductGrid, weights: PackedIntegers, parameters: [Parameter]
  ) {
    self.call = call
    self.grid = grid
    self.weights = weights
    self.parameters = parameters
    super.init(tileCount: grid.tileCount)
  }

  override var kernelName: String? { "conv2d_i8" }

  override func run(tile: Int, worker: Int) {
    let (pixels, panels) = grid[tile]
    call.run(pixels: pixels, panels: panels)
  }
}

private final class IntegerWinogradStep: Step {
  private let call: IntegerWinogradCall
  private let grid: IntegerWinogradGrid
  private let weights: PackedIntegers
  private let parameters: [Parameter]
  private let scratch: Scratch

  init(
    call: IntegerWinogradCall, grid: IntegerWinogradGrid, weights: PackedIntegers,
    parameters: [Parameter], scratch: Scratch
  ) {
    self.call = call
    self.grid = grid
    self.weights = weights
    self.parameters = parameters
    self.scratch = scratch
    super.init(tileCount: grid.tileCount)
  }

  override var kernelName: String? { "winograd_i8" }

  override func run(tile: Int, worker: Int) {
    let (tiles, panels) = grid[tile]
    call.run(tiles: tiles, panels: panels, scratch: UnsafeMutableRawPointer(scratch.block(worker)))
  }
}

extension Lowering {
  /// Where a node's output goes if that is quantized.
  func integerStore(_ node: Node) -> IntegerStore? {
    guard let quantization = graph[node.output].quantization else { return nil }
    let shape = shape(node.output)
    return IntegerStore(
      target: integers(node.output), quantization: quantization, rows: shape.rows,
      columns: shape.columns)
  }

  func quantize(_ op: Quantize, _ node: Node) -> Step {
    guard var output = integerStore(node) else { preconditionFailure("not quantized") }
    let split = Split(output.rows, tiles: tiles(operations: output.rows * output.columns / 4))
    let x = source(node.inputs[0])
    if op.keepsShape { return QuantizeStep(split, x: x, output: output, kernels: kernels) }
    guard case .tensor(_, let zeroPoint) = output.quantization else {
      preconditionFailure("rows with scales have no padding")
    }
    if let lead = op.pairLead { return quantizePairs(node, x, output, lead: lead, zeroPoint) }
    let (columns, padded) = (output.columns - op.padding, output.columns)
    precondition(padded == 4)
    output.columns = columns
    return RangeStep(split) { [kernels, output] rows in
      let target = output.target + rows.lowerBound * padded
      // At the end of where they belong, from where they move forwards.
      let dense = target + rows.count * op.padding
      var part = output
      part.target = dense
      part.store(x + rows.lowerBound * columns, rows: 0..<rows.count, kernels)
      kernels.widenPixels(target, dense, pixels: rows.count, channels: columns, value: zeroPoint)
    }
  }

  /// Each row of an image behind `lead` pixels, filled up to whole pairs.
  private func quantizePairs(
    _ node: Node, _ x: UnsafePointer<Float>, _ output: IntegerStore, lead: Int, _ zeroPoint: Int8
  ) -> Step {
    let (input, paired) = (shape(node.inputs[0]), shape(node.output))
    let (count, stride, before) = (input[2] * input[3], paired[2] * paired[3], lead * input[3])
    let split = Split(input[0] * input[1], tiles: tiles(operations: input.count / 4))
    return RangeStep(split) { [kernels] rows in
      for row in rows {
        var line = output
        line.columns = count
        let target = output.target + row * stride
        target.update(repeating: zeroPoint, count: before)
        line.target = target + before
        line.store(x + row * count, rows: 0..<1, kernels)
        (line.target + count).update(repeating: zeroPoint, count: stride - before - count)
      }
    }
  }

  /// Rows that fit into the cache before they become integers.
  static func rowsQuantizedAtATime(columns: Int) -> Int { max(1, 4096 / columns) }

  /// A step over whole rows, whose results are quantized as they come: `compute` writes the rows of a
  /// range to the memory that it is given.
  func quantizing(
    _ output: IntegerStore,
    _ compute: @escaping (UnsafeMutablePointer<Float>, Range<Int>) -> Void
  ) -> Step {
    let count = output.rows * output.columns
    return QuantizingStep(
      Split(output.rows, tiles: tiles(operations: count)), output: output, scratch: scratch,
      kernels: kernels, compute: compute)
  }

  func integerLinear(_ op: Linear, _ node: Node, _ quantization: Quantization) -> Step {
    let packed = weights.stackedIntegers(op.weights)
    let rows = shape(node.inputs[0]).rows
    let bias = bias(op)
    let scales = Parameter(columnScales(op.weights, quantization))
    let stride = quantization.rowStride(columns: op.depth)
    var epilogue = integerEpilogue(node, scales, quantization)
    epilogue.floats = self.epilogue(op.epilogue, node, bias: bias, stride: op.columns)
    let call = IntegerGemmCall(
      kernels: kernels, a: integers(node.inputs[0]), aStride: stride, weights: packed,
      y: epilogue.integers == nil ? target(node.output) : nil, rows: rows, epilogue: epilogue)
    let grid = ProductGrid(
      rowCount: rows, panelCount: call.panelCount, tileRows: call.tileRows,
      tiles: tiles(operations: rows * op.columns * op.depth / 32))
    return IntegerLinearStep(
      call: call, grid: grid, weights: packed, parameters: [scales] + (bias.map { [$0] } ?? []))
  }

  func integerConvolution(
    _ op: Conv2D, _ node: Node, _ bias: Parameter?, _ quantization: Quantization
  ) -> [Step] {
    let (input, output) = (shape(node.inputs[0]), shape(node.output))
    var geometry = op.geometry(input: input, output: output)
    geometry.xPixelStride = quantization.rowStride(columns: input[3])
    if EnlargedPhase.applies(to: geometry), !op.epilogue.hasResidual {
      return EnlargedPhase.all.map { phase in
        let (packed, rowScales) = weights.phaseIntegers(op.weight, phase)
        let place = phase.place(in: output)
        return integerConvolution(
          op, node, bias, quantization, phase.geometry(geometry), packed,
          rowScales.map { $0 * quantization.scale }, at: place, yRowGap: output[2] * output[3])
      }
    }
    let packed = weights.convolutionIntegers(op.weight)
    let scales = columnScales([op.weight], quantization)
    return [integerConvolution(op, node, bias, quantization, geometry, packed, scales)]
  }

  /// One integer convolution, whose result begins `place` numbers behind the beginning of the output.
  private func integerConvolution(
    _ op: Conv2D, _ node: Node, _ bias: Parameter?, _ quantization: Quantization,
    _ geometry: ConvolutionGeometry, _ packed: PackedIntegers, _ rowScales: [Float],
    at place: Int = 0, yRowGap: Int = 0
  ) -> Step {
    let scales = Parameter(rowScales)
    var epilogue = integerEpilogue(node, scales, quantization)
    epilogue.integers = epilogue.integers.map { $0 + place }
    epilogue.floats = self.epilogue(op.epilogue, node, bias: bias, stride: packed.columns)
    let x = integers(node.inputs[0])
    let y = epilogue.integers == nil ? target(node.output) + place : nil
    let parameters = [scales] + (bias.map { [$0] } ?? [])
    if yRowGap == 0,
      let call = IntegerWinogradCall(
        kernels: kernels, geometry: geometry, x: x, weights: packed, y: y, epilogue: epilogue)
    {
      let grid = IntegerWinogradGrid(
        tileCount: call.tileCount, panelCount: call.panelCount, threadCount: threadCount)
      scratch.reserve(Lowering.scratchCount(geometry, grid, kernels))
      return IntegerWinogradStep(
        call: call, grid: grid, weights: packed, parameters: parameters, scratch: scratch)
    }
    let call = IntegerConv2DCall(
      kernels: kernels, geometry: geometry, x: x, weights: packed, y: y, yRowGap: yRowGap,
      epilogue: epilogue)
    let grid = ProductGrid(
      rowCount: call.pixelCount, panelCount: call.panelCount, tileRows: call.tileRows,
      tiles: tiles(operations: call.pixelCount * packed.columns * packed.depth / 32))
    return IntegerConvolutionStep(call: call, grid: grid, weights: packed, parameters: parameters)
  }

  /// Floats of scratch memory that a thread needs for a convolution by Winograd's filtering.
  static func scratchCount(
    _ geometry: ConvolutionGeometry, _ grid: IntegerWinogradGrid, _ kernels: KernelTable
  ) -> Int {
    let bytes = IntegerWinogradCall.scratchByteCount(
      geometry, panels: grid.longestPanels, kernels: kernels)
    return (bytes + 3) / 4
  }

  /// The scale of each row of some weights, times the input's where that is one for all.
  private func columnScales(_ weights: [Weight], _ quantization: Quantization) -> [Float] {
    var scales: [Float] = []
    for weight in weights {
      guard let own = weight.integerScales else { preconditionFailure("not integers") }
      scales += own
    }
    return scales.map { $0 * quantization.scale }
  }

  private func integerEpilogue(
    _ node: Node, _ scales: Parameter, _ quantization: Quantization
  ) -> IntegerEpilogue {
    var epilogue = IntegerEpilogue(columnScales: scales.pointer)
    switch quantization {
    case .rows:
      let columns = shape(node.inputs[0]).columns
      let stride = quantization.rowStride(columns: columns)
      let first = UnsafeRawPointer(integers(node.inputs[0]))
      epilogue.rowQuantization = first + (stride - Quantization.rowQuantizationSize)
      epilogue.rowStride = stride
    case .tensor(_, let zeroPoint):
      epilogue.zeroPoint = zeroPoint
    }
    if node.inputs.count > 1, case .tensor(let scale, let zeroPoint) = graph[node.inputs[1]].quantization {
      epilogue.residual = UnsafePointer(integers(node.inputs[1]))
      epilogue.residualScale = scale
      epilogue.residualZeroPoint = zeroPoint
    }
    if case .tensor(let scale, let zeroPoint) = graph[node.output].quantization {
      epilogue.integers = integers(node.output)
      epilogue.outputScale = scale
      epilogue.outputZeroPoint = zeroPoint
    }
    return epilogue
  }
}
