package import PipitFormats
package import PipitGraph
package import PipitModels
package import PipitRuntime
package import PipitTensors

/// One component of a model: its settings and weights, and the programs made from them.
///
/// Programs are made when they are first needed and share their packed weights.
package final class Component {
  package let part: ModelPart
  private let machine: Machine
  private let packed: PackedWeights
  private var programs: [String: Program] = [:]
  /// Keys of the programs, the one used last at the end.
  private var uses: [String] = []

  package init(_ part: ModelPart, machine: Machine) {
    self.part = part
    self.machine = machine
    packed = PackedWeights(kernels: machine.kernels, pool: machine.pool)
  }

  package convenience init(_ folder: ModelFolder, machine: Machine) throws {
    self.init(try ModelPart(folder), machine: machine)
  }

  package var architecture: Architecture { part.architecture }
  package var configuration: Configuration { part.configuration }
  package var weights: any WeightSource {
    machine.multipliesIntegers ? part.weights : FloatProducts(weights: part.weights)
  }

  /// The program of a key, made from the graph that `build` gives if there is none yet.
  ///
  /// - Throws: `MemoryError` if it takes more memory than there is.
  package func program(_ key: String, _ build: () throws -> Graph) throws -> Program {
    uses.removeAll { $0 == key }
    uses.append(key)
    if let program = programs[key] { return program }
    let graph = machine.optimize(try build())
    let need = machine.need([graph])
    // Weights of other programs are packed already.
    try machine.check(need.peak - min(packed.byteCount, need.packed), for: configuration.file)
    let program = Program(
      graph: graph, kernels: machine.kernels, pool: machine.pool, weights: packed)
    program.observer = machine.observer?(configuration.file)
    programs[key] = program
    return program
  }

  /// Forgets the programs used longest ago until the arenas of the others take no more than so many bytes;
  /// their outputs are no longer valid. Weights stay packed.
  package func releasePrograms(beyond byteCount: Int) {
    var kept = 0
    for key in uses.reversed() {
      guard let program = programs[key] else { continue }
      kept += program.plan.byteCount
      if kept > byteCount { programs[key] = nil }
    }
    uses.removeAll { programs[$0] == nil }
  }

  /// An output of one of its programs, after a run.
  ///
  /// - Throws: `FormatError` where it holds what is no finite number: nothing can be told or drawn by that.
  package func finite(
    _ output: String, of program: Program
  ) throws -> UnsafeBufferPointer<Float> {
    let values = try program.output(output)
    guard let odd = values.firstOddity else { return values }
    let cause = machine.kernels.multipliesHalves ? "is PIPIT_F16=1 too narrow for them?" : "are the weights damaged?"
    throw FormatError(
      path: configuration.file, part: "output '\(output)'",
      expected: "finite numbers (\(cause))", found: "\(values[odd])")
  }

  /// Bytes of packed weights, and of the largest arena.
  package var memory: (packed: Int, arena: Int) {
    (packed.byteCount, programs.values.map(\.plan.byteCount).max() ?? 0)
  }

  /// The error for a component that is not of the architecture that a pipeline needs.
  package func wrongArchitecture(_ expected: String) -> FormatError {
    part.wrongArchitecture(expected)
  }
}

/// Weights whose products are those of floats, whatever they ask for.
private struct FloatProducts: WeightSource {
  let weights: any WeightSource

  var path: String { weights.path }
  var names: [String] { weights.names }

  func weight(named name: String) throws -> Weight? {
    try weights.weight(named: name)?.withFloatProducts
  }
}
