package import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors
import PipitTokenizers

/// A tokenizer and a text encoder: from texts to the states of their tokens.
package final class TextEncoder {
  private let component: Component
  private let model: TextTransformer
  private let tokenizer: Tokenizer
  /// What the encoder was trained to see in front of every text.
  private let prefix = "query: "

  package init(_ folder: ModelFolder, machine: Machine) throws {
    component = try Component(folder, machine: machine)
    guard case .textTransformer(let model) = component.architecture else {
      throw component.wrongArchitecture("BertModel")
    }
    self.model = model
    tokenizer = try TextEncoder.tokenizer(folder)
    guard tokenizer.specialCount < model.tokenLimit else {
      throw FormatError(
        path: folder.configuration.file, part: "'max_position_embeddings'",
        expected: "more than the tokenizer's \(tokenizer.specialCount) special tokens",
        found: "\(model.tokenLimit)")
    }
    guard tokenizer.vocabularyCount <= model.vocabularyCount else {
      throw FormatError(
        path: folder.path + "/tokenizer.json", part: "vocabulary",
        expected: "at most vocab_size \(model.vocabularyCount) ids",
        found: "\(tokenizer.vocabularyCount)")
    }
  }

  private static func tokenizer(_ folder: ModelFolder) throws -> Tokenizer {
    // The mappings live until the tokenizer has read them.
    var mapped: [String: MappedFile] = [:]
    for name in Tokenizer.fileNames where folder.has(name) {
      mapped[name] = try MappedFile(path: folder.path + "/" + name)
    }
    return try withExtendedLifetime(mapped) {
      try Tokenizer(folder: folder.path, files: mapped.mapValues(\.bytes))
    }
  }

  package var hidden: Int { model.hidden }

  /// The number of the encoder's layers.
  package var depth: Int { model.depth }

  package var memory: (packed: Int, arena: Int) { component.memory }

  /// Token ids of a text, special ones included, at most `limit`.
  package func ids(_ text: String, limit: Int) -> [Int32] {
    tokenizer.encode(
      prefix + text, maximumCount: min(limit, model.tokenLimit))
  }

  /// The states of the tokens of several texts, `[texts, tokens, hidden]`, and the embeddings `[texts, hidden]`.
  package struct Encoding {
    package let tokens: Int
    package let states: UnsafeBufferPointer<Float>
    package let embeddings: UnsafeBufferPointer<Float>
    /// `[texts, layers * hidden]`: the mean states after the layers asked for.
    package let layerMeans: UnsafeBufferPointer<Float>
    /// `[texts, tokens]`, 1 for tokens of the text and 0 for padding.
    package let mask: [Int32]
  }

  /// Encodes texts given as ids; the result is valid until the next call.
  ///
  /// Token counts are rounded up so that a stream of texts needs few programs.
  package func encode(_ texts: [[Int32]], meansAfter layers: [Int] = []) throws -> Encoding {
    precondition(!texts.isEmpty)
    let longest = texts.map(\.count).max() ?? 1
    let tokens = min((max(longest, 1) + 7) / 8 * 8, model.tokenLimit)
    let batch = texts.count
    let program = try component.program("\(batch)x\(tokens) \(layers)") {
      try model.graph(
        weights: component.weights, TextShape(batch: batch, tokens: tokens),
        pooling: SentencePooling(.mean, normalizes: true), meansAfter: layers)
    }
    var mask = [Int32](repeating: 0, count: batch * tokens)
    let ids = try program.idInput("input_ids")
    for index in ids.indices { ids[index] = tokenizer.padID ?? 0 }
    for (row, text) in texts.enumerated() {
      for (column, id) in text.enumerated() {
        ids[row * tokens + column] = id
        mask[row * tokens + column] = 1
      }
    }
    let maskInput = try program.idInput("attention_mask")
    for index in mask.indices { maskInput[index] = mask[index] }
    try program.run()
    return Encoding(
      tokens: tokens, states: try program.output("last_hidden_state"),
      embeddings: try program.output("sentence_embedding"),
      layerMeans: layers.isEmpty
        ? UnsafeBufferPointer(start: nil, count: 0) : try program.output("layer_means"),
      mask: mask)
  }
}
