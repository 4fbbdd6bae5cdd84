package import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors

/// The mood of a text or a picture.
package struct Mood: Hashable, Sendable {
  /// "negative", "neutral" or "positive".
  package let label: String
  /// Probability of positive minus that of negative, -1 ... 1.
  package let score: Float
  /// The probability of the label.
  package let confidence: Float

  /// From a classifier's logits; labels are found by name, whatever their order.
  init(logits: some Collection<Float>, labels: [String]) {
    let highest = logits.max() ?? 0
    let exponentials = logits.map { Double($0 - highest).exponential }
    let sum = exponentials.reduce(0, +)
    let probabilities = exponentials.map { $0 / sum }
    func probability(_ label: String) -> Double {
      labels.firstIndex { $0.lowercased() == label }.map { probabilities[$0] } ?? 0
    }
    let best = probabilities.indices.max { probabilities[$0] < probabilities[$1] } ?? 0
    label = labels[best]
    confidence = Float(probabilities[best])
    score = Float(probability("positive") - probability("negative"))
  }
}

/// Reads the mood of texts from the states of a text encoder.
package final class TextSentiment {
  /// Tokens of a text that are read; what is longer is cut.
  package static let tokenLimit = 128
  /// Texts that go through the encoder at once.
  package static let batch = 8

  private let encoder: TextEncoder
  private let component: Component
  private let model: TextSentimentHead

  package init(encoder: TextEncoder, head folder: ModelFolder, machine: Machine) throws {
    self.encoder = encoder
    component = try Component(folder, machine: machine)
    guard case .textSentimentHead(let model) = component.architecture else {
      throw component.wrongArchitecture("TextSentimentHead")
    }
    guard model.hidden == encoder.hidden else {
      throw FormatError(
        path: folder.configuration.file, part: "'hidden_size'",
        expected: "the encoder's \(encoder.hidden)", found: "\(model.hidden)")
    }
    if let layer = model.encoderLayers.first(where: { $0 > encoder.depth }) {
      throw FormatError(
        path: folder.configuration.file, part: "'encoder_layers'",
        expected: "0 to the encoder's \(encoder.depth)", found: "\(layer)")
    }
    self.model = model
  }

  package func mood(of text: String) throws -> Mood { try moods(of: [text])[0] }

  /// The moods of texts, in order. Texts of about the same length share a pass, so that little
  /// is spent on padding.
  package func moods(of texts: [String]) throws -> [Mood] {
    let ids = texts.map { encoder.ids($0, limit: TextSentiment.tokenLimit) }
    let order = ids.indices.sorted { (ids[$0].count, $0) < (ids[$1].count, $1) }
    var moods = [Mood?](repeating: nil, count: texts.count)
    for start in stride(from: 0, to: order.count, by: TextSentiment.batch) {
      let part = order[start..<min(start + TextSentiment.batch, order.count)]
      let read = try self.moods(ofIDs: part.map { ids[$0] })
      for (index, mood) in zip(part, read) { moods[index] = mood }
    }
    return moods.compactMap { $0 }
  }

  private func moods(ofIDs texts: [[Int32]]) throws -> [Mood] {
    let encoding = try encoder.encode(texts, meansAfter: model.encoderLayers)
    let batch = texts.count
    let program = try component.program("\(batch)") {
      try model.graph(weights: component.weights, batch: batch)
    }
    _ = try program.input("layer_means").update(fromContentsOf: encoding.layerMeans)
    try program.run()
    let logits = try program.output("logits")
    let count = model.labels.count
    return (0..<batch).map { row in
      Mood(logits: Array(logits[row * count..<(row + 1) * count]), labels: model.labels)
    }
  }
}
