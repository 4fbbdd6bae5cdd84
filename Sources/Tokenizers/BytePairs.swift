/// Byte-pair encoding: a word starts as its characters, and the neighbours whose merge came first
/// in training are merged until none is left that has a merge.
struct BytePairs: Sendable {
  /// How a model of this kind may differ.
  struct Options: Sendable {
    var unknownToken: String?
    var continuationMark: [UInt8] = []
    var endOfWordMark: [UInt8] = []
    var fusesUnknown = false
    var usesByteFallback = false
    var ignoresMerges = false
  }

  /// The merges of a file in order, as one array of bytes.
  struct Merges {
    var text: [UInt8] = []
    /// Where the left and the right half of each merge end.
    var ends: [(left: Int, right: Int)] = []
  }

  let vocabulary: Vocabulary
  private let options: Options
  let unknownID: Int32?
  private let byteIDs: [Int32]
  /// The rank of each pair of ids, left in the high half.
  private let ranks: [UInt64: UInt32]
  /// The id that the merge of each rank makes.
  private let results: [Int32]

  init(vocabulary: Vocabulary, merges: Merges, options: Options, file: String) throws {
    self.vocabulary = vocabulary
    self.options = options
    unknownID = options.unknownToken.flatMap { vocabulary.id(of: $0) }
    byteIDs =
      options.usesByteFallback
      ? Unigram.byteIDs(in: vocabulary.table).map { $0 < 0 ? -1 : vocabulary.ids[Int($0)] } : []
    (ranks, results) = try Self.resolve(
      merges, vocabulary, markLength: options.continuationMark.count, file: file)
  }

  private static func resolve(
    _ merges: Merges, _ vocabulary: Vocabulary, markLength: Int, file: String
  ) throws -> ([UInt64: UInt32], [Int32]) {
    var ranks: [UInt64: UInt32] = [:]
    ranks.reserveCapacity(merges.ends.count)
    var results: [Int32] = []
    results.reserveCapacity(merges.ends.count)
    var merged: [UInt8] = []
    func id(_ piece: UnsafeBufferPointer<UInt8>, _ rank: Int) throws -> Int32 {
      if let id = vocabulary.id(of: piece) { return id }
      throw TokenizerError.invalid(
        file: file, member: "merge \(rank)", expected: "pieces of the vocabulary",
        found: "'\(String(decoding: piece, as: UTF8.self))'")
    }
    try merges.text.withUnsafeBufferPointer { text in
      var start = 0
      for (rank, ends) in merges.ends.enumerated() {
        let left = try id(UnsafeBufferPointer(rebasing: text[start..<ends.left]), rank)
        let right = try id(UnsafeBufferPointer(rebasing: text[ends.left..<ends.right]), rank)
        merged.removeAll(keepingCapacity: true)
        merged.append(contentsOf: text[start..<ends.left])
        merged.append(contentsOf: text[ends.left..<ends.right].dropFirst(markLength))
        results.append(try merged.withUnsafeBufferPointer { try id($0, rank) })
        ranks[pair(left, right)] = UInt32(rank)
        start = ends.right
      }
    }
    return (ranks, results)
  }

  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// Appends the ids of a word.
  func appendIDs(of word: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
    if options.ignoresMerges, let id = vocabulary.id(of: word) { return ids.append(id) }
    var symbols = symbols(of: word)
    merge(&symbols)
    ids.append(contentsOf: symbols)
  }

  /// The ids of a word's characters.
  ///
  /// Without an unknown piece in the vocabulary, characters outside of it vanish, as they do in the
  /// reference; an unknown character waits while those spelled in bytes pass, as there too.
  private func symbols(of word: UnsafeBufferPointer<UInt8>) -> [Int32] {
    var symbols: [Int32] = []
    symbols.reserveCapacity(word.count)
    var unknownWaits = false
    var key: [UInt8] = []
    var start = 0
    while start < word.count {
      let end = start + UTF8Text.length(startingWith: word[start])
      key.removeAll(keepingCapacity: true)
      if start > 0 { key += options.continuationMark }
      key.append(contentsOf: word[start..<end])
      if end == word.count { key += options.endOfWordMark }
      start = end
      if let id = key.withUnsafeBufferPointer({ vocabulary.id(of: $0) }) {
        if unknownWaits, let unknownID { symbols.append(unknownID) }
        unknownWaits = false
        symbols.append(id)
      } else if options.usesByteFallback, key.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
        for byte in key { symbols.append(byteIDs[Int(byte)]) }
      } else if let unknownID {
        if unknownWaits, !options.fusesUnknown { symbols.append(unknownID) }
        unknownWaits = true
      }
    }
    if unknownWaits, let unknownID { symbols.append(unknownID) }
    return symbols
  }

  /// Merges neighbours, lowest rank first and from the left, in n log n.
  private func merge(_ symbols: inout [Int32]) {
    guard symbols.count > 1 else { return }
    // A linked list over places, of which some vanish; `symbols` holds -1 there.
    var next = symbols.indices.map { $0 + 1 }
    var previous = symbols.indices.map { $0 - 1 }
    var queue = MinimumQueue()
    func offer(_ left: Int, _ right: Int) {
      if let rank = ranks[Self.pair(symbols[left], symbols[right])] {
        queue.insert(UInt64(rank) << 32 | UInt64(left))
      }
    }
    for left in 0..<(symbols.count - 1) { offer(left, left + 1) }
    while let entry = queue.removeMinimum() {
      let left = Int(entry & 0xFFFF_FFFF)
      guard symbols[left] >= 0, next[left] < symbols.count else { continue }
      let right = next[left]
      let result = results[Int(entry >> 32)]
      // The pair may have changed since it was queued.
      guard let rank = ranks[Self.pair(symbols[left], symbols[right])],
        results[Int(rank)] == result
      else { continue }
      symbols[left] = result
      symbols[right] = -1
      next[left] = next[right]
      if next[left] < symbols.count {
        previous[next[left]] = left
        offer(left, next[left])
      }
      if previous[left] >= 0 { offer(previous[left], left) }
    }
    symbols.removeAll { $0 < 0 }
  }
}

/// A queue that gives the smallest number first: a binary heap.
struct MinimumQueue {
  private var heap: [UInt64] = []

  mutating func insert(_ value: UInt64) {
    heap.append(value)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child] < heap[parent] else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeMinimum() -> UInt64? {
    guard let minimum = heap.first else { return nil }
    let last = heap.removeLast()
    guard !heap.isEmpty else { return minimum }
    heap[0] = last
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
        if heap[child] < heap[smallest] { smallest = child }
      }
      guard smallest != parent else { return minimum }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
