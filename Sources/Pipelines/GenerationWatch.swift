package import PipitFormats

/// Who waits for pictures: is told how far they have come, can look at them, and can stop.
package struct GenerationWatch {
  /// What is about to be done.
  package enum Progress: Sendable {
    case step(Int, of: Int)
    case decoding(Int, of: Int)
  }

  /// What is to happen next.
  package enum Verdict: Sendable {
    case goOn
    /// Nothing more; there will be no pictures.
    case stop
    /// No more steps: what the last one says the picture will be is decoded.
    case finish
  }

  package var progress: (Progress) -> Verdict
  /// Takes a rough picture after each step.
  package var preview: ((Picture) throws -> Void)?
  /// Is told how long what took.
  package let clock = StageClock()

  package init(
    preview: ((Picture) throws -> Void)? = nil,
    progress: @escaping (Progress) -> Verdict
  ) {
    self.progress = progress
    self.preview = preview
  }

  /// Looks at nothing and never stops.
  package init() { self.init { _ in .goOn } }

  /// Whether the next step is to be done; throws if all is to end.
  func goesOn(beforeStep step: Int, of count: Int) throws -> Bool {
    switch progress(.step(step, of: count)) {
    case .goOn: return true
    case .finish: return false
    case .stop: throw GenerationStopped(step: step, count: count)
    }
  }

  /// Throws if the picture is not to be decoded.
  func decoding(_ index: Int, of count: Int, steps: Int) throws {
    if case .stop = progress(.decoding(index, of: count)) {
      throw GenerationStopped(step: steps, count: steps)
    }
  }
}

/// Someone asked to stop before there was a picture.
package struct GenerationStopped: Error, Hashable, Sendable, CustomStringConvertible {
  package let step: Int
  package let count: Int

  package init(step: Int, count: Int) {
    self.step = step
    self.count = count
  }

  package var description: String { "stopped after step \(step) of \(count)" }
}
