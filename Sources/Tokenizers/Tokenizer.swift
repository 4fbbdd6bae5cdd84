/// Turns text into the ids that a model was trained with, equal to those of the `tokenizers`
/// library of Hugging Face for the same files.
package struct Tokenizer: Sendable {
  /// What cuts words into pieces.
  enum Model: Sendable {
    case unigram(Unigram)
    case wordPiece(WordPiece)
    case bytePairs(BytePairs)
  }

  /// The steps before and after the model.
  struct Steps: Sendable {
    var normalizers: [Normalizer] = []
    var preTokenizers: [PreTokenizer] = []
    var postProcessor = PostProcessor()
    var addedTokens: [AddedTokens.Token] = []
  }

  private let model: Model
  private let normalizers: [Normalizer]
  private let preTokenizers: [PreTokenizer]
  private let postProcessor: PostProcessor
  private let addedTokens: AddedTokens

  /// The id that fills up a batch, if the files name one or there is one with a usual name.
  package let padID: Int32?
  /// The id of what the vocabulary lacks, if the files name one.
  package let unknownID: Int32?
  /// The most ids the model takes, if the files say so.
  package let maximumCount: Int?
  /// One more than the largest id: the rows that an embedding table must have.
  package let vocabularyCount: Int

  init(model: Model, steps: Steps, configuration: TokenizerConfiguration, file: String) throws {
    self.model = model
    normalizers = steps.normalizers
    preTokenizers = steps.preTokenizers
    postProcessor = steps.postProcessor
    addedTokens = try AddedTokens(
      steps.addedTokens, modelCount: model.distinctCount, modelID: model.id(of:),
      normalize: { bytes in
        var text = NormalizedText(bytes)
        for normalizer in steps.normalizers { normalizer.apply(to: &text) }
        return text.bytes
      }, file: file)
    let addedTokens = addedTokens
    func id(of piece: String?) -> Int32? {
      piece.flatMap { addedTokens.ids[$0] ?? model.id(of: $0) }
    }
    padID =
      id(of: configuration.padToken) ?? addedTokens.ids["<pad>"] ?? addedTokens.ids["[PAD]"]
    unknownID = id(of: configuration.unknownToken) ?? model.unknownID
    maximumCount = configuration.maximumCount
    let largest = max(model.largestID, addedTokens.ids.values.max() ?? -1)
    let special = (postProcessor.prefix + postProcessor.suffix).max() ?? -1
    vocabularyCount = Int(max(largest, special)) + 1
  }

  /// The id of a piece or added token, by its exact text.
  package func id(of piece: String) -> Int32? {
    addedTokens.ids[piece] ?? model.id(of: piece)
  }

  /// Ids that surround those of every text: they count towards a maximum.
  package var specialCount: Int {
    postProcessor.prefix.count + postProcessor.suffix.count
  }

  /// The ids of a text.
  ///
  /// - Parameters:
  ///   - maximumCount: The most ids wanted. The end of the text is cut off to keep it, never the
  ///     ending special ids (unless they alone are more).
  ///   - addSpecialTokens: Whether the special ids of the model go around those of the text.
  package func encode(
    _ text: String, maximumCount: Int? = nil, addSpecialTokens: Bool = true
  ) -> [Int32] {
    var text = text
    return text.withUTF8 {
      encode(valid: $0, maximumCount: maximumCount, addSpecialTokens: addSpecialTokens)
    }
  }

  /// The ids of a text that comes as bytes.
  ///
  /// What is not valid UTF-8 is read as U+FFFD, one for each maximal start of a valid sequence, as
  /// Python's `decode(errors="replace")` does.
  package func encode(
    utf8 bytes: UnsafeRawBufferPointer, maximumCount: Int? = nil, addSpecialTokens: Bool = true
  ) -> [Int32] {
    bytes.withMemoryRebound(to: UInt8.self) { bytes in
      UTF8Text.repaired(bytes).withUnsafeBufferPointer {
        encode(valid: $0, maximumCount: maximumCount, addSpecialTokens: addSpecialTokens)
      }
    }
  }

  /// The ids of a text that comes as bytes; see `encode(utf8:)` above.
  package func encode(
    utf8 bytes: [UInt8], maximumCount: Int? = nil, addSpecialTokens: Bool = true
  ) -> [Int32] {
    bytes.withUnsafeBytes {
      encode(utf8: $0, maximumCount: maximumCount, addSpecialTokens: addSpecialTokens)
    }
  }

  private func encode(
    valid text: UnsafeBufferPointer<UInt8>, maximumCount: Int?, addSpecialTokens: Bool
  ) -> [Int32] {
    var split = splitAndNormalize(text)
    for preTokenizer in preTokenizers { preTokenizer.apply(to: &split) }
    var ids: [Int32] = []
    split.bytes.withUnsafeBufferPointer { bytes in
      for piece in split.pieces {
        if let id = piece.tokenID {
          ids.append(id)
        } else {
          model.appendIDs(of: UnsafeBufferPointer(rebasing: bytes[piece.range]), to: &ids)
        }
      }
    }
    let wrap = addSpecialTokens ? postProcessor : PostProcessor()
    return wrap.apply(to: ids, maximumCount: maximumCount)
  }

  private func splitAndNormalize(_ text: UnsafeBufferPointer<UInt8>) -> SplitText {
    var split = SplitText()
    for part in addedTokens.cutVerbatim(text) {
      let isStart = part.range.lowerBound == 0
      if let id = part.id {
        split.append(tokenID: id)
        continue
      }
      var normalized = NormalizedText(Array(text[part.range]))
      for normalizer in normalizers { normalizer.apply(to: &normalized) }
      let startLength = isStart ? normalized.startLength : 0
      normalized.bytes.withUnsafeBufferPointer { bytes in
        for inner in addedTokens.cutNormalized(bytes) {
          if let id = inner.id {
            split.append(tokenID: id)
          } else {
            split.append(
              bytes[inner.range], startLength: max(0, startLength - inner.range.lowerBound))
          }
        }
      }
    }
    return split
  }
}

extension Tokenizer.Model {
  func appendIDs(of text: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
    switch self {
    case .unigram(let model): model.appendIDs(of: text, to: &ids)
    case .wordPiece(let model): model.appendIDs(of: text, to: &ids)
    case .bytePairs(let model): model.appendIDs(of: text, to: &ids)
    }
  }

  func id(of piece: String) -> Int32? {
    switch self {
    case .unigram(let model): model.pieces.number(of: piece).map(Int32.init)
    case .wordPiece(let model): model.vocabulary.id(of: piece)
    case .bytePairs(let model): model.vocabulary.id(of: piece)
    }
  }

  /// Pieces that differ: new tokens are numbered from here.
  var distinctCount: Int {
    switch self {
    // Here every entry counts, repeated or not.
    case .unigram(let model): model.pieces.count
    case .wordPiece(let model): model.vocabulary.table.distinctCount
    case .bytePairs(let model): model.vocabulary.table.distinctCount
    }
  }

  var largestID: Int32 {
    switch self {
    case .unigram(let model): Int32(model.pieces.count - 1)
    case .wordPiece(let model): model.vocabulary.ids.max() ?? -1
    case .bytePairs(let model): model.vocabulary.ids.max() ?? -1
    }
  }

  var unknownID: Int32? {
    switch self {
    case .unigram(let model): model.unknownID
    case .wordPiece(let model): model.unknownID
    case .bytePairs(let model): model.unknownID
    }
  }
}
