import PipitGraph
import PipitKernels
package import PipitPipelines
import PipitRuntime
import PipitTensors

/// What was seen of the inputs of a model's layers, by the names of their weights.
package final class Calibration {
  private let root: String?
  private var inputs: [String: InputStatistics] = [:]
  private var places: [FoldingPlace: [String]] = [:]
  private var smoothings: [FoldingPlace: Smoothing.Best?] = [:]
  private var choices: [ObjectIdentifier: (Weight.Activations, RangeMethod?)] = [:]

  /// Bytes that products of inputs may still take.
  private var productBytes = 256 << 20

  /// `root`: the folder whose components are run; `nil` for a model in one file.
  package init(root: String?) { self.root = root }

  /// Watches whatever this machine runs from now on.
  package func watch(_ machine: Machine) {
    machine.observer = { [self] file in
      ComponentObserver(calibration: self, prefix: Calibration.prefix(file, root: root))
    }
  }

  /// What stands before names of a component's tensors: nothing where it is the root itself.
  static func prefix(_ settingsFile: String, root: String?) -> String {
    guard let root else { return "" }
    let rest = settingsFile.hasPrefix(root) ? settingsFile.dropFirst(root.count) : ""
    let name = rest.split(separator: "/").dropLast().joined(separator: "/")
    return name.isEmpty ? "" : name + "/"
  }

  package var layerCount: Int { inputs.count }

  /// The statistics of the input that a weight is multiplied with; `nil` where none was seen.
  func input(_ name: String) -> InputStatistics? { inputs[name] }

  /// The weights that are multiplied with the same input in one product, this one among them.
  func companions(of name: String) -> [String] {
    guard let input = inputs[name] else { return [name] }
    return inputs.filter { $0.value === input }.map(\.key)
  }

  /// What makes the inputs of products, and the weights of those, where channels can be scaled.
  var foldingPlaces: [(place: FoldingPlace, readers: [String])] {
    places.map { ($0.key, $0.value) }.sorted { $0.readers[0] < $1.readers[0] }
  }

  /// The factors for an input, found when they are first asked for.
  func smoothing(_ place: FoldingPlace, _ search: () -> Smoothing.Best?) -> Smoothing.Best? {
    if let known = smoothings[place] { return known }
    let best = search()
    smoothings[place] = .some(best)
    return best
  }

  /// The statistics of an input that these weights are multiplied with; `makePlace` is asked when it is new.
  fileprivate func statistics(
    _ names: [String], channels: Int, taps: Int,
    makePlace: () -> (place: FoldingPlace, readers: [String])? = { nil }
  ) -> InputStatistics {
    if let known = inputs[names[0]], known.channels == channels, known.taps == taps { return known }
    let new = InputStatistics(channels: channels, taps: taps)
    for name in names { inputs[name] = new }
    if let (place, readers) = makePlace() { places[place] = readers }
    return new
  }

  /// Multiplies the channels of a layer's input with each other, if there is room for that.
  fileprivate func multiply(_ inputs: InputStatistics, rows: UnsafeBufferPointer<Float>) {
    if inputs.products == nil {
      let byteCount = inputs.channels * inputs.channels * MemoryLayout<Float>.stride
      guard inputs.channels <= InputProducts.widest, byteCount <= productBytes else { return }
      productBytes -= byteCount
    }
    inputs.multiply(rows: rows)
  }

  /// What becomes of the input of a weight's layer. Layers that are computed as one, over the same input,
  /// all get what is best for the first that is asked about, since only then they can be.
  func choice(
    _ inputs: InputStatistics, _ search: () -> (Weight.Activations, RangeMethod?)
  ) -> (Weight.Activations, RangeMethod?) {
    if let known = choices[ObjectIdentifier(inputs)] { return known }
    let choice = search()
    choices[ObjectIdentifier(inputs)] = choice
    return choice
  }
}

/// Sees the products of one component.
private final class ComponentObserver: ProgramObserver {
  private let calibration: Calibration
  private let prefix: String

  init(calibration: Calibration, prefix: String) {
    self.calibration = calibration
    self.prefix = prefix
  }

  func willCompute(node index: Int, of program: Program) {
    let node = program.graph.nodes[index]
    guard let input = node.inputs.first, let memory = program.memory(of: input) else { return }
    switch node.op {
    case .linear(let op):
      let names = op.weights.map { prefix + $0.name }
      let seen = calibration.statistics(names, channels: op.depth, taps: 1) {
        guard let place = FoldingPlace(input, program.graph, prefix: prefix),
          let readers = FoldingPlace.readers(input, program.graph)
        else { return nil }
        return (place, readers.map { prefix + $0 })
      }
      seen.add(rows: memory)
      seen.sample(rows: memory)
      // Of text alone, whose rows are few.
      if program.graph.inputs.contains(where: { $0.name == "input_ids" }) {
        calibration.multiply(seen, rows: memory)
      }
    case .conv2D(let op):
      let shape = program.graph[input].shape
      let seen = calibration.statistics(
        [prefix + op.weight.name], channels: shape[3], taps: op.kernelHeight * op.kernelWidth)
      seen.add(rows: memory)
      seen.sample(image: memory, shape, op, program.graph[node.output].shape)
    default: break
    }
  }
}
