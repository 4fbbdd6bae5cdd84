package import PipitTensors

/// A checkpoint does not hold what its architecture needs.
package enum ModelError: Error, Sendable, CustomStringConvertible {
  case missingTensor(name: String)
  case tensorShape(name: String, expected: Shape, found: Shape)
  case tensorElements(name: String, found: ElementType)
  case shape(layer: String, reason: ShapeError)
  /// A setting of `config.json` that this engine does not have.
  case unsupported(setting: String, value: String, expected: String)

  package var description: String {
    switch self {
    case .missingTensor(let name):
      "tensor '\(name)' is missing from the weights"
    case .tensorShape(let name, let expected, let found):
      "tensor '\(name)': expected shape \(expected), found \(found)"
    case .tensorElements(let name, let found):
      "tensor '\(name)': expected floating-point or quantized elements, found \(found.rawValue)"
    case .shape(let layer, let reason):
      "layer '\(layer)': \(reason)"
    case .unsupported(let setting, let value, let expected):
      "config.json: '\(setting)' is \(value), which is not supported (expected \(expected))"
    }
  }
}
