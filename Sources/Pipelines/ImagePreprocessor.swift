package import PipitFormats
package import PipitTensors

/// Makes of a picture what an image classifier was trained to see, as the image processors of
/// transformers do on Pillow.
package struct ImagePreprocessor: Sendable {
  private enum Resize: Hashable {
    case none
    case exact(height: Int, width: Int)
    /// The shorter side; the other keeps the proportions.
    case shortest(Int)
  }
  private var resize = Resize.none
  /// Height and width of the part from the middle.
  private var crop: (height: Int, width: Int)?
  private var filter = Resampling.bilinear
  private var factor: Float = 1 / 255
  private var mean: [Float] = [0, 0, 0]
  private var deviation: [Float] = [1, 1, 1]

  /// Sides of pictures, given or made.
  private static let sides = 8...4096
  /// A side that follows from proportions.
  private static let longestSide = 1 << 16

  /// The settings of a classifier's folder: `preprocessor_config.json`, or timm's `config.json`.
  package init(_ folder: ModelFolder) throws {
    if !folder.has("preprocessor_config.json"), folder.configuration.has("architecture") {
      try self.init(timm: folder.configuration)
    } else {
      try self.init(try folder.settings("preprocessor_config.json"))
    }
  }

  /// The settings of `preprocessor_config.json`.
  package init(_ configuration: Configuration) throws {
    let type = try configuration.string(
      "image_processor_type",
      fallback: try configuration.string("feature_extractor_type", fallback: ""))
    if try configuration.bool("do_resize", fallback: true) {
      try readSize(configuration, type: type)
      let number = try configuration.integer("resample", in: 0...5, fallback: 2)
      guard let filter = Resampling(rawValue: number) else {
        throw configuration.error("resample", "0 to 3 (nearest, Lanczos, linear, cubic)", "\(number)")
      }
      self.filter = filter
    }
    if try configuration.bool("do_center_crop", fallback: false) {
      let (height, width) = try ImagePreprocessor.extent("crop_size", configuration)
      crop = (height, width)
    }
    if try configuration.bool("do_rescale", fallback: true) {
      factor = Float(try configuration.number("rescale_factor", fallback: 1 / 255))
    } else {
      factor = 1
    }
    if try configuration.bool("do_normalize", fallback: true) {
      mean = try ImagePreprocessor.three("image_mean", configuration)
      deviation = try ImagePreprocessor.three("image_std", configuration)
    }
    try check(configuration, "image_std")
  }

  /// The settings that timm keeps in `pretrained_cfg`.
  private init(timm configuration: Configuration) throws {
    guard let own = try configuration.object("pretrained_cfg") else {
      throw configuration.error("pretrained_cfg", "an object", "nothing")
    }
    let extents = try own.integers("input_size", in: 1...4096, fallback: [3, 224, 224])
    guard extents.count == 3, extents[0] == 3 else {
      throw own.error("input_size", "[3, height, width]", "\(extents)")
    }
    let share = try own.number("crop_pct", fallback: 0.875)
    guard share > 0.1, share <= 1 else { throw own.error("crop_pct", "0.1 to 1", "\(share)") }
    try own.require("crop_mode", .string("center"))
    guard extents[1] == extents[2] else {
      throw own.error("input_size", "a square", "\(extents)")
    }
    resize = .shortest(Int(Double(extents[1]) / share))
    crop = (extents[1], extents[2])
    let name = try own.string("interpolation", fallback: "bicubic")
    switch name {
    case "bilinear": filter = .bilinear
    case "bicubic": filter = .bicubic
    default: throw own.error("interpolation", "bilinear or bicubic", "'\(name)'")
    }
    mean = try ImagePreprocessor.three("mean", own)
    deviation = try ImagePreprocessor.three("std", own)
    try check(own, "std")
  }

  private func check(_ configuration: Configuration, _ key: String) throws {
    guard deviation.allSatisfy({ $0 > 0 }) else {
      throw configuration.error(key, "positive numbers", "\(deviation)")
    }
    guard factor.isFinite else {
      throw configuration.error("rescale_factor", "a finite number", "\(factor)")
    }
  }

  private mutating func readSize(_ configuration: Configuration, type: String) throws {
    let sides = ImagePreprocessor.sides
    if type.hasPrefix("ConvNext") {
      // ConvNext's processor crops what it has enlarged by crop_pct, unless the picture is large.
      let size = try configuration.object("size")
      let side =
        try size?.integer("shortest_edge", in: sides)
        ?? configuration.integer("size", in: sides)
      let share = try configuration.number("crop_pct", fallback: 0.875)
      guard share > 0.1, share <= 1 else {
        throw configuration.error("crop_pct", "0.1 to 1", "\(share)")
      }
      if side < 384 {
        resize = .shortest(Int(Double(side) / share))
        crop = (side, side)
      } else {
        resize = .exact(height: side, width: side)
      }
      return
    }
    if case .integer? = configuration.values["size"] {
      let side = try configuration.integer("size", in: sides)
      let crops = try configuration.bool("do_center_crop", fallback: false)
      resize = crops ? .shortest(side) : .exact(height: side, width: side)
    } else if let size = try configuration.object("size"), size.has("shortest_edge") {
      try size.requireAbsent("longest_edge")
      resize = .shortest(try size.integer("shortest_edge", in: sides))
    } else {
      let (height, width) = try ImagePreprocessor.extent("size", configuration)
      resize = .exact(height: height, width: width)
    }
  }

  /// `{"height": n, "width": n}`, or one number for a square.
  private static func extent(
    _ key: String, _ configuration: Configuration
  ) throws -> (height: Int, width: Int) {
    if case .integer? = configuration.values[key] {
      let side = try configuration.integer(key, in: sides)
      return (side, side)
    }
    guard let size = try configuration.object(key) else {
      throw configuration.error(key, "{\"height\": n, \"width\": n}", "nothing")
    }
    return (try size.integer("height", in: sides), try size.integer("width", in: sides))
  }

  private static func three(_ key: String, _ configuration: Configuration) throws -> [Float] {
    guard case .array(let values) = configuration.values[key], values.count == 3 else {
      throw configuration.error(key, "three numbers", "something else")
    }
    return try values.map { value in
      switch value {
      case .integer(let integer): return Float(integer)
      case .number(let number) where number.isFinite: return Float(number)
      default: throw configuration.error(key, "three numbers", value.kind)
      }
    }
  }

  /// What the classifier is given: `pixels` `[3, height, width]`.
  package struct Result: Hashable, Sendable {
    package let height: Int
    package let width: Int
    package let pixels: [Float]
  }

  /// The picture resized, cut to its middle, scaled, minus the mean, over the deviation.
  package func apply(_ picture: Picture) throws -> Result {
    let resized = try resized(picture)
    let (height, width) = crop ?? (resized.height, resized.width)
    // Where the picture is smaller than the part, the reference puts black around it.
    let top = ImagePreprocessor.half(resized.height - height)
    let left = ImagePreprocessor.half(resized.width - width)
    var result = [Float](repeating: 0, count: 3 * height * width)
    for y in 0..<height {
      for x in 0..<width {
        let isInside = resized.contains(x + left, y + top)
        let source = 3 * ((y + top) * resized.width + x + left)
        for channel in 0..<3 {
          let level = isInside ? Float(resized.pixels[source + channel]) * factor : 0
          result[(channel * height + y) * width + x] = (level - mean[channel]) / deviation[channel]
        }
      }
    }
    return Result(height: height, width: width, pixels: result)
  }

  /// Half of a number of pixels, rounded down.
  private static func half(_ pixels: Int) -> Int { pixels >> 1 }

  private func resized(_ picture: Picture) throws -> Picture {
    switch resize {
    case .none: return picture
    case .exact(let height, let width):
      return filter.apply(picture, width: width, height: height)
    case .shortest(let side):
      let (short, long) = (
        min(picture.width, picture.height), max(picture.width, picture.height)
      )
      let other = side * long / short
      guard other <= ImagePreprocessor.longestSide else {
        throw FormatError(
          path: "the picture", expected: "sides of like length",
          found: "\(picture.width)x\(picture.height) pixels")
      }
      let isTall = picture.height > picture.width
      return filter.apply(
        picture, width: isTall ? side : other, height: isTall ? other : side)
    }
  }
}

extension Picture {
  fileprivate func contains(_ x: Int, _ y: Int) -> Bool {
    (0..<width).contains(x) && (0..<height).contains(y)
  }
}

extension Configuration {
  fileprivate func requireAbsent(_ key: String) throws {
    if has(key) { throw error(key, "nothing", values[key]?.text ?? "") }
  }
}
