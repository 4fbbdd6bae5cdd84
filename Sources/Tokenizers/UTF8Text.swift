/// Reading and writing Unicode scalars in UTF-8 bytes.
///
/// Text travels through the tokenizer as bytes and scalars as `UInt32`: pieces are byte ranges, and
/// no `String` is made on the way.
enum UTF8Text {
  /// What stands for bytes that are no text, U+FFFD.
  static let replacement: UInt32 = 0xFFFD

  /// Decodes the scalar at `index`, which must be the start of a valid sequence, and steps past it.
  @inline(__always)
  static func next(in bytes: UnsafeBufferPointer<UInt8>, at index: inout Int) -> UInt32 {
    let first = UInt32(bytes[index])
    if first < 0x80 {
      index += 1
      return first
    }
    if first < 0xE0 {
      let scalar = (first & 0x1F) << 6 | UInt32(bytes[index + 1] & 0x3F)
      index += 2
      return scalar
    }
    let second = UInt32(bytes[index + 1] & 0x3F)
    let third = UInt32(bytes[index + 2] & 0x3F)
    if first < 0xF0 {
      index += 3
      return (first & 0x0F) << 12 | second << 6 | third
    }
    let fourth = UInt32(bytes[index + 3] & 0x3F)
    index += 4
    return (first & 0x07) << 18 | second << 12 | third << 6 | fourth
  }

  /// Bytes of the sequence that starts with `first`, in valid text.
  @inline(__always)
  static func length(startingWith first: UInt8) -> Int {
    first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
  }

  /// The scalars of valid text, in order.
  static func scalars(of bytes: [UInt8]) -> [UInt32] {
    var result: [UInt32] = []
    result.reserveCapacity(bytes.count)
    bytes.withUnsafeBufferPointer { bytes in
      var index = 0
      while index < bytes.count { result.append(next(in: bytes, at: &index)) }
    }
    return result
  }

  /// Appends a scalar, which must be one (no surrogate, at most U+10FFFF).
  @inline(__always)
  static func append(_ scalar: UInt32, to bytes: inout [UInt8]) {
    if scalar < 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: scalar))
    } else if scalar < 0x800 {
      bytes.append(UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    } else if scalar < 0x10000 {
      bytes.append(UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    } else {
      bytes.append(UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 12 & 0x3F))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F))
      bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    }
  }

  /// Bytes of the well-formed sequence at `index`, or minus the number of bytes that one U+FFFD
  /// replaces: the longest start of a well-formed sequence, as Unicode recommends and Python does.
  static func sequenceLength(in bytes: UnsafeBufferPointer<UInt8>, at index: Int) -> Int {
    let first = bytes[index]
    if first < 0x80 { return 1 }
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch first {
    case 0xC2...0xDF: length = 2
    case 0xE0...0xEF:
      length = 3
      if first == 0xE0 { second = 0xA0...0xBF }
      if first == 0xED { second = 0x80...0x9F }
    case 0xF0...0xF4:
      length = 4
      if first == 0xF0 { second = 0x90...0xBF }
      if first == 0xF4 { second = 0x80...0x8F }
    default: return -1
    }
    guard index + 1 < bytes.count, second.contains(bytes[index + 1]) else { return -1 }
    for offset in 2..<max(length, 2) {
      guard index + offset < bytes.count, bytes[index + offset] & 0xC0 == 0x80 else {
        return -offset
      }
    }
    return length
  }

  /// The bytes as valid UTF-8: each maximal ill-formed part becomes one U+FFFD.
  static func repaired(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      let length = sequenceLength(in: bytes, at: index)
      if length > 0 {
        result.append(contentsOf: bytes[index..<index + length])
        index += length
      } else {
        append(replacement, to: &result)
        index -= length
      }
    }
    return result
  }
}
