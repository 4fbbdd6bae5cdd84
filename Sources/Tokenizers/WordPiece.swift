/// The WordPiece model of BERT: each word is read from its start in the longest pieces there are; a
/// word that cannot be read to its end is unknown as a whole.
struct WordPiece: Sendable {
  let vocabulary: Vocabulary
  /// The pieces that continue a word, without the mark that says so.
  private let continuations: Vocabulary
  let unknownID: Int32
  private let maximumCharacters: Int

  init(
    vocabulary: Vocabulary, unknownToken: String, continuationMark: String,
    maximumCharacters: Int, file: String
  ) throws {
    guard let unknownID = vocabulary.id(of: unknownToken) else {
      throw TokenizerError.invalid(
        file: file, member: "model.unk_token", expected: "a piece of the vocabulary",
        found: "'\(unknownToken)'")
    }
    self.vocabulary = vocabulary
    self.unknownID = unknownID
    self.maximumCharacters = maximumCharacters
    var continuations = Vocabulary()
    let mark = Array(continuationMark.utf8)
    for number in 0..<vocabulary.table.count {
      let bytes = vocabulary.table.bytes(of: number)
      guard bytes.starts(with: mark) else { continue }
      try continuations.add(id: vocabulary.ids[number], file: file) {
        $0.append(contentsOf: bytes.dropFirst(mark.count))
      }
    }
    try continuations.index(file: file, beginnings: true)
    self.continuations = continuations
  }

  /// Appends the ids of a word.
  func appendIDs(of word: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
    var characters = 0
    for byte in word where byte & 0xC0 != 0x80 { characters += 1 }
    guard characters <= maximumCharacters else { return ids.append(unknownID) }
    let count = ids.count
    var start = 0
    while start < word.count {
      let pieces = start == 0 ? vocabulary : continuations
      let rest = UnsafeBufferPointer(rebasing: word[start...])
      guard let piece = pieces.longestPrefix(of: rest) else {
        ids.removeLast(ids.count - count)
        return ids.append(unknownID)
      }
      ids.append(piece.id)
      start += piece.length
    }
  }
}
