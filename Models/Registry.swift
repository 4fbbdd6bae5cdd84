package import PipitGraph
package import PipitTensors

/// Every architecture that can be loaded: the table of contents of this folder.
package enum Architecture: Sendable {
  case textTransformer(TextTransformer)
  case textClassifier(TextClassifier)
  case clipText(CLIPText)
  case textSentimentHead(TextSentimentHead)
  case flowMLP(FlowMLP)
  case autoencoder(Autoencoder)
  case autoencoderTiny(AutoencoderTiny)
  case autoencoderKL(AutoencoderKL)
  case unet2DCondition(UNet2DCondition)
  case resNet(ResNet)
  case mobileNetV2(MobileNetV2)
  case viT(ViT)

  /// Names that a configuration may give, for error messages.
  package static let names = [
    "AutoencoderKL",
    "AutoencoderTiny",
    "BertForMaskedLM",
    "BertForSequenceClassification",
    "BertModel",
    "CLIPTextModel",
    "CLIPTextModelWithProjection",
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "DistilBertModel",
    "MPNetForMaskedLM",
    "MPNetForSequenceClassification",
    "MPNetModel",
    "MobileNetV2ForImageClassification",
    "PipitAutoencoder",
    "PipitFlowMLP",
    "ResNetForImageClassification",
    "RobertaForMaskedLM",
    "RobertaForSequenceClassification",
    "RobertaModel",
    "TextSentimentHead",
    "UNet2DConditionModel",
    "ViTForImageClassification",
    "XLMRobertaForMaskedLM",
    "XLMRobertaForSequenceClassification",
    "XLMRobertaModel",
  ] + TimmModel.names

  /// The architecture of a name in `architectures` or `_class_name`, with its settings.
  package init(named name: String, _ configuration: Configuration) throws {
    switch name {
    // Encoders that were saved with the head they were first trained with, which nothing here reads.
    case "BertModel", "BertForMaskedLM":
      self = .textTransformer(try TextTransformer(bert: configuration))
    case "DistilBertModel", "DistilBertForMaskedLM":
      self = .textTransformer(try TextTransformer(distilBERT: configuration))
    case "RobertaModel", "RobertaForMaskedLM", "XLMRobertaModel", "XLMRobertaForMaskedLM":
      self = .textTransformer(try TextTransformer(roberta: configuration))
    case "MPNetModel", "MPNetForMaskedLM":
      self = .textTransformer(try TextTransformer(mpNet: configuration))
    case "BertForSequenceClassification":
      self = .textClassifier(try TextClassifier(bert: configuration))
    case "DistilBertForSequenceClassification":
      self = .textClassifier(try TextClassifier(distilBERT: configuration))
    case "RobertaForSequenceClassification", "XLMRobertaForSequenceClassification":
      self = .textClassifier(try TextClassifier(roberta: configuration))
    case "MPNetForSequenceClassification":
      self = .textClassifier(try TextClassifier(mpNet: configuration))
    case "CLIPTextModel", "CLIPTextModelWithProjection":
      self = .clipText(
        try CLIPText(configuration, hasProjection: name == "CLIPTextModelWithProjection"))
    case "TextSentimentHead": self = .textSentimentHead(try TextSentimentHead(configuration))
    case "PipitFlowMLP": self = .flowMLP(try FlowMLP(configuration))
    case "PipitAutoencoder": self = .autoencoder(try Autoencoder(configuration))
    case "AutoencoderTiny": self = .autoencoderTiny(try AutoencoderTiny(configuration))
    case "AutoencoderKL": self = .autoencoderKL(try AutoencoderKL(configuration))
    case "UNet2DConditionModel":
      self = .unet2DCondition(UNet2DCondition(try UNet2DConditionConfiguration(configuration)))
    case "ResNetForImageClassification": self = .resNet(try ResNet(configuration))
    case "MobileNetV2ForImageClassification":
      self = .mobileNetV2(try MobileNetV2(configuration))
    case "ViTForImageClassification": self = .viT(try ViT(configuration))
    default:
      if let (own, settings) = try TimmModel.translate(name, configuration) {
        self = try Architecture(named: own, settings)
        return
      }
      throw configuration.error(
        "architectures", "one of \(Architecture.names.joined(separator: ", "))", "'\(name)'")
    }
  }

  /// Builds the graph that takes inputs of these names and shapes, as `pipit run` is given them.
  package func graph(
    weights: any WeightSource, inputs: [String: Shape]
  ) throws -> Graph {
    func shape(_ name: String, rank: Int) throws -> Shape {
      guard let shape = inputs[name] else { throw ComponentInputError.missing(name: name) }
      guard shape.rank == rank, shape.extents.allSatisfy({ $0 > 0 && $0 <= 1 << 20 }) else {
        throw ComponentInputError.shape(name: name, rank: rank, found: shape)
      }
      return shape
    }
    func textShape() throws -> TextShape {
      let ids = try shape("input_ids", rank: 2)
      return TextShape(
        batch: ids[0], tokens: ids[1], hasMask: inputs["attention_mask"] != nil,
        hasTypes: inputs["token_type_ids"] != nil)
    }
    /// The direction that the inputs ask for.
    typealias Build = (any WeightSource, Int, Int, Int) throws -> Graph
    func autoencoder(_ decoder: Build, _ encoder: Build) throws -> Graph {
      if inputs["latent_sample"] != nil {
        let latent = try shape("latent_sample", rank: 4)
        return try decoder(weights, latent[0], latent[2], latent[3])
      }
      let sample = try shape("sample", rank: 4)
      return try encoder(weights, sample[0], sample[2], sample[3])
    }
    switch self {
    case .textTransformer(let model):
      return try model.graph(weights: weights, try textShape())
    case .textClassifier(let model):
      return try model.graph(weights: weights, try textShape())
    case .clipText(let model):
      let ids = try shape("input_ids", rank: 2)
      return try model.graph(
        weights: weights, batch: ids[0], tokens: ids[1], hasMask: inputs["attention_mask"] != nil)
    case .textSentimentHead(let model):
      let states = try shape("layer_states", rank: 3)
      return try model.graph(weights: weights, batch: states[0], tokens: states[1])
    case .flowMLP(let model):
      let states = try shape("encoder_hidden_states", rank: 3)
      return try model.graph(weights: weights, batch: states[0], tokens: states[1])
    case .autoencoder(let model):
      return try autoencoder(model.decoderGraph, model.encoderGraph)
    case .autoencoderTiny(let model):
      return try autoencoder(model.decoderGraph, model.encoderGraph)
    case .autoencoderKL(let model):
      return try autoencoder(model.decoderGraph, model.encoderGraph)
    case .unet2DCondition(let model):
      let sample = try shape("sample", rank: 4)
      let states = try shape("encoder_hidden_states", rank: 3)
      var extents = UNet2DCondition.Extents(
        batch: sample[0], height: sample[2], width: sample[3], tokens: states[1],
        timesteps: inputs["timestep"] ?? [1])
      extents.hasGuidance = inputs["timestep_cond"] != nil
      return try model.graph(weights: weights, extents)
    case .resNet, .mobileNetV2, .viT:
      guard let model = imageClassifier else { preconditionFailure("no classifier of pictures") }
      let pixels = try shape("pixel_values", rank: 4)
      return try model.graph(
        weights: weights, batch: pixels[0], height: pixels[2], width: pixels[3])
    }
  }
}

/// The inputs given do not say what graph to build.
package enum ComponentInputError: Error, Hashable, Sendable, CustomStringConvertible {
  case missing(name: String)
  case shape(name: String, rank: Int, found: Shape)

  package var description: String {
    switch self {
    case .missing(let name): "input '\(name)' is missing"
    case .shape(let name, let rank, let found):
      "input '\(name)': expected \(rank) axes of 1 to 1048576 elements, found \(found)"
    }
  }
}
