import PipitFormats
import TestSupport
import Testing

@Suite struct PNGTests {
  private func picture(_ width: Int, _ height: Int) -> Picture {
    var generator = SeededGenerator(seed: 3)
    return Picture(
      width: width, height: height,
      pixels: (0..<3 * width * height).map { _ in UInt8.random(in: 0...255, using: &generator) })
  }

  @Test(arguments: [(1, 1), (3, 5), (64, 64), (200, 3)])
  func readsWhatItWrites(width: Int, height: Int) throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/x.png"
    try PNG.write(picture(width, height), to: path)
    #expect(try PNG.read(path: path) == picture(width, height))
    #expect(try PNG.dimensions(path: path) == (width, height))
    #expect(folder.names == ["x.png"])
  }

  @Test func keepsTexts() throws {
    let folder = TemporaryFolder()
    let texts = [
      PNGText(key: "prompt", value: "一只微笑的猫 \u{1F63A}\nsecond line"),
      PNGText(key: "seed", value: "7"), PNGText(key: "empty", value: ""),
    ]
    let path = folder.path + "/x.png"
    try PNG.write(picture(4, 4), texts: texts, to: path)
    #expect(try PNG.texts(path: path) == texts)
    #expect(try PNG.read(path: path) == picture(4, 4))
  }

  @Test func sameBytesEachTime() throws {
    let texts = [PNGText(key: "a", value: "b")]
    #expect(try PNG.encode(picture(9, 9), texts: texts) == PNG.encode(picture(9, 9), texts: texts))
  }

  /// 1x1 pictures of other kinds, made with Pillow: `Image.new(mode, (1, 1), value).save(..., "PNG")`.
  static let kinds: [Kind] = [
    Kind(
      name: "grey, 8 bits",
      hex: [
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c63f0",
        "0500004f004e698b016c0000000049454e44ae426082"
      ],
      pixel: [77, 77, 77]),
    Kind(
      name: "grey, 16 bits",
      hex: [
        "89504e470d0a1a0a0000000d49484452000000010000000110000000006aee47160000000b49444154789c63f0",
        "f5050000ea009bccf9d7cf0000000049454e44ae426082"
      ],
      pixel: [77, 77, 77]),
    Kind(
      name: "RGB with alpha 0 shows white",
      hex: [
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63e0",
        "129163000000a5003d699888bc0000000049454e44ae426082"
      ],
      pixel: [255, 255, 255]),
    Kind(
      name: "opaque RGBA",
      hex: [
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63e0",
        "1291fb0f0001a4013c938b0eb70000000049454e44ae426082"
      ],
      pixel: [10, 20, 30]),
    Kind(
      name: "palette",
      hex: [
        "89504e470d0a1a0a0000000d494844520000000100000001080300000028cb34bb00000300504c544501020300",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000094",
        "f433110000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
      ],
      pixel: [1, 2, 3]),
    Kind(
      name: "one bit",
      hex: [
        "89504e470d0a1a0a0000000d4948445200000001000000010100000000376ef9240000000a49444154789c6368",
        "00000082008177cd72b60000000049454e44ae426082"
      ],
      pixel: [255, 255, 255]),
    Kind(
      name: "grey with alpha",
      hex: [
        "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b49444154789c63e0",
        "fc0f000114010984bd7ac70000000049454e44ae426082"
      ],
      pixel: [9, 9, 9])
  ]

  struct Kind: Sendable {
    let name: String
    let hex: [String]
    let pixel: [UInt8]
  }

  @Test(arguments: kinds)
  func readsOtherKinds(kind: Kind) throws {
    let folder = TemporaryFolder()
    let digits = Array(kind.hex.joined().utf8)
    let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
    }
    #expect(try PNG.read(path: folder.write("x.png", bytes)).pixels == kind.pixel, "\(kind.name)")
  }

  @Test func livesThroughDamage() throws {
    let bytes = try PNG.encode(picture(5, 4), texts: [PNGText(key: "k", value: "v")])
    abuse(bytes) { path in
      _ = try PNG.texts(path: path)
      _ = try PNG.read(path: path)
    }
  }

  @Test func refusesHugeDimensions() throws {
    var bytes = try PNG.encode(picture(5, 4))
    for place in 16..<20 { bytes[place] = 0x7F }
    let folder = TemporaryFolder()
    #expect(throws: FormatError.self) { try PNG.read(path: folder.write("x.png", bytes)) }
  }

  @Test func nothingIsLeftWhereItCannotWrite() throws {
    #expect(throws: (any Error).self) { try PNG.write(picture(2, 2), to: "/nonexistent/x.png") }
    let folder = TemporaryFolder()
    struct Stop: Error {}
    #expect(throws: Stop.self) {
      try AtomicFile.write(to: folder.path + "/y") { writer in
        try writer.append([1, 2, 3])
        throw Stop()
      }
    }
    #expect(folder.names.isEmpty)
  }
}
