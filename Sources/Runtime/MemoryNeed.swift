package import PipitGraph
package import PipitKernels
import PipitTensors

/// Memory that programs of one model take, told from their graphs without making them.
package struct MemoryNeed: Hashable, Sendable {
  /// Weights in the order of the kernels; those that several programs use, once.
  package private(set) var packed = 0
  /// Blocks that values are computed in, one a program.
  package private(set) var arena = 0
  /// What steps use while they run, for all threads.
  package private(set) var scratch = 0
  /// Weights that were made when the graph was simplified (folded norms) and small ones kept as f32.
  package private(set) var made = 0
  /// The most bytes at any time: while weights are packed, of which one lies in memory twice, or
  /// while the programs run.
  package private(set) var peak = 0

  /// The need of programs that share their packed weights, all made before the first runs.
  ///
  /// - Parameter graphs: As `Program` is given them, optimized, in the order in which they are made.
  package init(_ graphs: [Graph], kernels: KernelTable, threadCount: Int) {
    var count = Count(kernels: kernels, threadCount: threadCount)
    for graph in graphs {
      let buffers = Lifetimes(graph).buffers
      let plan = ArenaPlan(buffers)
      arena += plan.byteCount
      scratch +=
        ScratchPlan(count.add(graph), threadCount: threadCount, buffers: buffers, arena: plan).byteCount
    }
    packed = count.packed
    made = count.made
    peak = max(packed + arena + scratch, count.packingPeak) + made
  }
}

/// Goes through graphs as `Lowering` does, and adds up.
private struct Count {
  let kernels: KernelTable
  let threadCount: Int
  var packed = 0
  var made = 0
  var packingPeak = 0
  private var seen: Set<Key> = []
  private var owners: Set<ObjectIdentifier> = []

  private struct Key: Hashable {
    let owners: [ObjectIdentifier]
    let names: [String]
  }

  init(kernels: KernelTable, threadCount: Int) {
    self.kernels = kernels
    self.threadCount = threadCount
  }

  /// Adds a graph, and tells the bytes of scratch memory that a thread needs for each of its nodes.
  mutating func add(_ graph: Graph) -> [Int] {
    graph.nodes.map { ScratchPlan.blockByteCount(add($0, of: graph)) }
  }

  /// Adds a node, and tells the floats of scratch memory that each thread needs.
  private mutating func add(_ node: Node, of graph: Graph) -> Int {
    switch node.op {
    case .linear(let op):
      pack(op.weights, isInteger: op.inputQuantization != nil)
      small(op.biases)
      return op.inputQuantization == nil ? expansion(op.weights, columns: op.columns, op.epilogue) : 0
    case .conv2D(let op):
      small([op.bias])
      return add(op, graph[node.inputs[0]].shape, graph[node.output].shape)
    case .attention(let op):
      return max(AttentionCall.scratchCount(headDimension: op.headDimension), 1)
    case .constant(let weight): made += 4 * weight.shape.count
    case .embedding(let op):
      hold(op.table)
      return Lowering.scratchCount(ofLookups: op.table)
    case .positionEmbedding(let op): hold(op.table)
    case .quantize: break
    default:
      guard graph[node.output].quantization != nil else { break }
      let columns = graph[node.output].shape.columns
      return Lowering.rowsQuantizedAtATime(columns: columns) * columns
    }
    return 0
  }

  private mutating func add(_ op: Conv2D, _ input: Shape, _ output: Shape) -> Int {
    if op.inputQuantization != nil {
      let geometry = op.geometry(input: input, output: output)
      let isEnlarged = EnlargedPhase.applies(to: geometry) && !op.epilogue.hasResidual
      pack([op.weight], isInteger: true, phases: isEnlarged ? EnlargedPhase.all.count : nil)
      return integerWinograd(geometry)
    }
    if op.groups == input[3], output[3] == input[3], op.upsample == 1 {
      made += 4 * op.weight.shape.count
      return 0
    }
    pack([op.weight], parts: op.groups)
    return winograd(op, input, output)
      ?? expansion([op.weight], columns: op.weight.rows / op.groups, op.epilogue)
  }

  /// Stacked weights, the `parts` groups of one, or `phases` of four taps each.
  private mutating func pack(
    _ weights: [Weight], parts: Int = 1, isInteger: Bool = false, phases: Int? = nil
  ) {
    weights.forEach { hold($0) }
    let key = Key(owners: weights.map { ObjectIdentifier($0.owner) }, names: weights.map(\.name))
    guard seen.insert(key).inserted else { return }
    let rows = weights.reduce(0) { $0 + $1.rows }
    let stored = weights.reduce(0) { $0 + $1.bytes.count }
    var depth = weights[0].columns
    if phases != nil { depth = depth / 9 * 4 }
    packed +=
      isInteger
      ? (phases ?? 1) * kernels.packedIntegerByteCount(columns: rows, depth: depth)
      : parts
        * kernels.packedByteCount(
          columns: rows / parts, depth: depth, format: PackedFormat(weights))
    packingPeak = max(packingPeak, packed + (weights.allSatisfy(isMapped) ? stored : 0))
  }

  private mutating func small(_ weights: [Weight?]) {
    for weight in weights { if let weight { made += 4 * weight.shape.count } }
  }

  /// Weights whose numbers are no part of a mapped file stay in memory as long as the graph does.
  private mutating func hold(_ weight: Weight) {
    guard !isMapped(weight), owners.insert(ObjectIdentifier(weight.owner)).inserted else { return }
    made += weight.bytes.count
  }

  private func isMapped(_ weight: Weight) -> Bool { weight.owner is MappedFile }

  /// Floats of scratch memory that a thread needs for a product beside what it reads and writes.
  private func expansion(_ weights: [Weight], columns: Int, _ epilogue: Epilogue) -> Int {
    kernels.productScratchCount(
      columns: columns, depth: weights[0].columns, format: PackedFormat(weights),
      hasResidual: epilogue.hasResidual)
  }

  /// Floats of scratch memory that a thread needs for an integer convolution, of weights as they are trained:
  /// of such that sums might not fit the algorithm it is none.
  private func integerWinograd(_ geometry: ConvolutionGeometry) -> Int {
    guard IntegerWinogradCall.pays(for: geometry, kernels: kernels) else { return 0 }
    let grid = IntegerWinogradGrid(
      tileCount: IntegerWinogradCall.tileCount(geometry),
      panelCount: IntegerWinogradCall.panelCount(geometry, kernels: kernels), threadCount: threadCount)
    return Lowering.scratchCount(geometry, grid, kernels)
  }

  /// Floats of scratch memory that a thread needs for a convolution; `nil` where it is computed directly.
  private func winograd(_ op: Conv2D, _ input: Shape, _ output: Shape) -> Int? {
    let geometry = op.groupGeometry(input: input, output: output)
    guard WinogradCall.pays(for: geometry) else { return nil }
    let extents = WinogradExtents(
      geometry, format: PackedFormat([op.weight]), kernels: kernels)
    let grid = WinogradGrid(
      tileCount: extents.tileCount, tileRows: extents.tileRows, panelCount: extents.panelCount,
      longestBlock: extents.longestBlock, threadCount: threadCount)
    return max(extents.scratchCount(tiles: grid.longestTiles), 1)
  }
}
