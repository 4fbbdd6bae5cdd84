/// How long the stages of a computation took.
package final class StageClock {
  package struct Stage: Hashable, Sendable {
    package let name: String
    package var seconds: Double
  }

  /// In the order in which they were first entered; what a stage took again is added to it.
  package private(set) var stages: [Stage] = []

  package init() {}

  package func measure<Value>(_ name: String, _ body: () throws -> Value) rethrows -> Value {
    let start = ContinuousClock.now
    defer {
      let parts = start.duration(to: .now).components
      add(name, Double(parts.seconds) + Double(parts.attoseconds) * 1e-18)
    }
    return try body()
  }

  private func add(_ name: String, _ seconds: Double) {
    if let index = stages.firstIndex(where: { $0.name == name }) {
      stages[index].seconds += seconds
    } else {
      stages.append(Stage(name: name, seconds: seconds))
    }
  }
}
