import CLibPNG
import PipitTensors

/// A picture: `height` rows of `width` pixels, red, green and blue bytes.
package struct Picture: Hashable, Sendable {
  package let width: Int
  package let height: Int
  package var pixels: [UInt8]

  package init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0)
    precondition(pixels.count == 3 * width * height)
    self.width = width
    self.height = height
    self.pixels = pixels
  }
}

/// A line of text kept in a PNG, such as the prompt it was made from.
package struct PNGText: Hashable, Sendable {
  package let key: String
  package let value: String

  package init(key: String, value: String) {
    self.key = key
    self.value = value
  }
}

/// Reading and writing PNG files, through libpng's simplified interface: it never jumps out of a call.
package enum PNG {
  /// Larger pictures are refused before anything is decoded.
  package static let pixelLimit = 64 << 20
  package static let sideLimit = 16384
  private static let fileLimit = 256 << 20
  static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  /// The picture of a PNG file of any kind: 16 bits become 8, palettes and greys become RGB, and what is
  /// transparent shows white.
  package static func read(path: String) throws -> Picture {
    let file = try open(path)
    var image = png_image()
    image.version = UInt32(PNG_IMAGE_VERSION)
    defer { png_image_free(&image) }
    guard png_image_begin_read_from_memory(&image, file.bytes.baseAddress, file.bytes.count) != 0
    else { throw corrupt(path, image) }
    let (width, height) = (Int(image.width), Int(image.height))
    guard width > 0, height > 0, width <= sideLimit, height <= sideLimit,
      width * height <= pixelLimit
    else {
      throw FormatError(
        path: path, expected: "at most \(sideLimit) pixels a side and \(pixelLimit) in all",
        found: "\(width)x\(height)")
    }
    image.format = UInt32(PNG_FORMAT_FLAG_COLOR)
    // Without this flag libpng takes 16-bit files without a gamma for linear light.
    image.flags |= UInt32(PNG_IMAGE_FLAG_16BIT_sRGB)
    var white = png_color(red: 255, green: 255, blue: 255)
    var pixels = [UInt8](repeating: 255, count: 3 * width * height)
    let done = pixels.withUnsafeMutableBytes {
      png_image_finish_read(&image, &white, $0.baseAddress, png_int_32(3 * width), nil)
    }
    guard done != 0 else { throw corrupt(path, image) }
    return Picture(width: width, height: height, pixels: pixels)
  }

  /// The file's bytes for a picture, with texts behind its header. The same picture and texts always
  /// give the same bytes.
  package static func encode(_ picture: Picture, texts: [PNGText] = []) throws -> [UInt8] {
    var image = png_image()
    image.version = UInt32(PNG_IMAGE_VERSION)
    image.width = UInt32(picture.width)
    image.height = UInt32(picture.height)
    image.format = UInt32(PNG_FORMAT_FLAG_COLOR)
    defer { png_image_free(&image) }
    // Deflate can grow incompressible rows by a little; each row has a filter byte.
    var bytes = [UInt8](
      repeating: 0, count: picture.pixels.count + picture.pixels.count / 100 + picture.height + 4096
    )
    var count = png_alloc_size_t(bytes.count)
    let done = bytes.withUnsafeMutableBytes { target in
      picture.pixels.withUnsafeBytes {
        png_image_write_to_memory(
          &image, target.baseAddress, &count, 0, $0.baseAddress, png_int_32(3 * picture.width), nil)
      }
    }
    guard done != 0 else { throw corrupt("(memory)", image) }
    let headerEnd = signature.count + 25  // IHDR: length, type, 13 bytes, checksum
    let chunks = texts.flatMap { PNGChunk.text($0) }
    return Array(bytes[..<headerEnd]) + chunks + Array(bytes[headerEnd..<Int(count)])
  }

  /// Writes a picture to a file, whole or not at all.
  package static func write(_ picture: Picture, texts: [PNGText] = [], to path: String) throws {
    try AtomicFile.write(try encode(picture, texts: texts), to: path)
  }

  /// The texts of a PNG file, in their order; compressed ones are left out.
  package static func texts(path: String) throws -> [PNGText] {
    let file = try open(path)
    return try PNGChunk.texts(in: file.bytes, path: path)
  }

  /// Width and height, from the header alone.
  package static func dimensions(path: String) throws -> (width: Int, height: Int) {
    let file = try open(path)
    guard file.bytes.count >= 24 else {
      throw FormatError(path: path, expected: "a PNG header", found: "\(file.bytes.count) bytes")
    }
    func number(_ offset: Int) -> Int {
      Int(UInt32(bigEndian: file.bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
    return (number(16), number(20))
  }

  private static func open(_ path: String) throws -> MappedFile {
    let file = try MappedFile(path: path)
    guard file.bytes.prefix(signature.count).elementsEqual(signature) else {
      throw FormatError(
        path: path, expected: "a PNG picture", found: "a file that does not begin as one")
    }
    guard file.bytes.count <= fileLimit else {
      throw FormatError(
        path: path, expected: "at most \(fileLimit) bytes", found: "\(file.bytes.count)")
    }
    return file
  }

  private static func corrupt(_ path: String, _ image: png_image) -> FormatError {
    let message = withUnsafeBytes(of: image.message) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    return FormatError(
      path: path, expected: "an intact PNG", found: message.isEmpty ? "a corrupt one" : message)
  }
}
