// A PNG file is a signature and chunks:
//
//     4 bytes   length n of the data, big-endian
//     4 bytes   type, e.g. "iTXt"
//     n bytes   data
//     4 bytes   CRC-32 of type and data
//
// Source: the PNG specification (W3C), sections 5.3 and 11.3.

/// Text chunks of PNG files: the simplified interface of libpng does not reach them.
enum PNGChunk {
  private static let textLimit = 1 << 20

  /// An `iTXt` chunk, which holds UTF-8: key, 0, not compressed, no language, value.
  static func text(_ text: PNGText) -> [UInt8] {
    let data =
      Array(text.key.utf8.filter { $0 != 0 }.prefix(79)) + [0, 0, 0, 0, 0] + Array(text.value.utf8)
    let body = Array("iTXt".utf8) + data
    return bigEndian(UInt32(data.count)) + body + bigEndian(crc32(body))
  }

  /// All uncompressed texts; throws where the chunks are cut short.
  static func texts(in bytes: UnsafeRawBufferPointer, path: String) throws -> [PNGText] {
    var texts: [PNGText] = []
    var offset = PNG.signature.count
    while offset < bytes.count {
      guard bytes.count - offset >= 12 else {
        throw FormatError(
          path: path, part: "chunk at \(offset)", expected: "at least 12 bytes",
          found: "\(bytes.count - offset)")
      }
      let length = Int(
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
      guard length <= bytes.count - offset - 12 else {
        throw FormatError(
          path: path, part: "chunk at \(offset)", expected: "\(length) bytes of data",
          found: "\(bytes.count - offset - 12); the file is truncated")
      }
      let type = String(decoding: bytes[offset + 4..<offset + 8], as: UTF8.self)
      let data = Array(bytes[offset + 8..<offset + 8 + min(length, textLimit)])
      if let text = text(type, data) { texts.append(text) }
      if type == "IEND" { break }
      offset += 12 + length
    }
    return texts
  }

  private static func text(_ type: String, _ data: [UInt8]) -> PNGText? {
    guard let keyEnd = data.firstIndex(of: 0) else { return nil }
    let key = String(decoding: data[..<keyEnd], as: UTF8.self)
    let rest = data[(keyEnd + 1)...]
    switch type {
    case "tEXt":
      // Latin-1: each byte is its own code point.
      return PNGText(
        key: key, value: String(String.UnicodeScalarView(rest.map { Unicode.Scalar($0) })))
    case "iTXt":
      guard rest.count >= 2, rest[rest.startIndex] == 0 else { return nil }
      let language = rest.dropFirst(2)
      guard let languageEnd = language.firstIndex(of: 0) else { return nil }
      let translated = language[(languageEnd + 1)...]
      guard let translatedEnd = translated.firstIndex(of: 0) else { return nil }
      return PNGText(
        key: key, value: String(decoding: translated[(translatedEnd + 1)...], as: UTF8.self))
    default:
      return nil
    }
  }

  private static func bigEndian(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian) { Array($0) }
  }

  private static func crc32(_ bytes: [UInt8]) -> UInt32 {
    var crc = UInt32.max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
  }
}
