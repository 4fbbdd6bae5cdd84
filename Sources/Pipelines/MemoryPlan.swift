package import PipitGraph
package import PipitRuntime

/// What a use of a model takes of the machine's memory, told before anything is loaded: one stage after
/// the other, each released before the next begins.
package struct MemoryPlan: Sendable {
  /// What is in memory at the same time.
  package struct Stage: Sendable {
    package let name: String
    package let need: MemoryNeed
    /// Bytes that lie there besides the programs: keys and values, latents, pictures.
    package let held: Int

    package var byteCount: Int { need.peak + held }
  }

  package private(set) var stages: [Stage] = []

  /// The program itself, its libraries, a tokenizer and pages of mapped files that are read in place.
  package static let programByteCount = 17_000_000

  package init() {}

  /// Adds a stage that runs graphs, given as they are built; they share their packed weights.
  package mutating func add(
    _ name: String, _ graphs: [Graph], held: Int = 0, machine: Machine
  ) {
    add(name, optimized: graphs.map { machine.optimize($0) }, held: held, machine: machine)
  }

  mutating func add(_ name: String, optimized graphs: [Graph], held: Int = 0, machine: Machine) {
    stages.append(Stage(name: name, need: machine.need(graphs), held: held))
  }

  /// The stage that needs most.
  package var largest: Stage? { stages.max { $0.byteCount < $1.byteCount } }

  /// The most bytes at any time.
  package var peak: Int { MemoryPlan.programByteCount + (largest?.byteCount ?? 0) }
}
