package import PipitFormats
package import PipitModels
package import PipitTensors

/// One component of a model before it is loaded: which architecture, with what settings, and where its
/// weights lie.
package struct ModelPart: Sendable {
  /// The settings' file, or what stands for it, is named in errors.
  package let configuration: Configuration
  /// As the configuration calls it.
  package let architectureName: String
  package let architecture: Architecture
  package let weights: any WeightSource

  package init(_ folder: ModelFolder) throws {
    guard let name = folder.architecture else {
      throw FormatError(
        path: folder.configuration.file, part: "'architectures' or '_class_name'",
        expected: "the architecture's name", found: "none")
    }
    try self.init(
      architecture: name, configuration: folder.configuration, weights: try folder.weights())
  }

  package init(
    architecture name: String, configuration: Configuration, weights: any WeightSource
  ) throws {
    self.configuration = configuration
    architectureName = name
    architecture = try Architecture(named: name, configuration)
    self.weights = weights
  }

  /// The error for a component that is not of the architecture that a pipeline needs.
  package func wrongArchitecture(_ expected: String) -> FormatError {
    FormatError(
      path: configuration.file, part: "architecture", expected: expected, found: architectureName)
  }
}
