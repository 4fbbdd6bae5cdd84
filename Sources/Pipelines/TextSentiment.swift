package import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors
import PipitTokenizers

/// Reads the mood of texts.
package protocol TextMoodReader: AnyObject {
  /// The moods of texts, in order.
  func moods(of texts: [String]) throws -> [Mood]
}

extension TextMoodReader {
  package func mood(of text: String) throws -> Mood { try moods(of: [text])[0] }
}

/// Texts that go through a classifier at once.
private let batchCount = 8
/// Bytes of working memory that are kept for texts of other lengths.
private let keptByteCount = 64 << 20

/// Reads the mood of texts from the states of a text encoder that other things are read from too.
package final class TextSentiment: TextMoodReader {
  /// Tokens of a text that are read; what is longer is cut.
  package static let tokenLimit = 128

  private let encoder: TextEncoder
  private let component: Component
  private let model: TextSentimentHead
  private let scale: MoodScale

  package init(encoder: TextEncoder, head folder: ModelFolder, machine: Machine) throws {
    self.encoder = encoder
    component = try Component(folder, machine: machine)
    guard case .textSentimentHead(let model) = component.architecture else {
      throw component.wrongArchitecture("TextSentimentHead")
    }
    guard encoder.givesLayerStates, model.hidden == encoder.hidden else {
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
    scale = try MoodScale(labels: model.labels, file: folder.configuration.file)
  }

  package func moods(of texts: [String]) throws -> [Mood] {
    let ids = texts.map { encoder.ids($0, limit: TextSentiment.tokenLimit) }
    return try TextBatch.map(ids, count: batchCount) { try moods(ofIDs: $0) }
  }

  private func moods(ofIDs texts: [[Int32]]) throws -> [Mood] {
    let encoding = try encoder.encode(texts, statesAfter: model.encoderLayers)
    let (batch, tokens) = (texts.count, encoding.tokens)
    component.releasePrograms(beyond: keptByteCount)
    let program = try component.program("\(batch)x\(tokens)") {
      try model.graph(weights: component.weights, batch: batch, tokens: tokens)
    }
    _ = try program.input("layer_states").update(fromContentsOf: encoding.layerStates)
    _ = try program.idInput("attention_mask").update(fromContentsOf: encoding.mask)
    try program.run()
    return scale.moods(try component.finite("logits", of: program))
  }
}

/// Reads the mood of texts with a classifier of its own, such as a `...ForSequenceClassification` folder.
package final class TextClassification: TextMoodReader {
  private let component: Component
  private let model: TextClassifier
  private let tokenizer: Tokenizer
  private let scale: MoodScale
  private let tokenLimit: Int
  private let paddingID: Int32

  package init(_ folder: ModelFolder, machine: Machine) throws {
    component = try Component(folder, machine: machine)
    guard case .textClassifier(let model) = component.architecture else {
      throw component.wrongArchitecture(
        "a text classifier, such as BertForSequenceClassification")
    }
    self.model = model
    scale = try MoodScale(
      labels: model.labels, isMultiLabel: model.isMultiLabel, file: folder.configuration.file)
    let encoder = model.encoder
    (tokenizer, tokenLimit) = try folder.tokenizer(
      vocabularyCount: encoder.vocabularyCount, tokenLimit: encoder.tokenLimit)
    paddingID = encoder.paddingID.map { Int32($0) } ?? tokenizer.padID ?? 0
  }

  package func moods(of texts: [String]) throws -> [Mood] {
    let ids = texts.map { tokenizer.encode($0, maximumCount: tokenLimit) }
    return try TextBatch.map(ids, count: batchCount) { try moods(ofIDs: $0) }
  }

  private func moods(ofIDs texts: [[Int32]]) throws -> [Mood] {
    let batch = TextBatch(texts, tokenLimit: tokenLimit)
    component.releasePrograms(beyond: keptByteCount)
    let program = try component.program(batch.key) {
      try model.graph(
        weights: component.weights, TextShape(batch: texts.count, tokens: batch.tokens))
    }
    try batch.fill(program, paddingID: paddingID)
    try program.run()
    return scale.moods(try component.finite("logits", of: program))
  }
}

extension MoodScale {
  /// The moods of several texts from logits `[texts, labels]`.
  fileprivate func moods(_ logits: UnsafeBufferPointer<Float>) -> [Mood] {
    stride(from: 0, to: logits.count, by: labels.count).map { first in
      Mood(logits: logits[first..<first + labels.count], scale: self)
    }
  }
}
