import PipitGraph
import PipitPipelines
import PipitRuntime

/// How long each layer takes while a model runs: what a run spends from the beginning of a product to the
/// beginning of the next operation, and what it spends on making the product's input integers.
final class LayerTimes {
  private let root: String?
  fileprivate var nanoseconds: [String: Int64] = [:]
  fileprivate(set) var total: Int64 = 0

  init(root: String?) { self.root = root }

  func watch(_ machine: Machine) {
    machine.observer = { [self] file in
      TimeObserver(times: self, prefix: Calibration.prefix(file, root: root))
    }
  }

  /// Milliseconds of the layer with that weight, all runs together; `nil` if it was not run by itself (several
  /// weights in one product are told of together, by the first).
  func milliseconds(_ name: String) -> Double? { nanoseconds[name].map { Double($0) / 1e6 } }
}

private final class TimeObserver: ProgramObserver {
  private let times: LayerTimes
  private let prefix: String
  private var current: String?
  private var begin: Int64 = 0
  /// Time of quantizations whose product is still to come.
  private var pending: Int64 = 0
  private var isQuantization = false

  init(times: LayerTimes, prefix: String) {
    self.times = times
    self.prefix = prefix
  }

  func willCompute(node index: Int, of program: Program) {
    let now = monotonicNanoseconds()
    if index > 0 {
      let spent = now - begin
      times.total += spent
      if isQuantization { pending += spent }
      if let current { times.nanoseconds[current, default: 0] += spent }
    }
    (current, isQuantization) = (nil, false)
    switch program.graph.nodes[index].op {
    case .linear(let op): current = prefix + op.weights[0].name
    case .conv2D(let op): current = prefix + op.weight.name
    case .quantize: isQuantization = true
    default: break
    }
    if let current, pending > 0 {
      times.nanoseconds[current, default: 0] += pending
      pending = 0
    }
    begin = monotonicNanoseconds()
  }
}
