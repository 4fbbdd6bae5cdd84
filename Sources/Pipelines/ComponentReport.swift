package import PipitFormats
package import PipitGraph
package import PipitModels
package import PipitTensors

/// What a component is and what it costs, told without running it.
package struct ComponentReport: Sendable {
  package let architecture: String
  package let parameterCount: Int
  /// Bytes of the weight files, which are mapped.
  package let fileByteCount: Int
  /// Bytes of weights as they will be packed for the kernels.
  package let packedByteCount: Int
  /// Bytes of the arena, and the least that any plan would need.
  package let arenaByteCount: Int
  package let arenaLowerBound: Int

  /// Reads the settings and headers, builds the graphs for the inputs that the pipeline would give, and plans.
  package init(_ folder: ModelFolder, machine: Machine) throws {
    try self.init(
      try ModelPart(folder), fileByteCount: try folder.weights().byteCount, machine: machine)
  }

  /// As above, of a component whose weights take so many bytes of a file; counted if left out.
  package init(_ part: ModelPart, fileByteCount: Int? = nil, machine: Machine) throws {
    architecture = part.architectureName
    let weights = try part.weights.names.compactMap { try part.weights.weight(named: $0) }
    self.fileByteCount = fileByteCount ?? weights.reduce(0) { $0 + $1.bytes.count }
    parameterCount = weights.reduce(0) { $0 + $1.shape.count }
    let graphs = try ComponentReport.graphs(part).map { machine.optimize($0) }
    packedByteCount = machine.need(graphs).packed
    let plans = graphs.map { ArenaPlan(Lifetimes($0).buffers) }
    arenaByteCount = plans.map(\.byteCount).max() ?? 0
    arenaLowerBound = plans.map(\.lowerBound).max() ?? 0
  }

  /// The graphs of a component for the inputs that a pipeline would give, as built.
  package static func graphs(_ folder: ModelFolder) throws -> [Graph] {
    try graphs(try ModelPart(folder))
  }

  package static func graphs(_ part: ModelPart) throws -> [Graph] {
    try typicalInputs(part.architecture).map {
      try part.architecture.graph(weights: part.weights, inputs: $0)
    }
  }

  /// The shapes that a pipeline gives a model, one set for each graph.
  package static func typicalInputs(_ model: Architecture) -> [[String: Shape]] {
    switch model {
    case .textTransformer(let model):
      return [textInputs(tokenLimit: model.tokenLimit)]
    case .textClassifier(let model):
      return [textInputs(tokenLimit: model.encoder.tokenLimit)]
    case .clipText(let clip):
      return [["input_ids": [1, clip.tokenLimit]]]
    case .textSentimentHead(let head):
      return [["layer_states": [1, TextSentiment.tokenLimit, head.inputWidth]]]
    case .flowMLP(let flow):
      return [["encoder_hidden_states": [2, TextToImage.captionTokens, flow.captionChannels]]]
    case .autoencoder(let vae):
      let side = vae.sampleSize / vae.reduction
      return [
        ["latent_sample": [1, vae.latentChannels, side, side]],
        ["sample": [1, vae.channels, vae.sampleSize, vae.sampleSize]],
      ]
    case .autoencoderTiny(let vae):
      return autoencoder(latent: vae.latentChannels, channels: vae.channels, side: 64, vae.reduction)
    case .autoencoderKL(let vae):
      return autoencoder(latent: vae.latentChannels, channels: vae.channels, side: 64, vae.reduction)
    case .unet2DCondition(let unet):
      let settings = unet.configuration
      return [
        [
          "sample": [1, settings.channels, settings.sampleSize[0], settings.sampleSize[1]],
          "timestep": [1], "encoder_hidden_states": [1, 77, settings.contextWidths[0]],
        ]
      ]
    case .resNet(let net):
      return [["pixel_values": [1, net.channels, 64, 64]]]
    case .mobileNetV2(let net):
      return [["pixel_values": [1, net.channels, 224, 224]]]
    case .viT(let net):
      return [["pixel_values": [1, net.channels, net.imageSize[0], net.imageSize[1]]]]
    }
  }

  private static func textInputs(tokenLimit: Int) -> [String: Shape] {
    let ids: Shape = [1, min(32, tokenLimit)]
    return ["input_ids": ids, "attention_mask": ids]
  }

  /// Both directions of an autoencoder of latents with `side` columns.
  private static func autoencoder(
    latent: Int, channels: Int, side: Int, _ reduction: Int
  ) -> [[String: Shape]] {
    let pixels = side * reduction
    return [
      ["latent_sample": [1, latent, side, side]], ["sample": [1, channels, pixels, pixels]],
    ]
  }
}
