package import PipitGraph
package import PipitTensors

/// A model that tells one of several labels of a picture.
package protocol ImageClassifier: Sendable {
  var channels: Int { get }
  var labels: [String] { get }
  /// The only size of pictures that it takes; `nil` where any will do.
  var fixedSize: (height: Int, width: Int)? { get }

  /// pixel_values `[batch, channels, height, width]` to logits `[batch, labels]`.
  func graph(weights: any WeightSource, batch: Int, height: Int, width: Int) throws -> Graph
}

extension ImageClassifier {
  package var fixedSize: (height: Int, width: Int)? { nil }
}

extension Architecture {
  /// The model, if it is one that classifies pictures.
  package var imageClassifier: (any ImageClassifier)? {
    switch self {
    case .resNet(let model): model
    case .mobileNetV2(let model): model
    case .viT(let model): model
    default: nil
    }
  }
}

/// Where a convolution and the batch norm behind it lie in a checkpoint.
struct NormedConvolution {
  let convolution: Scope
  let norm: Scope

  init(_ convolution: Scope, _ norm: Scope) {
    self.convolution = convolution
    self.norm = norm
  }

  /// As transformers names them.
  init(at scope: Scope) {
    self.init(scope / "convolution", scope / "normalization")
  }
}
