package import PipitFormats
import PipitModels
import PipitRuntime
package import PipitTensors

/// Reads the mood of pictures with an image classifier.
package final class ImageSentiment {
  private let component: Component
  private let model: ResNet
  private let preprocessor: ImagePreprocessor
  private let scale: MoodScale

  package init(_ folder: ModelFolder, machine: Machine) throws {
    component = try Component(folder, machine: machine)
    guard case .resNet(let model) = component.architecture else {
      throw component.wrongArchitecture("ResNetForImageClassification")
    }
    guard model.channels == 3 else {
      throw FormatError(
        path: folder.configuration.file, part: "'num_channels'", expected: "3",
        found: "\(model.channels)")
    }
    self.model = model
    scale = try MoodScale(labels: model.labels, file: folder.configuration.file)
    preprocessor = try ImagePreprocessor(try folder.settings("preprocessor_config.json"))
  }

  package func mood(of picture: Picture) throws -> Mood {
    let side = preprocessor.side
    let program = try component.program("\(side)") {
      try model.graph(weights: component.weights, batch: 1, height: side, width: side)
    }
    _ = try program.input("pixel_values").update(fromContentsOf: preprocessor.apply(picture))
    try program.run()
    return Mood(logits: Array(try program.output("logits")), scale: scale)
  }
}

/// Makes of a picture what an image classifier was trained to see.
package struct ImagePreprocessor: Sendable {
  /// Pixels a side.
  package let side: Int
  private let mean: [Float]
  private let deviation: [Float]

  /// The settings of `preprocessor_config.json`.
  package init(_ configuration: Configuration) throws {
    try configuration.require("do_resize", .bool(true))
    try configuration.require("do_rescale", .bool(true))
    if let size = try configuration.object("size") {
      let key = size.has("shortest_edge") ? "shortest_edge" : "height"
      side = try size.integer(key, in: 8...4096)
    } else {
      throw configuration.error("size", "{\"height\": n, \"width\": n}", "nothing")
    }
    mean = try ImagePreprocessor.three("image_mean", configuration)
    deviation = try ImagePreprocessor.three("image_std", configuration)
    guard deviation.allSatisfy({ $0 > 0 }) else {
      throw configuration.error("image_std", "positive numbers", "\(deviation)")
    }
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

  /// `[3, side, side]`: the picture resized whole, scaled to 0 ... 1, minus the mean, over the deviation.
  package func apply(_ picture: Picture) -> [Float] {
    let horizontal = Resampling(from: picture.width, to: side)
    let vertical = Resampling(from: picture.height, to: side)
    // First along rows, then along columns, as a separable filter.
    var rows = [Float](repeating: 0, count: picture.height * side * 3)
    for y in 0..<picture.height {
      for x in 0..<side {
        for tap in horizontal.taps(x) {
          let source = 3 * (y * picture.width + tap.index)
          for channel in 0..<3 {
            rows[3 * (y * side + x) + channel] +=
              tap.weight * Float(picture.pixels[source + channel])
          }
        }
      }
    }
    var result = [Float](repeating: 0, count: 3 * side * side)
    for y in 0..<side {
      for x in 0..<side {
        for channel in 0..<3 {
          var level: Float = 0
          for tap in vertical.taps(y) {
            level += tap.weight * rows[3 * (tap.index * side + x) + channel]
          }
          result[(channel * side + y) * side + x] =
            (level / 255 - mean[channel]) / deviation[channel]
        }
      }
    }
    return result
  }
}

/// Bilinear resampling along one axis; when it shrinks, the triangle is as wide as the step, so that no
/// pixel is left out (as Pillow's `BILINEAR` and torchvision's `antialias=True`).
struct Resampling {
  struct Tap {
    let index: Int
    let weight: Float
  }
  private let all: [[Tap]]

  init(from source: Int, to target: Int) {
    precondition(source > 0)
    precondition(target > 0)
    let scale = Double(source) / Double(target)
    let reach = max(scale, 1)
    all = (0..<target).map { position in
      let center = (Double(position) + 0.5) * scale
      let first = max(0, Int((center - reach).rounded(.down)))
      let last = min(source - 1, Int((center + reach).rounded(.up)))
      var taps: [(Int, Double)] = []
      for index in first...last {
        let weight = 1 - abs(Double(index) + 0.5 - center) / reach
        if weight > 0 { taps.append((index, weight)) }
      }
      let sum = taps.reduce(0) { $0 + $1.1 }
      return taps.map { Tap(index: $0.0, weight: Float($0.1 / sum)) }
    }
  }

  func taps(_ position: Int) -> [Tap] { all[position] }
}
