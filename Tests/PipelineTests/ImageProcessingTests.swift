import PipitFormats
import PipitPipelines
import PipitTensors
import TestSupport
import Testing

/// Pictures against Pillow and the image processors of transformers; the goldens are made by
/// ModelTests/Goldens/make_image_goldens.py.
@Suite struct ImageProcessingTests {
  private static let folder: String = {
    let path = #filePath
    return String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) + "/Goldens/"
  }()

  private let file: Safetensors
  private let picture: Picture

  init() throws {
    file = try Safetensors(path: Self.folder + "processing.safetensors")
    let entry = try #require(file.entries["picture"])
    picture = Picture(
      width: entry.shape[1], height: entry.shape[0], pixels: Array(file.bytes(of: entry)))
  }

  @Test(arguments: [Resampling.nearest, .lanczos, .bilinear, .bicubic])
  func resamplesAsPillow(filter: Resampling) throws {
    var count = 0
    for (name, entry) in file.entries where name.hasPrefix("resized.\(filter.rawValue).") {
      let resized = filter.apply(picture, width: entry.shape[1], height: entry.shape[0])
      #expect(resized.pixels == Array(file.bytes(of: entry)), "\(name)")
      count += 1
    }
    #expect(count == 3)
  }

  @Test(arguments: ["vit", "mobilenet", "wide", "convnext"])
  func preparesAsTheReference(name: String) throws {
    let all = try JSON.configuration(path: Self.folder + "processing.json")
    let preprocessor = try ImagePreprocessor(try #require(try all.object(name)))
    let result = try preprocessor.apply(picture)
    let entry = try #require(file.entries["pixels." + name])
    let bytes = file.bytes(of: entry)
    let expected: [Float] = (0..<entry.shape.count).map {
      bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
    }
    #expect([3, result.height, result.width] == entry.shape.extents)
    #expect(maxError(result.pixels, expected) <= 1e-5)
  }

  /// A thin picture would have to become a very long one.
  @Test func refusesThinPictures() throws {
    let all = try JSON.configuration(path: Self.folder + "processing.json")
    let preprocessor = try ImagePreprocessor(try #require(try all.object("mobilenet")))
    let thin = Picture(width: 1, height: 5000, pixels: [UInt8](repeating: 0, count: 15_000))
    #expect(throws: FormatError.self) { try preprocessor.apply(thin) }
  }
}
