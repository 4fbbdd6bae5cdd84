/// Pieces with ids of their own, as the vocabularies of WordPiece and byte pairs list them.
struct Vocabulary: Sendable {
  private(set) var table = PieceTable()
  /// The id of each text of `table`.
  private(set) var ids: [Int32] = []

  /// Adds a piece by letting `append` write it; it is found only after `index`.
  mutating func add(
    id: Int32, file: String, _ append: (inout [UInt8]) throws -> Void
  ) throws {
    try table.add(file: file, append)
    ids.append(id)
  }

  /// Makes the pieces findable; with `beginnings`, also as parts of a longer text.
  mutating func index(file: String, beginnings: Bool) throws {
    try table.index(file: file, beginnings: beginnings)
  }

  /// The id of a piece.
  func id(of piece: UnsafeBufferPointer<UInt8>) -> Int32? {
    table.number(of: piece).map { ids[$0] }
  }

  /// The id of a piece.
  func id(of piece: String) -> Int32? {
    table.number(of: piece).map { ids[$0] }
  }

  /// The longest piece that `text` starts with.
  func longestPrefix(of text: UnsafeBufferPointer<UInt8>) -> (id: Int32, length: Int)? {
    var found: (id: Int32, length: Int)?
    var hash = PieceHash()
    var end = 0
    while end < text.count {
      hash.extend(by: text[end])
      guard table.mayBegin(hash) else { break }
      end += 1
      let piece = UnsafeBufferPointer(rebasing: text[..<end])
      if let number = table.number(of: piece, hash) { found = (ids[number], end) }
    }
    return found
  }

  /// Reads `{"piece": id, ...}`.
  static func read(_ reader: inout JSONReader) throws -> Vocabulary {
    var vocabulary = Vocabulary()
    try reader.readObject { reader, key in
      let id = Int32(try reader.readCount(limit: Int(Int32.max)))
      try vocabulary.add(id: id, file: reader.file) { try reader.append(key, to: &$0) }
    }
    return vocabulary
  }
}
