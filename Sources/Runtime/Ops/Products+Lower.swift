import PipitGraph
import PipitKernels
import PipitTensors

private final class LinearStep: Step {
  override var kernelName: String? { call.isHalf ? "gemm_f16" : "gemm_f32" }
  private let call: GemmCall
  private let grid: ProductGrid
  private let weights: PackedMatrix
  private let bias: Parameter?
  private let scratch: Scratch?

  init(
    call: GemmCall, grid: ProductGrid, weights: PackedMatrix, bias: Parameter?, scratch: Scratch?
  ) {
    self.call = call
    self.grid = grid
    self.weights = weights
    self.bias = bias
    self.scratch = scratch
    super.init(tileCount: grid.tileCount)
  }

  override func run(tile: Int, worker: Int) {
    let (rows, panels) = grid[tile]
    call.run(rows: rows, panels: panels, scratch: scratch?.block(worker))
  }
}

private final class ConvolutionStep: Step {
  override var kernelName: String? { call.isHalf ? "conv2d_f16" : "conv2d_f32" }
  private let call: Conv2DCall
  private let grid: ProductGrid
  private let weights: PackedMatrix
  private let parameters: [Parameter]
  private let scratch: Scratch?

  init(
    call: Conv2DCall, grid: ProductGrid, weights: PackedMatrix, parameters: [Parameter],
    scratch: Scratch?
  ) {
    self.call = call
    self.grid = grid
    self.weights = weights
    self.parameters = parameters
    self.scratch = scratch
    super.init(tileCount: grid.tileCount)
  }

  override func run(tile: Int, worker: Int) {
    let (pixels, panels) = grid[tile]
    call.run(pixels: pixels, panels: panels, scratch: scratch?.block(worker))
  }
}

private final class WinogradStep: Step {
  override var kernelName: String? { "winograd_f32" }
  private let call: WinogradCall
  private let grid: WinogradGrid
  private let weights: PackedMatrix
  private let parameters: [Parameter]
  private let scratch: Scratch

  init(
    call: WinogradCall, grid: WinogradGrid, weights: PackedMatrix, parameters: [Parameter],
    scratch: Scratch
  ) {
    self.call = call
    self.grid = grid
    self.weights = weights
    self.parameters = parameters
    self.scratch = scratch
    super.init(tileCount: grid.tileCount)
  }

  override func run(tile: Int, worker: Int) {
    let (tiles, panels) = grid[tile]
    call.run(tiles: tiles, panels: panels, scratch: scratch.block(worker))
  }
}

private final class DepthwiseStep: Step {
  override var kernelName: String? { "depthwise_f32" }
  private let call: DepthwiseCall
  private let rows: Split
  private let parameters: [Parameter]

  init(call: DepthwiseCall, rows: Split, parameters: [Parameter]) {
    self.call = call
    self.rows = rows
    self.parameters = parameters
    super.init(tileCount: rows.tileCount)
  }

  override func run(tile: Int, worker: Int) { call.run(rows: rows[tile]) }
}

private final class AttentionStep: Step {
  override var kernelName: String? { "attention_f32" }
  /// One call for each element of the batch and each head.
  private let calls: [AttentionCall]
  private let grid: AttentionGrid
  private let scratch: Scratch

  init(calls: [AttentionCall], grid: AttentionGrid, scratch: Scratch) {
    self.calls = calls
    self.grid = grid
    self.scratch = scratch
    super.init(tileCount: grid.tileCount)
  }

  override func run(tile: Int, worker: Int) {
    let (call, queries) = grid[tile]
    calls[call].run(queries: queries, scratch: scratch.block(worker))
  }
}

extension Lowering {
  func linear(_ op: Linear, _ node: Node) -> Step {
    if let quantization = graph[node.inputs[0]].quantization {
      return integerLinear(op, node, quantization)
    }
    let matrix = weights.stacked(op.weights)
    let input = shape(node.inputs[0])
    let bias = bias(op)
    let call = GemmCall(
      kernels: kernels, a: source(node.inputs[0]), aStride: op.depth, weights: matrix,
      y: target(node.output), yStride: op.columns, rows: input.rows,
      epilogue: epilogue(op.epilogue, node, bias: bias, stride: op.columns))
    let grid = ProductGrid(
      rowCount: input.rows, panelCount: call.panelCount, tileRows: call.tileRows,
      tiles: tiles(operations: input.rows * op.columns * op.depth / 16),
      expandsWeights: call.expandsWeights)
    return LinearStep(
      call: call, grid: grid, weights: matrix, bias: bias,
      scratch: reserved(call.scratchCount))
  }

  /// The scratch memory with `count` floats for each thread, `nil` where none are needed.
  func reserved(_ count: Int) -> Scratch? {
    guard count > 0 else { return nil }
    scratch.reserve(count)
    return scratch
  }

  /// The biases of stacked weights one behind the other, zeros where one has none.
  func bias(_ op: Linear) -> Parameter? {
    guard op.biases.contains(where: { $0 != nil }) else { return nil }
    var values: [Float] = []
    for (weight, bias) in zip(op.weights, op.biases) {
      values += bias?.floats() ?? [Float](repeating: 0, count: weight.rows)
    }
    return Parameter(values)
  }

  func epilogue(
    _ epilogue: Epilogue, _ node: Node, bias: Parameter?, stride: Int, offset: Int = 0
  ) -> KernelEpilogue {
    var result = KernelEpilogue()
    result.bias = bias.map { $0.pointer + offset }
    if epilogue.hasResidual, let residual = node.inputs.last {
      // Integers are added elsewhere (see `integerEpilogue`).
      let isInteger = graph[residual].quantization != nil
      result.residual = isInteger ? nil : source(residual) + offset
      result.residualStride = stride
      result.residualFirst = epilogue.residualFirst
    }
    result.activation = epilogue.activation?.kernel ?? .none
    return result
  }

  func conv2D(_ op: Conv2D, _ node: Node) -> [Step] {
    let input = shape(node.inputs[0])
    let output = shape(node.output)
    let bias = Parameter(op.bias)
    if let quantization = graph[node.inputs[0]].quantization {
      return integerConvolution(op, node, bias, quantization)
    }
    if op.groups == input[3], output[3] == input[3], op.upsample == 1 {
      return [depthwise(op, node, bias)]
    }
    let zeros = Parameter([Float](repeating: 0, count: op.weight.shape[1]))
    let groupColumns = output[3] / op.groups
    let groupChannels = op.weight.shape[1]
    return (0..<op.groups).map { group in
      let matrix = weights.convolution(
        op.weight, rows: group * groupColumns..<(group + 1) * groupColumns)
      let geometry = op.groupGeometry(input: input, output: output)
      let offset = group * groupColumns
      let epilogue = epilogue(op.epilogue, node, bias: bias, stride: output[3], offset: offset)
      let parameters = [zeros] + (bias.map { [$0] } ?? [])
      let x = source(node.inputs[0]) + group * groupChannels
      let y = target(node.output) + offset
      if WinogradCall.pays(for: geometry) {
        let call = WinogradCall(
          kernels: kernels, geometry: geometry, x: x, weights: matrix, zeros: zeros.pointer, y: y,
          epilogue: epilogue)
        return winograd(call, weights: matrix, parameters: parameters)
      }
      let call = Conv2DCall(
        kernels: kernels, geometry: geometry, x: x, weights: matrix, zeros: zeros.pointer, y: y,
        epilogue: epilogue)
      let grid = ProductGrid(
        rowCount: call.pixelCount, panelCount: call.panelCount, tileRows: call.tileRows,
        tiles: tiles(operations: call.pixelCount * groupColumns * matrix.depth / 16),
        expandsWeights: call.expandsWeights)
      return ConvolutionStep(
        call: call, grid: grid, weights: matrix, parameters: parameters,
        scratch: reserved(call.scratchCount))
    }
  }

  private func winograd(
    _ call: WinogradCall, weights: PackedMatrix, parameters: [Parameter]
  ) -> Step {
    let grid = WinogradGrid(call, threadCount: threadCount)
    scratch.reserve(call.scratchCount(tiles: grid.longestTiles))
    return WinogradStep(
      call: call, grid: grid, weights: weights, parameters: parameters, scratch: scratch)
  }

  private func depthwise(_ op: Conv2D, _ node: Node, _ bias: Parameter?) -> Step {
    let output = shape(node.output)
    let channels = output[3]
    let taps = op.kernelHeight * op.kernelWidth
    let stored = op.weight.floats()  // [channels, taps]
    var values = [Float](repeating: 0, count: stored.count)
    for channel in 0..<channels {
      for tap in 0..<taps { values[tap * channels + channel] = stored[channel * taps + tap] }
    }
    let weights = Parameter(values)
    let call = DepthwiseCall(
      kernels: kernels, geometry: op.geometry(input: shape(node.inputs[0]), output: output),
      x: source(node.inputs[0]), weights: weights.pointer, y: target(node.output),
      epilogue: epilogue(op.epilogue, node, bias: bias, stride: channels))
    let rows = Split(call.rowCount, tiles: tiles(operations: output.count * taps / 8))
    return DepthwiseStep(
      call: call, rows: rows, parameters: [weights] + (bias.map { [$0] } ?? []))
  }

  func attention(_ op: Attention, _ node: Node) -> Step {
    let q = shape(node.inputs[0])
    let k = shape(node.inputs[1])
    let v = shape(node.inputs[2])
    let width = op.heads * op.headDimension
    let relativeBias = op.hasRelativeBias ? node.inputs.last.map { source($0) } : nil
    var calls: [AttentionCall] = []
    for batch in 0..<q[0] {
      for head in 0..<op.heads {
        let column = head * op.headDimension
        calls.append(
          AttentionCall(
            kernels: kernels,
            q: operand(node.inputs[0], q, batch, op.queryOffset + column),
            k: operand(node.inputs[1], k, batch, op.keyOffset + column),
            v: operand(node.inputs[2], v, batch, op.valueOffset + column),
            y: target(node.output) + batch * q[1] * width + column, yStride: width,
            queryCount: q[1], keyCount: k[1], headDimension: op.headDimension, scale: op.scale,
            keyBias: op.hasKeyBias ? source(node.inputs[3]) + batch * k[1] : nil,
            relativeBias: relativeBias.map { $0 + head * (q[1] + k[1] - 1) },
            causal: op.causal))
      }
    }
    scratch.reserve(AttentionCall.scratchCount(headDimension: op.headDimension))
    let grid = AttentionGrid(
      queries: q[1], calls: calls.count, tiles: tiles(operations: q[0] * q[1] * k[1] * width / 8))
    return AttentionStep(calls: calls, grid: grid, scratch: scratch)
  }

  private func operand(
    _ value: ValueID, _ shape: Shape, _ batch: Int, _ column: Int
  ) -> AttentionCall.Operand {
    AttentionCall.Operand(
      start: source(value) + batch * shape[1] * shape[2] + column, stride: shape[2])
  }
}
