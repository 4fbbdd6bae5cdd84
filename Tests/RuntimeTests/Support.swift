import PipitGraph
import PipitKernels
import PipitRuntime
import PipitTensors
import TestSupport

/// Weights of whatever name and shape is asked for, small random numbers, always the same for a name.
final class RandomWeights: WeightSource {
  let names: [String] = []
  func weight(named name: String) throws -> Weight? { nil }

  /// A weight of that name and shape.
  static func make(_ name: String, _ shape: Shape) -> Weight {
    let seed = name.utf8.reduce(UInt64(7)) { $0 &* 31 &+ UInt64($1) }
    let scale = 1 / Float(max(1, shape.count / max(shape.extents.first ?? 1, 1))).squareRoot()
    return Weight(
      name: name, shape: shape, values: randoms(shape.count, seed: seed, in: -scale...scale))
  }

  /// Positive numbers, for variances and gains.
  static func positive(_ name: String, _ count: Int) -> Weight {
    Weight(name: name, shape: [count], values: make(name, [count]).floats().map { abs($0) + 0.5 })
  }
}

/// Runs a graph as it is on a level.
func run(
  _ graph: Graph, _ inputs: [String: [Float]], kernels: KernelTable, threads: Int = 1
) throws -> [String: [Float]] {
  let program = Program(
    graph: graph, kernels: kernels, pool: ThreadPool(threadCount: threads),
    weights: PackedWeights(kernels: kernels))
  try fill(program, inputs)
  try program.run()
  var outputs: [String: [Float]] = [:]
  for port in graph.outputs { outputs[port.name] = Array(try program.output(port.name)) }
  return outputs
}

func fill(_ program: Program, _ inputs: [String: [Float]]) throws {
  for port in program.graph.inputs {
    let values = inputs[port.name] ?? []
    if program.graph[port.value].elementType == .i32 {
      let target = try program.idInput(port.name)
      for index in target.indices { target[index] = Int32(values[index]) }
    } else {
      let target = try program.input(port.name)
      for index in target.indices { target[index] = values[index] }
    }
  }
}

/// Random numbers for every input of a graph: ids below 5 that are not all 0, the rest in -1 ... 1.
func randomInputs(_ graph: Graph, seed: UInt64) -> [String: [Float]] {
  var inputs: [String: [Float]] = [:]
  for (index, port) in graph.inputs.enumerated() {
    let count = graph[port.value].shape.count
    let numbers = randoms(count, seed: seed &+ UInt64(index))
    inputs[port.name] =
      graph[port.value].elementType == .i32
      ? numbers.enumerated().map { $0 == 0 ? 1 : Float(Int(abs($1) * 4.99)) } : numbers
  }
  return inputs
}
