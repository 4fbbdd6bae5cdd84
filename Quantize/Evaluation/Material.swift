import Glibc
package import PipitFormats
import PipitPipelines
import PipitTensors

/// What models are run on, for calibration and to compare them: texts (prompts, for a pipeline), pictures,
/// arrays of one of a component's inputs.
package struct Material: Sendable {
  package var texts: [String] = []
  package var pictures: [Picture] = []
  package var arrays: [NpyArray] = []

  package init() {}

  /// Whether there is nothing of any kind: what is built in stands for that.
  var isEmpty: Bool { texts.isEmpty && pictures.isEmpty && arrays.isEmpty }

  /// From a file: a PNG, a .npy array, or a text file with one text a line; or a folder of PNGs and arrays.
  package init(path: String) throws {
    if FileTree.isFolder(path) {
      for name in try FileTree.names(path) {
        if name.hasSuffix(".png") { pictures.append(try PNG.read(path: path + "/" + name)) }
        if name.hasSuffix(".npy") { arrays.append(try Npy.read(path: path + "/" + name)) }
      }
    } else if path.hasSuffix(".png") {
      pictures = [try PNG.read(path: path)]
    } else if path.hasSuffix(".npy") {
      arrays = [try Npy.read(path: path)]
    } else {
      texts = try Material.lines(path)
    }
    guard !texts.isEmpty || !pictures.isEmpty || !arrays.isEmpty else {
      throw FormatError(
        path: path, expected: "texts, one a line, or PNG pictures to run the model on",
        found: "nothing")
    }
  }

  private static let lineLimit = 100_000

  private static func lines(_ path: String) throws -> [String] {
    let file = try MappedFile(path: path)
    let bytes = withExtendedLifetime(file) { Array(file.bytes) }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw FormatError(path: path, expected: "text in UTF-8", found: "other bytes")
    }
    let lines = text.split(whereSeparator: \.isNewline).map(String.init)
    return Array(lines.filter { $0.contains { !$0.isWhitespace } }.prefix(lineLimit))
  }

  /// Texts and pictures that stand for nothing in particular: everyday sentences in several languages, and
  /// pictures that are made of clouds of colour and shapes.
  package static var builtIn: Material {
    var material = Material()
    material.texts = BuiltInTexts.all
    material.pictures = (0..<8).map { SyntheticPicture.make(side: 256, seed: UInt64($0)) }
    return material
  }
}

/// Pictures without a source: natural ones have edges, plain areas, and detail at every size, and so have
/// these.
enum SyntheticPicture {
  static func make(side: Int, seed: UInt64) -> Picture {
    var noise = GaussianNoise(seed: seed, stream: 77)
    var planes = [Float](repeating: 0, count: 3 * side * side)
    let base = noise.next(3)
    for index in planes.indices { planes[index] = 0.25 * base[index / (side * side)] }
    // Clouds: noise of half the power at twice the detail.
    var cells = 2
    var strength: Float = 0.45
    while cells <= side {
      addClouds(&planes, side, cells, strength, &noise)
      cells *= 2
      strength *= 0.6
    }
    for _ in 0..<6 { addShape(&planes, side, noise.next(8)) }
    return planes.withUnsafeBufferPointer { Picture(channels: $0, width: side, height: side) }
  }

  private static func addClouds(
    _ planes: inout [Float], _ side: Int, _ cells: Int, _ strength: Float,
    _ noise: inout GaussianNoise
  ) {
    let grid = cells + 1
    let values = noise.next(3 * grid * grid)
    let step = Float(cells) / Float(side)
    for y in 0..<side {
      let v = Float(y) * step
      let (row, down) = (Int(v), v - v.rounded(.down))
      for x in 0..<side {
        let u = Float(x) * step
        let (column, right) = (Int(u), u - u.rounded(.down))
        for channel in 0..<3 {
          let corner = (channel * grid + row) * grid + column
          let top = values[corner] * (1 - right) + values[corner + 1] * right
          let bottom = values[corner + grid] * (1 - right) + values[corner + grid + 1] * right
          planes[(channel * side + y) * side + x] +=
            strength * (top * (1 - down) + bottom * down) * (channel == 0 ? 1 : 0.8)
        }
      }
    }
  }

  /// A disc or a rectangle of one colour.
  private static func addShape(_ planes: inout [Float], _ side: Int, _ numbers: [Float]) {
    let (x, y) = (0.5 + 0.25 * numbers[0], 0.5 + 0.25 * numbers[1])
    let (width, height) = (0.06 + 0.1 * abs(numbers[2]), 0.06 + 0.1 * abs(numbers[3]))
    for row in 0..<side {
      for column in 0..<side {
        let u = (Float(column) / Float(side) - x) / width
        let v = (Float(row) / Float(side) - y) / height
        guard numbers[7] > 0 ? u * u + v * v < 1 : max(abs(u), abs(v)) < 1 else { continue }
        for channel in 0..<3 {
          let index = (channel * side + row) * side + column
          planes[index] = 0.3 * planes[index] + 0.7 * min(max(numbers[4 + channel], -1), 1)
        }
      }
    }
  }
}
