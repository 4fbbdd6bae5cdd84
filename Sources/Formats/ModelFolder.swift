import Glibc
package import PipitTensors

/// A model on disk: a pipeline's folder with components in it, or one component.
package struct ModelFolder: Sendable {
  package enum Layout: Hashable, Sendable {
    /// `model_index.json` and a folder for each component.
    case pipeline
    /// `config.json` and weights.
    case component
  }

  package let path: String
  package let layout: Layout
  /// The settings of `model_index.json` or `config.json`.
  package let configuration: Configuration

  package init(path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw FileError(path: path, action: "open model", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw FormatError(
        path: path, expected: "a model's folder (with model_index.json or config.json)",
        found: "a file")
    }
    self.path = path
    if access(path + "/model_index.json", F_OK) == 0 {
      layout = .pipeline
      configuration = try JSON.configuration(path: path + "/model_index.json")
    } else if access(path + "/config.json", F_OK) == 0 {
      layout = .component
      configuration = try JSON.configuration(path: path + "/config.json")
    } else {
      throw FormatError(
        path: path, expected: "model_index.json (a pipeline) or config.json (one component)",
        found: "neither")
    }
  }

  /// A component of a pipeline.
  package func component(_ name: String) throws -> ModelFolder {
    guard layout == .pipeline else {
      throw FormatError(
        path: path, expected: "a pipeline with a folder '\(name)'", found: "one component")
    }
    let folder = try ModelFolder(path: path + "/" + name)
    guard folder.layout == .component else {
      throw FormatError(path: folder.path, expected: "config.json", found: "another pipeline")
    }
    return folder
  }

  /// Whether a file or folder of that name is there.
  package func has(_ name: String) -> Bool { access(path + "/" + name, F_OK) == 0 }

  /// The settings of a JSON file in the folder.
  package func settings(_ name: String) throws -> Configuration {
    try JSON.configuration(path: path + "/" + name)
  }

  package func weights() throws -> WeightFolder { try WeightFolder(path: path) }

  /// The architecture that the configuration names: `architectures[0]` (transformers), `_class_name`
  /// (diffusers) or `architecture` (timm).
  package var architecture: String? {
    if let names = try? configuration.strings("architectures"), let name = names.first {
      return name
    }
    if let name = try? configuration.string("_class_name") { return name }
    return try? configuration.string("architecture")
  }
}
