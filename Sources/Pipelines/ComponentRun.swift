package import PipitFormats
package import PipitGraph
import PipitModels
package import PipitRuntime
package import PipitTensors

/// Runs one component on arrays, as `pipit run` does.
package enum ComponentRun {
  /// The tensors given do not fit the component.
  package enum InputError: Error, CustomStringConvertible {
    case unknown(name: String, expected: [String])
    case missing(name: String)
    case shape(name: String, expected: Shape, found: Shape)
    case notWhole(name: String)
    case outOfRange(name: String, value: Int64)

    package var description: String {
      switch self {
      case .unknown(let name, let expected):
        "there is no input '\(name)'; the inputs are: \(expected.joined(separator: ", "))"
      case .missing(let name): "input '\(name)' is missing"
      case .shape(let name, let expected, let found):
        "input '\(name)': expected shape \(expected), found \(found)"
      case .notWhole(let name): "input '\(name)': expected whole numbers, found floating point"
      case .outOfRange(let name, let value):
        "input '\(name)': \(value) is not a 32-bit whole number"
      }
    }
  }

  /// One result.
  package struct Output {
    package let shape: Shape
    package let values: [Float]
  }

  /// Computes the named outputs of a component for named inputs.
  package static func run(
    _ part: ModelPart, inputs: [String: NpyArray], outputs: [String], machine: Machine
  ) throws -> [String: Output] {
    let component = Component(part, machine: machine)
    let program = try component.program("run") {
      try component.architecture.graph(
        weights: component.weights, inputs: inputs.mapValues(\.shape))
    }
    try check(inputs, for: program)
    for port in program.graph.inputs {
      if let array = inputs[port.name] { try fill(program, port, array) }
    }
    try program.run()
    var results: [String: Output] = [:]
    for name in outputs {
      let values = Array(try program.output(name))
      results[name] = Output(shape: program.shape(ofOutput: name) ?? [values.count], values: values)
    }
    return results
  }

  /// Whether every input is there and none is too much.
  package static func check(_ inputs: [String: NpyArray], for program: Program) throws {
    let names = program.graph.inputs.map(\.name)
    if let name = inputs.keys.sorted().first(where: { !names.contains($0) }) {
      throw InputError.unknown(name: name, expected: names)
    }
    if let name = names.first(where: { inputs[$0] == nil }) {
      throw InputError.missing(name: name)
    }
  }

  /// Writes an array into the program's memory for an input.
  package static func fill(_ program: Program, _ port: Port, _ array: NpyArray) throws {
    let info = program.graph[port.value]
    guard info.shape == array.shape else {
      throw InputError.shape(name: port.name, expected: info.shape, found: array.shape)
    }
    switch (info.elementType, array.values) {
    case (.i32, .integers(let values)):
      let target = try program.idInput(port.name)
      for (index, value) in values.enumerated() {
        guard let id = Int32(exactly: value) else {
          throw InputError.outOfRange(name: port.name, value: value)
        }
        target[index] = id
      }
    case (.i32, .floats):
      throw InputError.notWhole(name: port.name)
    case (_, .floats(let values)):
      _ = try program.input(port.name).update(fromContentsOf: values)
    case (_, .integers(let values)):
      _ = try program.input(port.name).update(fromContentsOf: values.map { Float($0) })
    }
  }
}
