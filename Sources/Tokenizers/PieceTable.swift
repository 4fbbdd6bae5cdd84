import Glibc

/// A set of byte strings, numbered in the order they came, that is quick to make and to search:
/// the vocabulary of every model, and the added tokens.
///
/// All texts lie in one array. A hash table with linear probing maps a text to its number; equal
/// texts keep the last number. The hash can be computed byte by byte, so the pieces that start at a
/// place in a text are found by extending a hash and looking up each length. A bit set of the
/// hashes of all beginnings of pieces tells when no longer piece can follow, as a trie would.
struct PieceTable: Sendable {
  /// Longest probe in a table that is at most half full; a longer one means texts made to collide.
  private static let probeLimit = 4096
  /// Pieces, and bytes in all of them, that are accepted.
  static let countLimit = 1 << 24
  static let byteLimit = 1 << 30
  /// Bytes of a piece that may be looked for as part of a longer text: at each place in a text the
  /// search may go this far.
  static let searchedByteLimit = 2048

  private var text: [UInt8] = []
  private var ends: [UInt32] = []
  /// High half: the hash's; low half: number + 1, or 0 where the slot is free.
  private var slots: [UInt64] = []
  private var slotShift: UInt64 = 63
  /// One bit for the hash of each beginning of each piece; empty if not wanted.
  private var beginnings: [UInt64] = []
  private var beginningShift: UInt64 = 63

  /// Texts in the table, repeated ones included.
  var count: Int { ends.count }

  /// Texts in the table that differ.
  private(set) var distinctCount = 0

  /// Adds a text by letting `append` write it; it is found only after `index`.
  mutating func add(
    file: String, _ append: (inout [UInt8]) throws -> Void
  ) throws {
    try append(&text)
    guard ends.count < Self.countLimit else {
      throw TokenizerError.tooLarge(
        file: file, what: "pieces", limit: Self.countLimit, found: ends.count + 1)
    }
    guard text.count <= Self.byteLimit else {
      throw TokenizerError.tooLarge(
        file: file, what: "bytes of pieces", limit: Self.byteLimit, found: text.count)
    }
    ends.append(UInt32(text.count))
  }

  /// Makes the texts findable; with `beginnings`, also as parts of a longer text.
  mutating func index(file: String, beginnings wantsBeginnings: Bool) throws {
    let slotBits = max(4, (count * 2).bitWidth - (count * 2).leadingZeroBitCount)
    slotShift = UInt64(64 - slotBits)
    slots = [UInt64](repeating: 0, count: 1 << slotBits)
    if wantsBeginnings {
      let bits = max(6, (text.count * 4).bitWidth - (text.count * 4).leadingZeroBitCount)
      beginningShift = UInt64(64 - bits)
      beginnings = [UInt64](repeating: 0, count: 1 << (bits - 6))
    }
    distinctCount = 0
    try text.withUnsafeBufferPointer { text in
      var start = 0
      for number in ends.indices {
        let end = Int(ends[number])
        guard !wantsBeginnings || end - start <= Self.searchedByteLimit else {
          throw TokenizerError.tooLarge(
            file: file, what: "bytes of a piece", limit: Self.searchedByteLimit,
            found: end - start)
        }
        var hash = PieceHash()
        for index in start..<end {
          hash.extend(by: text[index])
          if wantsBeginnings { markBeginning(hash) }
        }
        try insert(
          number, hash, UnsafeBufferPointer(rebasing: text[start..<end]), text, file: file)
        start = end
      }
    }
  }

  private mutating func markBeginning(_ hash: PieceHash) {
    let bit = hash.mixed >> beginningShift
    beginnings[Int(bit >> 6)] |= 1 << (bit & 63)
  }

  private mutating func insert(
    _ number: Int, _ hash: PieceHash, _ key: UnsafeBufferPointer<UInt8>,
    _ text: UnsafeBufferPointer<UInt8>, file: String
  ) throws {
    let mixed = hash.mixed
    let entry = mixed & 0xFFFF_FFFF_0000_0000 | UInt64(number + 1)
    let mask = slots.count - 1
    var slot = Int(mixed >> slotShift)
    for _ in 0..<Self.probeLimit {
      let found = slots[slot]
      if found == 0 {
        slots[slot] = entry
        distinctCount += 1
        return
      }
      if found >> 32 == mixed >> 32, isText(Int(found & 0xFFFF_FFFF) - 1, equalTo: key, in: text) {
        slots[slot] = entry
        return
      }
      slot = (slot + 1) & mask
    }
    throw TokenizerError.tooLarge(
      file: file, what: "pieces with nearly equal hashes", limit: Self.probeLimit,
      found: Self.probeLimit + 1)
  }

  private func range(of number: Int) -> Range<Int> {
    (number == 0 ? 0 : Int(ends[number - 1]))..<Int(ends[number])
  }

  private func isText(
    _ number: Int, equalTo key: UnsafeBufferPointer<UInt8>, in text: UnsafeBufferPointer<UInt8>
  ) -> Bool {
    let range = range(of: number)
    guard range.count == key.count else { return false }
    guard let key = key.baseAddress, let text = text.baseAddress else { return true }
    return memcmp(key, text + range.lowerBound, range.count) == 0
  }

  /// Whether a piece may start with the bytes that `hash` was made of.
  ///
  /// May be wrong only in saying that one does.
  func mayBegin(_ hash: PieceHash) -> Bool {
    let bit = hash.mixed >> beginningShift
    return beginnings[Int(bit >> 6)] >> (bit & 63) & 1 != 0
  }

  /// The number of the text `key`, whose hash is `hash`.
  func number(of key: UnsafeBufferPointer<UInt8>, _ hash: PieceHash) -> Int? {
    let mixed = hash.mixed
    let mask = slots.count - 1
    var slot = Int(mixed >> slotShift)
    while slots[slot] != 0 {
      let found = slots[slot]
      if found >> 32 == mixed >> 32 {
        let number = Int(found & 0xFFFF_FFFF) - 1
        let isEqual = text.withUnsafeBufferPointer { isText(number, equalTo: key, in: $0) }
        if isEqual { return number }
      }
      slot = (slot + 1) & mask
    }
    return nil
  }

  /// The number of the text `key`.
  func number(of key: UnsafeBufferPointer<UInt8>) -> Int? {
    var hash = PieceHash()
    for byte in key { hash.extend(by: byte) }
    return number(of: key, hash)
  }

  /// The number of the text `key`.
  func number(of key: String) -> Int? {
    Array(key.utf8).withUnsafeBufferPointer { number(of: $0) }
  }

  /// The bytes of a text.
  func bytes(of number: Int) -> ArraySlice<UInt8> {
    text[range(of: number)]
  }
}

/// A hash that grows byte by byte (FNV-1a); `mixed` is the one to use, its high bits first.
struct PieceHash {
  private var state: UInt64 = 0xCBF2_9CE4_8422_2325

  @inline(__always)
  mutating func extend(by byte: UInt8) {
    state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
  }

  @inline(__always)
  var mixed: UInt64 {
    (state ^ state >> 29) &* 0x9E37_79B9_7F4A_7C15
  }
}
