/// A text cut into pieces on its way to the model.
///
/// Cutting moves borders only; rewriting makes new bytes. Pieces are never empty, but for added
/// tokens, whose text does not matter any more.
struct SplitText {
  struct Piece {
    var range: Range<Int>
    /// The id of an added token.
    var tokenID: Int32?
    /// Bytes at its start that stem from the first character of the input.
    var startLength = 0

    /// Whether the input starts here.
    var startsInput: Bool { startLength > 0 }
  }

  /// UTF-8; the pieces lie in it in order.
  private(set) var bytes: [UInt8] = []
  private(set) var pieces: [Piece] = []

  /// Adds text at the end as one piece, if there is any.
  mutating func append(_ text: some Collection<UInt8>, startLength: Int) {
    guard !text.isEmpty else { return }
    let start = bytes.count
    bytes.append(contentsOf: text)
    pieces.append(Piece(range: start..<bytes.count, startLength: startLength))
  }

  /// Adds an added token at the end.
  mutating func append(tokenID: Int32) {
    pieces.append(Piece(range: bytes.count..<bytes.count, tokenID: tokenID))
  }

  /// What to do with the matches at which a text is cut; the names are those of the files.
  enum Behavior: String, Sendable {
    case removed = "Removed"
    case isolated = "Isolated"
    case contiguous = "Contiguous"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"

    init(_ node: JSONNode) throws {
      guard let behavior = Behavior(rawValue: try node.string()) else {
        throw TokenizerError.unsupported(
          file: node.file, component: node.path, type: try node.string())
      }
      self = behavior
    }
  }

  /// Cuts every piece at the matches that `find` gives for its text (sorted, not overlapping).
  ///
  /// With `inverted`, what lies between matches counts as match.
  mutating func split(
    _ behavior: Behavior, inverted: Bool = false,
    _ find: (UnsafeBufferPointer<UInt8>) -> [Range<Int>]
  ) {
    var result: [Piece] = []
    result.reserveCapacity(pieces.count)
    bytes.withUnsafeBufferPointer { bytes in
      for piece in pieces {
        guard piece.tokenID == nil else {
          result.append(piece)
          continue
        }
        let text = UnsafeBufferPointer(rebasing: bytes[piece.range])
        let parts = Self.alternate(find(text), count: text.count, inverted: inverted)
        Self.group(parts, behavior) { range in
          let start = piece.range.lowerBound + range.lowerBound
          let end = piece.range.lowerBound + range.upperBound
          result.append(
            Piece(range: start..<end, startLength: max(0, piece.startLength - range.lowerBound)))
        }
      }
    }
    pieces = result
  }

  /// Cuts every piece at scalars.
  mutating func split(_ behavior: Behavior, at isMatch: (UInt32) -> Bool) {
    split(behavior) { text in
      var matches: [Range<Int>] = []
      var index = 0
      while index < text.count {
        let start = index
        if isMatch(UTF8Text.next(in: text, at: &index)) { matches.append(start..<index) }
      }
      return matches
    }
  }

  private typealias Part = (range: Range<Int>, isMatch: Bool)

  /// Matches and what lies between them, all of the text.
  private static func alternate(
    _ matches: [Range<Int>], count: Int, inverted: Bool
  ) -> [Part] {
    var parts: [Part] = []
    var end = 0
    for match in matches {
      if end < match.lowerBound { parts.append((end..<match.lowerBound, inverted)) }
      parts.append((match, !inverted))
      end = match.upperBound
    }
    if end < count { parts.append((end..<count, inverted)) }
    return parts
  }

  /// Calls `body` with the pieces that `behavior` makes of the parts.
  private static func group(_ parts: [Part], _ behavior: Behavior, _ body: (Range<Int>) -> Void) {
    var pending: Range<Int>?
    func flush() {
      if let range = pending { body(range) }
      pending = nil
    }
    for (index, part) in parts.enumerated() {
      let afterMatch = index > 0 && parts[index - 1].isMatch
      let beforeMatch = index + 1 < parts.count && parts[index + 1].isMatch
      switch behavior {
      case .removed: if !part.isMatch { body(part.range) }
      case .isolated: body(part.range)
      case .contiguous:
        if index > 0, afterMatch != part.isMatch { flush() }
        pending = (pending?.lowerBound ?? part.range.lowerBound)..<part.range.upperBound
      case .mergedWithPrevious:
        // A match joins what is before it, unless that is a match too.
        if !(part.isMatch && !afterMatch) { flush() }
        pending = (pending?.lowerBound ?? part.range.lowerBound)..<part.range.upperBound
      case .mergedWithNext:
        pending = (pending?.lowerBound ?? part.range.lowerBound)..<part.range.upperBound
        if !(part.isMatch && !beforeMatch) { flush() }
      }
    }
    flush()
  }

  /// Makes new bytes for every piece: `transform` appends them to its last argument.
  mutating func rewrite(
    _ transform: (UnsafeBufferPointer<UInt8>, Piece, inout [UInt8]) -> Void
  ) {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + bytes.count / 2)
    var moved: [Piece] = []
    moved.reserveCapacity(pieces.count)
    bytes.withUnsafeBufferPointer { bytes in
      for var piece in pieces {
        let start = result.count
        if piece.tokenID == nil {
          transform(UnsafeBufferPointer(rebasing: bytes[piece.range]), piece, &result)
        }
        piece.range = start..<result.count
        moved.append(piece)
      }
    }
    bytes = result
    pieces = moved
  }
}
