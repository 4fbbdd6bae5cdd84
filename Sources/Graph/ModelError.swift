package import PipitTensors

/// A checkpoint does not hold what its architecture needs.
package enum ModelError: Error, Sendable, CustomStringConvertible {
  /// `path` is the file or folder of the weights, empty if they have none.
  case missingTensor(name: String, path: String)
  case tensorShape(name: String, path: String, expected: Shape, found: Shape)
  case tensorElements(name: String, path: String, found: ElementType)
  case shape(layer: String, reason: ShapeError)
  /// A setting of `config.json` that this engine does not have.
  case unsupported(setting: String, value: String, expected: String)

  package var description: String {
    switch self {
    case .missingTensor(let name, let path):
      "tensor '\(name)' is missing from \(path.isEmpty ? "the weights" : "'\(path)'")"
    case .tensorShape(let name, let path, let expected, let found):
      ModelError.tensor(name, path) + "expected shape \(expected), found \(found)"
    case .tensorElements(let name, let path, let found):
      ModelError.tensor(name, path)
        + "expected floating-point or quantized elements, found \(found.rawValue)"
    case .shape(let layer, let reason):
      "layer '\(layer)': \(reason)"
    case .unsupported(let setting, let value, let expected):
      "config.json: '\(setting)' is \(value), which is not supported (expected \(expected))"
    }
  }

  private static func tensor(_ name: String, _ path: String) -> String {
    (path.isEmpty ? "" : "'\(path)', ") + "tensor '\(name)': "
  }
}
