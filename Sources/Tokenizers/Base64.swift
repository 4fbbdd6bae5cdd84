/// Base64 with padding, as RFC 4648 has it.
enum Base64 {
  /// The bytes that `text` stands for, or nil if it is no base64.
  static func decode(_ text: String) -> [UInt8]? {
    var text = text
    return text.withUTF8 { letters in
      guard letters.count % 4 == 0 else { return nil }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(letters.count / 4 * 3)
      var index = 0
      while index < letters.count {
        let isLast = index + 4 == letters.count
        var value: UInt32 = 0
        var padding = 0
        for offset in 0..<4 {
          let letter = letters[index + offset]
          if letter == UInt8(ascii: "="), isLast, offset >= 2 {
            padding += 1
            value <<= 6
          } else {
            guard padding == 0, let digit = digit(letter) else { return nil }
            value = value << 6 | digit
          }
        }
        bytes.append(UInt8(value >> 16 & 0xFF))
        if padding < 2 { bytes.append(UInt8(value >> 8 & 0xFF)) }
        if padding < 1 { bytes.append(UInt8(value & 0xFF)) }
        index += 4
      }
      return bytes
    }
  }

  private static func digit(_ letter: UInt8) -> UInt32? {
    switch letter {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}
