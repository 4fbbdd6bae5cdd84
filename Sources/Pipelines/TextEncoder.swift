package import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors
import PipitTokenizers

/// A tokenizer and a text encoder: from texts to the states of their tokens and to embeddings.
package final class TextEncoder {
  private enum Model {
    case transformer(TextTransformer)
    case clip(CLIPText)
  }

  /// Texts that go through the encoder at once.
  package static let batch = 8
  /// Bytes of working memory that are kept for texts of other lengths.
  private static let keptByteCount = 64 << 20

  private let component: Component
  private let model: Model
  private let tokenizer: Tokenizer
  private let settings: SentenceSettings
  /// The most tokens that are read of a text.
  private let tokenLimit: Int
  private let paddingID: Int32

  package init(_ folder: ModelFolder, machine: Machine) throws {
    component = try Component(folder, machine: machine)
    settings = try SentenceSettings(folder)
    let (vocabularyCount, positions): (Int, Int)
    var padding: Int?
    switch component.architecture {
    case .textTransformer(let model):
      self.model = .transformer(model)
      (vocabularyCount, positions) = (model.vocabularyCount, model.tokenLimit)
      padding = model.paddingID
    case .clipText(let model):
      self.model = .clip(model)
      (vocabularyCount, positions) = (model.vocabularyCount, model.tokenLimit)
    default:
      throw component.wrongArchitecture("a text encoder, such as BertModel")
    }
    (tokenizer, tokenLimit) = try folder.tokenizer(
      vocabularyCount: vocabularyCount, tokenLimit: min(positions, settings.tokenLimit ?? positions)
    )
    paddingID = padding.map { Int32($0) } ?? tokenizer.padID ?? 0
  }

  /// The width of a token's state.
  package var hidden: Int {
    switch model {
    case .transformer(let model): model.hidden
    case .clip(let model): model.layer.hidden
    }
  }

  /// The number of layers.
  package var depth: Int {
    switch model {
    case .transformer(let model): model.depth
    case .clip(let model): model.layerCount
    }
  }

  /// Whether the states after layers can be asked for.
  package var givesLayerStates: Bool {
    if case .transformer = model { true } else { false }
  }

  package var memory: (packed: Int, arena: Int) { component.memory }

  /// Token ids of a text, special ones included, at most `limit`; as many as the encoder reads if left out.
  package func ids(_ text: String, limit: Int? = nil) -> [Int32] {
    let text = settings.prompt + text
    return tokenizer.encode(
      settings.lowercases ? text.lowercased() : text,
      maximumCount: min(limit ?? tokenLimit, tokenLimit))
  }

  /// The states of the tokens of several texts, `[texts, tokens, hidden]`, and the embeddings
  /// `[texts, width]`.
  package struct Encoding {
    package let tokens: Int
    package let states: UnsafeBufferPointer<Float>
    package let embeddings: UnsafeBufferPointer<Float>
    /// `[texts, tokens, layers * hidden]`: the states after the layers asked for.
    package let layerStates: UnsafeBufferPointer<Float>
    /// `[texts, tokens]`, 1 for tokens of the text and 0 for padding.
    package let mask: [Int32]
  }

  /// Encodes texts given as ids; the result is valid until the next call.
  ///
  /// - Parameter layers: Layers whose states are wanted too, at most `depth`; the encoder must have
  ///   `givesLayerStates`.
  package func encode(_ texts: [[Int32]], statesAfter layers: [Int] = []) throws -> Encoding {
    let batch = TextBatch(texts, tokenLimit: tokenLimit)
    component.releasePrograms(beyond: TextEncoder.keptByteCount)
    let (program, output) = try program(batch, statesAfter: layers)
    try batch.fill(program, paddingID: paddingID)
    try program.run()
    return Encoding(
      tokens: batch.tokens, states: try component.finite("last_hidden_state", of: program),
      embeddings: try component.finite(output, of: program),
      layerStates: layers.isEmpty
        ? UnsafeBufferPointer(start: nil, count: 0)
        : try component.finite("layer_states", of: program),
      mask: batch.mask)
  }

  /// The embeddings of texts, in order.
  package func embeddings(of texts: [String]) throws -> [[Float]] {
    try TextBatch.map(texts.map { ids($0) }, count: TextEncoder.batch) { part in
      let embeddings = try encode(part).embeddings
      let width = embeddings.count / part.count
      return part.indices.map { Array(embeddings[$0 * width..<($0 + 1) * width]) }
    }
  }

  /// The program of a batch, and its output that is the embeddings.
  private func program(
    _ batch: TextBatch, statesAfter layers: [Int]
  ) throws -> (Program, String) {
    let (count, tokens) = (batch.texts.count, batch.tokens)
    switch model {
    case .transformer(let model):
      let program = try component.program("\(batch.key) \(layers)") {
        try model.graph(
          weights: component.weights, TextShape(batch: count, tokens: tokens),
          pooling: settings.pooling, statesAfter: layers)
      }
      return (program, "sentence_embedding")
    case .clip(let model):
      precondition(layers.isEmpty)
      // No mask: padding lies behind the end of a text, which does not look ahead.
      let program = try component.program(batch.key) {
        try model.graph(weights: component.weights, batch: count, tokens: tokens)
      }
      return (program, model.projection == nil ? "pooler_output" : "text_embeds")
    }
  }
}
