import Glibc
package import PipitFormats
package import PipitTensors
package import PipitTokenizers

/// A Stable Diffusion 1.x or 2.x checkpoint in one safetensors file with the names of the original
/// repository (`model.diffusion_model.…`, `first_stage_model.…`, `cond_stage_model.…`). Weights stay in
/// the file and as they lie there.
package struct OriginalCheckpoint: StableDiffusionModel {
  /// What the file does not say.
  package struct Options: Hashable, Sendable {
    /// A folder with the tokenizer's files.
    package var tokenizer: String?
    /// A folder as diffusers saves it, whose settings are taken instead of those that the shapes tell, and
    /// whose tokenizer is; weights are not needed there.
    package var settings: String?
    /// Whether the denoiser predicts velocities instead of noise; `nil`: what the file says.
    package var isVPrediction: Bool?
    /// Whether a file that says nothing is taken to predict noise, for those who only look at it.
    package var assumesEpsilon = false

    package init() {}
  }

  package let path: String
  package let file: Safetensors
  private let weights: WeightFolder
  private let shapes: [String: Shape]
  private let settings: OriginalSettings
  private let options: Options
  private let folder: ModelFolder?
  private let isVPrediction: Bool

  /// - Throws: `FormatError` for a file that is no such checkpoint, or does not say what it predicts.
  package init(path: String, options: Options = Options()) throws {
    try OriginalCheckpoint.refusePickle(path)
    let file = try Safetensors(path: path)
    let weights = try WeightFolder(file: file)
    let shapes = try OriginalCheckpoint.shapes(file, weights)
    let settings = OriginalSettings(shapes: shapes)
    let folder = try options.settings.map { try ModelFolder(path: $0) }
    guard settings.denoiser(isVPrediction: false) != nil else {
      let isLarger = file.entries.keys.contains { $0.hasPrefix("conditioner.embedders.") }
      throw FormatError(
        path: path, part: "tensor '\(OriginalSettings.unetPrefix)input_blocks.0.0.weight'",
        expected: "a Stable Diffusion 1.x or 2.x checkpoint or a model's folder",
        found: isLarger ? "Stable Diffusion XL" : "none")
    }
    isVPrediction = try OriginalCheckpoint.prediction(file, settings, options, folder)
    self.path = path
    self.file = file
    self.weights = weights
    self.shapes = shapes
    self.settings = settings
    self.options = options
    self.folder = folder
  }

  package static func refusePickle(_ path: String) throws {
    for ending in [".ckpt", ".pt", ".bin", ".pth"] where path.hasSuffix(ending) {
      throw FormatError(
        path: path, expected: "a safetensors file (convert it with the library that made it)",
        found: "a pickle, which can run any code when it is read")
    }
  }

  /// Whether a file has such a checkpoint's names.
  package static func isCheckpoint(_ file: Safetensors) -> Bool {
    file.entries.keys.contains { $0.hasPrefix(OriginalSettings.unetPrefix) }
  }

  /// The same model in another file, with the tokenizer and the prediction of this one.
  package func copy(at path: String) throws -> OriginalCheckpoint {
    var options = options
    options.isVPrediction = isVPrediction
    if options.tokenizer == nil { options.tokenizer = try? tokenizerFolder() }
    return try OriginalCheckpoint(path: path, options: options)
  }

  /// Of all tensors by name, those of 4 bits as they are when unpacked.
  private static func shapes(_ file: Safetensors, _ weights: WeightFolder) throws -> [String: Shape] {
    var shapes = file.entries.mapValues(\.shape)
    for packed in file.entries.keys where packed.hasSuffix("_packed") {
      let name = String(packed.dropLast("_packed".count))
      shapes[name] = try weights.weight(named: name)?.shape
    }
    return shapes
  }

  /// Whether a path is a file, and so a checkpoint if it is a model.
  package static func isFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
  }

  // MARK: What the denoiser predicts

  private static func prediction(
    _ file: Safetensors, _ settings: OriginalSettings, _ options: Options, _ folder: ModelFolder?
  ) throws -> Bool {
    if let told = options.isVPrediction { return told }
    if let folder {
      let schedule = try folder.settings("scheduler/scheduler_config.json")
      return try schedule.string("prediction_type", fallback: "epsilon") == "v_prediction"
    }
    switch file.metadata["modelspec.prediction_type"] {
    case "v"?, "v_prediction"?: return true
    case "epsilon"?: return false
    default: break
    }
    // Trainers' own ways to say it.
    if file.metadata["ss_v_parameterization"] == "True" || file.entries["v_pred"] != nil {
      return true
    }
    guard settings.canBeVPrediction, !options.assumesEpsilon else { return false }
    throw FormatError(
      path: file.file.path, part: "metadata 'modelspec.prediction_type'",
      expected: "v or epsilon, which no shape tells of Stable Diffusion 2.x "
        + "(say --prediction v for 768-pixel models, epsilon for base and turbo)",
      found: "none")
  }

  // MARK: Parts

  package func textEncoder() throws -> ModelPart {
    let isOpenCLIP = settings.isOpenCLIP
    let prefix = isOpenCLIP ? OriginalSettings.openCLIPPrefix : OriginalSettings.clipPrefix
    return try part(
      "text_encoder", "CLIPTextModel", settings.textEncoder(), prefix: prefix
    ) { isOpenCLIP ? OpenCLIPNames().place($0) : OriginalPlace($0) }
  }

  package func denoiser() throws -> ModelPart {
    let prefix = OriginalSettings.unetPrefix
    let names = OriginalUNetNames(blocksPerLevel: settings.blocksPerLevel) { [shapes] in
      shapes[prefix + $0] != nil
    }
    return try part(
      "unet", "UNet2DConditionModel", settings.denoiser(isVPrediction: isVPrediction),
      prefix: prefix
    ) { names.place($0) }
  }

  package func autoencoder() throws -> ModelPart? {
    guard let values = settings.autoencoder() else { return nil }
    let names = OriginalAutoencoderNames(levels: settings.autoencoderLevels)
    return try part(
      "vae", "AutoencoderKL", values, prefix: OriginalSettings.autoencoderPrefix
    ) { names.place($0) }
  }

  /// The folder `vae_tiny` or `taesd` beside the file.
  package func tinyAutoencoder() throws -> ModelPart? {
    for name in ["vae_tiny", "taesd"] where isThere(beside + name + "/config.json") {
      return try ModelPart(try ModelFolder(path: beside + name))
    }
    return nil
  }

  /// The names that a pipeline's folder has for what the file holds.
  package static let partNames = ["text_encoder", "unet", "vae"]

  /// One of `partNames`.
  package func part(named name: String) throws -> ModelPart {
    switch name {
    case "text_encoder": return try textEncoder()
    case "unet": return try denoiser()
    case "vae":
      if let part = try autoencoder() { return part }
      throw FormatError(
        path: path, part: name, expected: "tensors named '\(OriginalSettings.autoencoderPrefix)…'",
        found: "none")
    default:
      let names = OriginalCheckpoint.partNames.joined(separator: ", ")
      throw FormatError(
        path: path, part: "component", expected: "one of \(names)", found: "'\(name)'")
    }
  }

  private func part(
    _ name: String, _ architecture: String, _ values: OriginalSettings.Values?, prefix: String,
    place: @escaping @Sendable (String) -> OriginalPlace?
  ) throws -> ModelPart {
    guard let values else {
      throw FormatError(
        path: path, part: name, expected: "tensors named '\(prefix)…'", found: "none")
    }
    let configuration =
      try folder.map { try $0.settings(name + "/config.json") }
      ?? Configuration(file: path + " (\(name), settings told from shapes)", values: values)
    return try ModelPart(
      architecture: architecture, configuration: configuration,
      weights: OriginalWeights(weights, prefix: prefix, place: place))
  }

  // MARK: Tokenizer and schedule

  package func tokenizer(vocabularyCount: Int, tokenLimit: Int) throws -> (Tokenizer, Int) {
    let (tokenizer, limit) = try ModelFolder.tokenizer(
      at: try tokenizerFolder(), vocabularyCount: vocabularyCount, tokenLimit: tokenLimit)
    return (tokenizer, limit)
  }

  /// OpenCLIP pads with id 0, whatever tokenizer is there.
  package var paddingID: Int32? { settings.isOpenCLIP && folder == nil ? 0 : nil }

  package var textFiles: [String]? {
    guard let folder = try? tokenizerFolder() else { return nil }
    let settings = options.settings.map { [$0 + "/text_encoder/config.json"] } ?? []
    let names = Set(FolderListing.names(folder)).intersection(Tokenizer.fileNames).sorted()
    return [path] + settings + names.map { folder + "/" + $0 }
  }

  package func scheduler() throws -> Configuration {
    if let folder {
      return try folder.settings("scheduler/scheduler_config.json").setting(
        "prediction_type", .string(isVPrediction ? "v_prediction" : "epsilon"))
    }
    return Configuration(
      file: path + " (noise schedule)",
      values: OriginalSettings.scheduler(isVPrediction: isVPrediction))
  }

  /// The folder of the file, with a slash.
  private var beside: String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "" }

  private func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }

  private func tokenizerFolder() throws -> String {
    if let folder = options.tokenizer { return folder }
    var places = [beside + "tokenizer", beside.isEmpty ? "." : String(beside.dropLast())]
    if let settings = options.settings { places.insert(settings + "/tokenizer", at: 0) }
    let found = places.first { place in
      ["tokenizer.json", "vocab.json"].contains { isThere(place + "/" + $0) }
    }
    guard let found else {
      throw FormatError(
        path: path, part: "tokenizer",
        expected: "CLIP's vocab.json and merges.txt, which no single file holds: say --tokenizer FOLDER "
          + "(the folder 'tokenizer' of any Stable Diffusion model), or put it beside the file",
        found: "none")
    }
    return found
  }
}

extension Configuration {
  /// The settings with one of them changed.
  fileprivate func setting(_ key: String, _ value: JSONValue) -> Configuration {
    var values = values
    values[key] = value
    return Configuration(file: file, values: values)
  }
}
