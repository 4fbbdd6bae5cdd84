/// The normalizer that SentencePiece compiles into its models: a map from short byte strings to
/// replacements.
///
///     u32      bytes of the trie
///     u32 ...  a double-array trie over the bytes of the keys; a leaf's value is an offset
///     bytes    the replacements, each ended by a zero byte
///
/// Of one unit of the trie: bits 0-7 (and 31) label, bit 8 "a key ends here", bits 10-30 the offset
/// to its children, times 256 if bit 9 is set; a leaf holds the value in bits 0-30.
struct PrecompiledMap: Sendable {
  private let units: [UInt32]
  private let replacements: [UInt8]
  /// Bytes of the longest one.
  let longestReplacement: Int

  init(base64 text: String, file: String) throws {
    let member = "precompiled_charsmap"
    guard let bytes = Base64.decode(text) else {
      throw TokenizerError.invalid(
        file: file, member: member, expected: "base64", found: "other characters")
    }
    guard bytes.count >= 4 else {
      throw TokenizerError.invalid(
        file: file, member: member, expected: "at least 4 bytes", found: "\(bytes.count)")
    }
    func word(_ index: Int) -> UInt32 {
      UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16
        | UInt32(bytes[index + 3]) << 24
    }
    let count = Int(word(0)) / 4
    guard count > 0, count <= (bytes.count - 4) / 4 else {
      throw TokenizerError.invalid(
        file: file, member: member, expected: "a trie of 1 to \((bytes.count - 4) / 4) units",
        found: "\(count) units")
    }
    units = (0..<count).map { word(4 + $0 * 4) }
    replacements = Array(bytes[(4 + count * 4)...])
    longestReplacement =
      replacements.split(separator: 0, omittingEmptySubsequences: true).map(\.count).max() ?? 0
    let isText = replacements.withUnsafeBufferPointer { replacements in
      var index = 0
      while index < replacements.count {
        let length = UTF8Text.sequenceLength(in: replacements, at: index)
        if length < 0 { return false }
        index += length
      }
      return true
    }
    guard isText else {
      throw TokenizerError.invalid(
        file: file, member: member, expected: "replacements in UTF-8", found: "other bytes")
    }
  }

  /// Replaces what the map knows, exactly as the reference library does: by grapheme cluster where
  /// the cluster has less than six bytes and some beginning of it is a key (the shortest one, and
  /// then the whole cluster goes), else scalar by scalar.
  func apply(to text: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count + 16)
    text.withUnsafeBufferPointer { text in
      var breaks = GraphemeBreaks()
      var start = 0
      var end = 0
      while end < text.count {
        var next = end
        let scalar = UTF8Text.next(in: text, at: &next)
        if breaks.startsCluster(scalar), end > start {
          appendCluster(UnsafeBufferPointer(rebasing: text[start..<end]), to: &result)
          start = end
        }
        end = next
      }
      appendCluster(UnsafeBufferPointer(rebasing: text[start...]), to: &result)
    }
    return result
  }

  private func appendCluster(_ cluster: UnsafeBufferPointer<UInt8>, to result: inout [UInt8]) {
    if cluster.count < 6, let replacement = replacement(for: cluster) {
      result.append(contentsOf: replacement)
      return
    }
    var index = 0
    while index < cluster.count {
      let end = index + UTF8Text.length(startingWith: cluster[index])
      let part = UnsafeBufferPointer(rebasing: cluster[index..<end])
      if let replacement = replacement(for: part) {
        result.append(contentsOf: replacement)
      } else {
        result.append(contentsOf: part)
      }
      index = end
    }
  }

  /// Scalars at the start of the result of `apply` that stem from the first one of the text, in the
  /// reference's counting: all that replace it if it is replaced alone, else one.
  func startCount(in text: [UInt8]) -> Int {
    text.withUnsafeBufferPointer { text in
      var breaks = GraphemeBreaks()
      var first = 0
      var end = 0
      while end < text.count {
        var next = end
        if breaks.startsCluster(UTF8Text.next(in: text, at: &next)), end > 0 { break }
        if end == 0 { first = next }
        end = next
      }
      let cluster = UnsafeBufferPointer(rebasing: text[..<end])
      if end > first, end < 6, replacement(for: cluster) != nil { return 1 }
      let scalar = UnsafeBufferPointer(rebasing: text[..<first])
      guard let replacement = replacement(for: scalar) else { return 1 }
      return max(1, replacement.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) })
    }
  }

  /// What the shortest key at the start of `text` is replaced by.
  private func replacement(for text: UnsafeBufferPointer<UInt8>) -> ArraySlice<UInt8>? {
    var node = childrenOffset(units[0])
    for byte in text {
      if byte == 0 { break }
      node ^= Int(byte)
      guard node < units.count, units[node] & 0x8000_00FF == UInt32(byte) else { return nil }
      let hasValue = units[node] >> 8 & 1 == 1
      node ^= childrenOffset(units[node])
      if hasValue {
        guard node < units.count else { return nil }
        return replacement(at: Int(units[node] & 0x7FFF_FFFF))
      }
    }
    return nil
  }

  private func childrenOffset(_ unit: UInt32) -> Int {
    Int(unit >> 10) << Int((unit & 1 << 9) >> 6)
  }

  private func replacement(at offset: Int) -> ArraySlice<UInt8>? {
    // A damaged map could point into the middle of a character.
    guard offset <= replacements.count else { return nil }
    let end = replacements[offset...].firstIndex(of: 0) ?? replacements.count
    guard offset == end || replacements[offset] & 0xC0 != 0x80 else { return nil }
    return replacements[offset..<end]
  }
}
