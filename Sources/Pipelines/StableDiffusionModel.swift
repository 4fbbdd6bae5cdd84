package import PipitFormats
package import PipitTensors
package import PipitTokenizers

/// Where the parts of a Stable Diffusion model lie: a folder as diffusers saves it, or one file in the
/// layout that it was published in.
package protocol StableDiffusionModel: Sendable {
  /// The folder or file, for messages.
  var path: String { get }

  /// A `CLIPTextModel`.
  func textEncoder() throws -> ModelPart
  /// A `UNet2DConditionModel`.
  func denoiser() throws -> ModelPart
  /// The pipeline's own `AutoencoderKL`; `nil` if it has only the tiny one.
  func autoencoder() throws -> ModelPart?
  /// An `AutoencoderTiny` for the same latents (TAESD); `nil` if there is none.
  func tinyAutoencoder() throws -> ModelPart?
  /// The tokenizer, and the most tokens that a text may have.
  func tokenizer(vocabularyCount: Int, tokenLimit: Int) throws -> (Tokenizer, Int)
  /// What texts are padded with; `nil` for what the tokenizer says.
  var paddingID: Int32? { get }
  /// The files that the states of a text depend on; `nil` if that cannot be told.
  var textFiles: [String]? { get }
  /// The settings of `scheduler_config.json`.
  func scheduler() throws -> Configuration
}

extension StableDiffusionModel {
  package var paddingID: Int32? { nil }
}

/// A pipeline's folder with `text_encoder`, `tokenizer`, `unet`, `vae` and `scheduler` in it.
package struct DiffusersFolder: StableDiffusionModel {
  private let folder: ModelFolder

  /// `nil` for a folder that is something else.
  package init?(_ folder: ModelFolder) {
    // One that lacks what its index names is still one: what is missing is then named.
    guard folder.layout == .pipeline,
      folder.has("unet/config.json") || folder.configuration.values["unet"] != nil
    else { return nil }
    self.folder = folder
  }

  package var path: String { folder.path }

  package func textEncoder() throws -> ModelPart { try part("text_encoder") }

  package func denoiser() throws -> ModelPart { try part("unet") }

  package func autoencoder() throws -> ModelPart? {
    // Where neither is there, the error is to name the usual one.
    folder.has("vae/config.json") || tinyName == nil ? try part("vae") : nil
  }

  package func tinyAutoencoder() throws -> ModelPart? { try tinyName.map { try part($0) } }

  package func tokenizer(vocabularyCount: Int, tokenLimit: Int) throws -> (Tokenizer, Int) {
    try folder.component("text_encoder").tokenizer(
      vocabularyCount: vocabularyCount, tokenLimit: tokenLimit)
  }

  package var textFiles: [String]? {
    ["text_encoder", "tokenizer"].flatMap { name in
      FolderListing.names(path + "/" + name).map { "\(path)/\(name)/\($0)" }
    }
  }

  package func scheduler() throws -> Configuration {
    try folder.settings("scheduler/scheduler_config.json")
  }

  private var tinyName: String? {
    ["vae_tiny", "taesd"].first { folder.has($0 + "/config.json") }
  }

  private func part(_ name: String) throws -> ModelPart { try ModelPart(folder.component(name)) }
}
