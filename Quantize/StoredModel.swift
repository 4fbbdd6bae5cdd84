package import PipitFormats
package import PipitPipelines

/// A model as it lies on disk, which is how the quantized one will lie.
package enum StoredModel {
  /// A pipeline or one component.
  case folder(ModelFolder)
  /// A Stable Diffusion checkpoint in one file.
  case checkpoint(OriginalCheckpoint)
  /// One file of weights that is no such checkpoint; with it the component's folder, where it is all of a
  /// component's weights and its settings lie beside it.
  case weights(Safetensors, folder: ModelFolder?)

  /// - Parameter options: Of a checkpoint in one file.
  package init(path: String, options: OriginalCheckpoint.Options = OriginalCheckpoint.Options()) throws {
    guard OriginalCheckpoint.isFile(path) else {
      self = .folder(try ModelFolder(path: path))
      return
    }
    try OriginalCheckpoint.refusePickle(path)
    let file = try Safetensors(path: path)
    if OriginalCheckpoint.isCheckpoint(file) {
      self = .checkpoint(try OriginalCheckpoint(path: path, options: options))
    } else {
      self = .weights(file, folder: StoredModel.folder(of: path))
    }
  }

  private static func folder(of path: String) -> ModelFolder? {
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    guard let folder = try? ModelFolder(path: parent), folder.layout == .component,
      let files = try? WeightFiles(folder: parent), files.names == [name]
    else { return nil }
    return folder
  }

  package var path: String {
    switch self {
    case .folder(let folder): folder.path
    case .checkpoint(let checkpoint): checkpoint.path
    case .weights(let file, _): file.file.path
    }
  }

  /// Whether it is one file.
  package var isFile: Bool {
    if case .folder = self { return false }
    return true
  }

  /// Whether it can be run, to see what its layers read.
  package var isRunnable: Bool {
    if case .weights(_, nil) = self { return false }
    return true
  }

  /// Whether a quantized copy can be run, to compare it.
  package var isComparable: Bool {
    if case .weights = self { return false }
    return true
  }

  /// What stands before names of a component's tensors is told from where its settings lie below this folder;
  /// `nil` where nothing stands before them.
  var root: String? {
    if case .folder(let folder) = self { return folder.path }
    return nil
  }

  /// The same model stored elsewhere.
  func copy(at path: String) throws -> StoredModel {
    switch self {
    case .folder: return .folder(try ModelFolder(path: path))
    case .checkpoint(let checkpoint): return .checkpoint(try checkpoint.copy(at: path))
    case .weights: preconditionFailure("'\(path)' cannot be run")
    }
  }
}
