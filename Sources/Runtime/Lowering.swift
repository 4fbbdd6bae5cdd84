import PipitGraph
import PipitKernels
import PipitTensors

/// Turns the nodes of a graph into steps.
package struct Lowering {
  let graph: Graph
  let kernels: KernelTable
  let threadCount: Int
  let arena: Arena
  let weights: PackedWeights
  /// What the steps of the node at hand use.
  private(set) var scratch = Scratch()
  /// The same of all nodes.
  private(set) var scratches: [Scratch] = []
  private(set) var idChecks: [IDCheck] = []
  /// Steps hold pointers into these, so whoever keeps the steps keeps these too.
  private(set) var constants: [ValueID: FloatStorage] = [:]

  init(graph: Graph, kernels: KernelTable, threadCount: Int, arena: Arena, weights: PackedWeights) {
    self.graph = graph
    self.kernels = kernels
    self.threadCount = threadCount
    self.arena = arena
    self.weights = weights
  }

  mutating func lower() -> [LoweredNode] {
    graph.nodes.map { node in
      scratch = Scratch()
      scratches.append(scratch)
      return LoweredNode(steps: lower(node))
    }
  }

  private mutating func lower(_ node: Node) -> [Step] {
    switch node.op {
    case .linear(let op): [linear(op, node)]
    case .conv2D(let op): conv2D(op, node)
    case .attention(let op): [attention(op, node)]
    case .embedding(let op): [embedding(op, node)]
    case .positionEmbedding(let op): [positionEmbedding(op, node)]
    case .pickRow(let op): [pickRow(op, node)]
    case .constant(let weight): constant(weight, node)
    case .timestepEmbedding(let op): [timestepEmbedding(op, node)]
    case .activation(let op): [activation(op, node)]
    case .binary(let op): [binary(op, node)]
    case .affine(let op): [affine(op, node)]
    case .modulate(let op): [modulate(op, node)]
    case .gateAdd(let op): [gateAdd(op, node)]
    case .gatedGELU: [gatedGELU(node)]
    case .quantize(let op): [quantize(op, node)]
    case .layerNorm(let op): [layerNorm(op, node)]
    case .groupNorm(let op): groupNorm(op, node)
    case .channelAffine(let op): [channelAffine(op, node)]
    case .softmax: [softmax(node)]
    case .l2Normalize(let op): [l2Normalize(op, node)]
    case .meanRows(let op): [meanRows(op, node)]
    case .maxPool(let op): [maxPool(op, node)]
    case .averagePoolGlobal: [averagePool(node)]
    case .upsample2x: [upsample2x(node)]
    case .sumTaps(let op): [sumTaps(op, node)]
    case .keyBias: [mask(node, one: 0, zero: -.infinity)]
    case .maskWeights: [mask(node, one: 1, zero: 0)]
    case .reshape: []
    case .transpose(let op): [transpose(op, node)]
    case .slice(let op): slice(op, node)
    case .concatenate(let op): concatenate(op, node)
    }
  }

  // MARK: What the operations' lowerings share

  func shape(_ value: ValueID) -> Shape { graph[value].shape }

  /// Where an f32 value is read from.
  func source(_ value: ValueID) -> UnsafePointer<Float> {
    if let constant = constants[value], let start = constant.bytes.baseAddress {
      return start.assumingMemoryBound(to: Float.self)
    }
    // A reshape of a constant is a constant too.
    if let maker = graph.nodes.first(where: { $0.output == value }), case .reshape = maker.op {
      return source(maker.inputs[0])
    }
    guard let address = arena.address(of: value) else {
      preconditionFailure("value without memory")
    }
    return UnsafePointer(address.assumingMemoryBound(to: Float.self))
  }

  /// Where an i32 value is read from.
  func ids(_ value: ValueID) -> UnsafePointer<Int32> {
    guard let address = arena.address(of: value) else {
      preconditionFailure("value without memory")
    }
    return UnsafePointer(address.assumingMemoryBound(to: Int32.self))
  }

  /// Where a quantized value is read from or written to.
  func integers(_ value: ValueID) -> UnsafeMutablePointer<Int8> {
    precondition(graph[value].elementType == .i8)
    guard let address = arena.address(of: value) else {
      preconditionFailure("value without memory")
    }
    return address.assumingMemoryBound(to: Int8.self)
  }

  func target(_ value: ValueID) -> UnsafeMutablePointer<Float> {
    guard let address = arena.address(of: value) else {
      preconditionFailure("value without memory")
    }
    return address.assumingMemoryBound(to: Float.self)
  }

  /// How many tiles work of `operations` elementary operations is cut into: one if it is so small
  /// that waking a thread costs more, else some for each thread, so that a slow thread gets fewer.
  func tiles(operations: Int) -> Int {
    Lowering.tiles(operations: operations, threadCount: threadCount)
  }

  package static func tiles(operations: Int, threadCount: Int) -> Int {
    operations < 20_000 ? 1 : min(threadCount * 4, max(threadCount, operations / 20_000))
  }

  mutating func check(ids value: ValueID, limit: Int) {
    let name = graph.inputs.first { $0.value == value }?.name ?? graph[value].name
    idChecks.append(
      IDCheck(input: name, ids: ids(value), count: shape(value).count, limit: limit))
  }

  private mutating func constant(_ weight: Weight, _ node: Node) -> [Step] {
    constants[node.output] = FloatStorage(weight.floats())
    // A constant that is an output of the graph has no memory in the arena; nothing asks for that.
    return []
  }
}

/// A small weight as f32 numbers that a step keeps.
struct Parameter {
  private let storage: FloatStorage

  init(_ values: [Float]) { storage = FloatStorage(values) }

  init(_ weight: Weight) { self.init(weight.floats()) }

  init?(_ weight: Weight?) {
    guard let weight else { return nil }
    self.init(weight)
  }

  var pointer: UnsafePointer<Float> {
    guard let start = storage.bytes.baseAddress else { preconditionFailure("empty parameter") }
    return start.assumingMemoryBound(to: Float.self)
  }
}

extension Activation {
  var kernel: KernelActivation {
    switch self {
    case .relu: .relu
    case .relu6: .relu6
    case .gelu: .gelu
    case .geluTanh: .geluTanh
    case .geluQuick: .geluQuick
    case .silu: .silu
    case .tanh: .tanh
    case .sigmoid: .sigmoid
    }
  }
}
