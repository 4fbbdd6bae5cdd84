/// The alphabet of byte-level models: each byte is written as one printable letter, so that any
/// bytes are text without white space or controls.
enum ByteLevel {
  /// The letter of each byte in UTF-8: printable Latin-1 stands for itself, the rest is counted up
  /// from U+0100.
  private static let alphabet: [[UInt8]] = {
    var extra: UInt32 = 0x100
    return (0..<256).map { (byte: UInt32) in
      var letter: [UInt8] = []
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: UTF8Text.append(byte, to: &letter)
      default:
        UTF8Text.append(extra, to: &letter)
        extra += 1
      }
      return letter
    }
  }()

  /// Appends the letter of each byte.
  static func append(_ bytes: UnsafeBufferPointer<UInt8>, to result: inout [UInt8]) {
    for byte in bytes { result.append(contentsOf: alphabet[Int(byte)]) }
  }

  /// The letters for bytes.
  static func letters(for bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count * 2)
    bytes.withUnsafeBufferPointer { append($0, to: &result) }
    return result
  }
}
