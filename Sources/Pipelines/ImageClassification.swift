package import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors

/// Tells what is in pictures with an image classifier.
package final class ImageClassification {
  /// One label and how likely it is.
  package struct Score: Hashable, Sendable {
    package let label: String
    package let probability: Float
  }

  package var labels: [String] { model.labels }
  private let component: Component
  private let model: any ImageClassifier
  private let preprocessor: ImagePreprocessor

  package init(_ folder: ModelFolder, machine: Machine) throws {
    component = try Component(folder, machine: machine)
    guard let model = component.architecture.imageClassifier else {
      throw component.wrongArchitecture("an image classifier (ResNet, MobileNetV2, ViT)")
    }
    guard model.channels == 3 else {
      throw FormatError(
        path: folder.configuration.file, part: "'num_channels'", expected: "3",
        found: "\(model.channels)")
    }
    self.model = model
    preprocessor = try ImagePreprocessor(folder)
  }

  /// One number for each label.
  package func logits(of picture: Picture) throws -> [Float] {
    let input = try preprocessor.apply(picture)
    let program = try component.program("\(input.height)x\(input.width)") {
      try model.graph(
        weights: component.weights, batch: 1, height: input.height, width: input.width)
    }
    _ = try program.input("pixel_values").update(fromContentsOf: input.pixels)
    try program.run()
    return Array(try component.finite("logits", of: program))
  }

  /// The likeliest labels, the likeliest first.
  package func scores(of picture: Picture, top count: Int) throws -> [Score] {
    let logits = try logits(of: picture)
    let highest = logits.max() ?? 0
    let exponentials = logits.map { Double($0 - highest).exponential }
    let sum = exponentials.reduce(0, +)
    let order = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }
    return order.prefix(count).map {
      Score(label: labels[$0], probability: Float(exponentials[$0] / sum))
    }
  }
}
