import PipitTensors

/// Goldens of text models, made by Goldens/make_text_goldens.py.
let textCases: [String] = [
  "clip", "bertcls", "distilbert", "distilbertcls", "roberta", "robertacls",
  "mpnet",
].flatMap { family in (1...3).map { "\(family)-\($0)" } } + ["mpnetcls-1"]

extension Sample {
  private typealias Settings = [String: JSONValue]

  private static func joined(_ first: Settings, _ second: Settings) -> Settings {
    var settings = first
    for (key, value) in second { settings[key] = value }
    return settings
  }

  private static let vocabulary: Settings = [
    "vocab_size": .integer(10), "max_position_embeddings": .integer(8),
  ]
  private static let labels: Settings = ["num_labels": .integer(3)]
  private static let clipOnly: Settings = [
    "eos_token_id": .integer(9), "hidden_act": .string("quick_gelu"),
  ]
  private static let clip: Settings = joined(joined(transformer, vocabulary), clipOnly)
  private static let projection: Settings = ["projection_dim": .integer(6)]
  private static let bertOnly: Settings = [
    "type_vocab_size": .integer(2), "is_decoder": .bool(false),
    "add_cross_attention": .bool(false),
  ]
  private static let bert: Settings = joined(joined(transformer, vocabulary), bertOnly)
  private static let roberta: Settings = joined(bert, ["pad_token_id": .integer(1)])
  private static let distilBERTOnly: Settings = [
    "dim": .integer(8), "n_heads": .integer(2), "hidden_dim": .integer(16),
    "n_layers": .integer(1), "activation": .string("gelu"),
  ]
  private static let distilBERT: Settings = joined(vocabulary, distilBERTOnly)

  private static let mpNetOnly: Settings = [
    "relative_attention_num_buckets": .integer(32), "is_decoder": .bool(false),
  ]
  private static let mpNet: Settings = joined(joined(transformer, vocabulary), mpNetOnly)

  private static func text(_ name: String, _ settings: Settings) -> Sample {
    Sample(name: name, settings: settings, input: "input_ids", shape: [1, 4])
  }

  /// Settings of text models.
  static let textSamples: [Sample] = [
    text("CLIPTextModel", clip),
    text("CLIPTextModelWithProjection", joined(clip, projection)),
    text("BertForMaskedLM", bert),
    text("BertForSequenceClassification", joined(bert, labels)),
    text("DistilBertModel", distilBERT),
    text("DistilBertForMaskedLM", distilBERT),
    text("DistilBertForSequenceClassification", joined(distilBERT, labels)),
    text("MPNetModel", mpNet),
    text("MPNetForMaskedLM", mpNet),
    text("MPNetForSequenceClassification", joined(mpNet, labels)),
    text("RobertaModel", roberta),
    text("RobertaForMaskedLM", roberta),
    text("RobertaForSequenceClassification", joined(roberta, labels)),
    text("XLMRobertaModel", roberta),
    text("XLMRobertaForMaskedLM", roberta),
    text("XLMRobertaForSequenceClassification", joined(roberta, labels)),
  ]
}
