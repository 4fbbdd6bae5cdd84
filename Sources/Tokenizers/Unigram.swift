/// The Unigram model of SentencePiece: the split of a text whose pieces have the largest sum of
/// scores, found in one pass from left to right (Viterbi).
struct Unigram: Sendable {
  /// What an unknown character costs below the smallest score.
  private static let unknownPenalty = 10.0

  let pieces: PieceTable
  private let scores: [Double]
  private let unknownScore: Double
  let unknownID: Int32
  /// Ids of `<0x00>` to `<0xFF>`, -1 where the vocabulary lacks one; nil without byte fallback.
  private let byteIDs: [Int32]?

  /// `pieces` and `scores` run in parallel; their number is the id.
  init(
    pieces: PieceTable, scores: [Double], unknownID: Int, usesByteFallback: Bool, file: String
  ) throws {
    precondition(pieces.count == scores.count)
    guard unknownID < pieces.count else {
      throw TokenizerError.invalid(
        file: file, member: "model.unk_id", expected: "an id below \(pieces.count)",
        found: "\(unknownID)")
    }
    self.pieces = pieces
    self.scores = scores
    self.unknownID = Int32(unknownID)
    unknownScore = (scores.min() ?? 0) - Self.unknownPenalty
    byteIDs = usesByteFallback ? Self.byteIDs(in: pieces) : nil
  }

  /// For each byte the id of the piece that stands for it, -1 without one.
  static func byteIDs(in pieces: PieceTable) -> [Int32] {
    (0..<256).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      let name = "<0x" + (digits.utf8.count < 2 ? "0" : "") + digits + ">"
      return pieces.number(of: name).map(Int32.init) ?? -1
    }
  }

  /// The best way found so far to reach a place in the text: the last piece of it.
  ///
  /// Length 0: none.
  private struct Step {
    var score = 0.0
    var length: Int32 = 0
    var id: Int32 = 0

    /// Takes the other way if it is better; the first way found wins a tie.
    @inline(__always)
    mutating func improve(_ score: Double, length: Int, id: Int32) {
      if self.length == 0 || score > self.score {
        self = Step(score: score, length: Int32(truncatingIfNeeded: length), id: id)
      }
    }
  }

  /// Appends the ids of a text.
  func appendIDs(of text: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
    let steps = bestSteps(for: text)
    var path: [(start: Int, end: Int, id: Int32)] = []
    var end = text.count
    while end > 0 {
      let step = steps[end]
      let start = end - Int(step.length)
      if step.id == unknownID, let last = path.last, last.id == unknownID {
        // Neighbouring unknown characters become one unknown piece.
        path[path.count - 1].start = start
      } else {
        path.append((start, end, step.id))
      }
      end = start
    }
    for node in path.reversed() {
      if node.id == unknownID {
        appendUnknown(UnsafeBufferPointer(rebasing: text[node.start..<node.end]), to: &ids)
      } else {
        ids.append(node.id)
      }
    }
  }

  /// Several unknown characters may happen to be a piece together, one too costly to be chosen.
  private func appendUnknown(_ piece: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
    if let number = pieces.number(of: piece) {
      ids.append(Int32(number))
    } else if let byteIDs, piece.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
      for byte in piece { ids.append(byteIDs[Int(byte)]) }
    } else {
      ids.append(unknownID)
    }
  }

  /// For each end of a piece the best step that ends there.
  private func bestSteps(for text: UnsafeBufferPointer<UInt8>) -> [Step] {
    var steps = [Step](repeating: Step(), count: text.count + 1)
    var start = 0
    while start < text.count {
      let length = UTF8Text.length(startingWith: text[start])
      let scoreHere = steps[start].score
      var coversCharacter = false
      var hash = PieceHash()
      var end = start
      while end < text.count {
        hash.extend(by: text[end])
        guard pieces.mayBegin(hash) else { break }
        end += 1
        let piece = UnsafeBufferPointer(rebasing: text[start..<end])
        guard let id = pieces.number(of: piece, hash) else { continue }
        steps[end].improve(scores[id] + scoreHere, length: end - start, id: Int32(id))
        if end - start == length { coversCharacter = true }
      }
      if !coversCharacter {
        steps[start + length].improve(
          unknownScore + scoreHere, length: length, id: unknownID)
      }
      start += length
    }
    return steps
  }
}
