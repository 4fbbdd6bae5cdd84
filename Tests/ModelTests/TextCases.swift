import PipitTensors

/// Goldens of text models, made by Goldens/make_text_goldens.py.
let textCases: [String] = [
  "clip", "bertcls", "distilbert", "distilbertcls", "roberta", "robertacls",
].flatMap { family in (1...3).map { "\(family)-\($0)" } }

extension Sample {
  private static let vocabulary: [String: JSONValue] = [
    "vocab_size": .integer(10), "max_position_embeddings": .integer(8),
  ]
  private static let labels: [String: JSONValue] = ["num_labels": .integer(3)]
  private static let clip: [String: JSONValue] = transformer.merging(vocabulary) { $1 }.merging([
    "eos_token_id": .integer(9), "hidden_act": .string("quick_gelu"),
  ]) { $1 }
  private static let bert: [String: JSONValue] = transformer.merging(vocabulary) { $1 }.merging([
    "type_vocab_size": .integer(2), "is_decoder": .bool(false),
    "add_cross_attention": .bool(false),
  ]) { $1 }
  private static let roberta: [String: JSONValue] = bert.merging(["pad_token_id": .integer(1)]) {
    $1
  }
  private static let distilBERT: [String: JSONValue] = vocabulary.merging([
    "dim": .integer(8), "n_heads": .integer(2), "hidden_dim": .integer(16),
    "n_layers": .integer(1), "activation": .string("gelu"),
  ]) { $1 }

  /// Settings of text models.
  static let textSamples: [Sample] = [
    ("CLIPTextModel", clip),
    ("CLIPTextModelWithProjection", clip.merging(["projection_dim": .integer(6)]) { $1 }),
    ("BertForSequenceClassification", bert.merging(labels) { $1 }),
    ("BertForMaskedLM", bert), ("DistilBertForMaskedLM", distilBERT),
    ("RobertaForMaskedLM", roberta), ("XLMRobertaForMaskedLM", roberta),
    ("DistilBertModel", distilBERT),
    ("DistilBertForSequenceClassification", distilBERT.merging(labels) { $1 }),
    ("RobertaModel", roberta),
    ("RobertaForSequenceClassification", roberta.merging(labels) { $1 }),
    ("XLMRobertaModel", roberta),
    ("XLMRobertaForSequenceClassification", roberta.merging(labels) { $1 }),
  ].map { name, settings in
    Sample(name: name, settings: settings, input: "input_ids", shape: [1, 4])
  }
}
