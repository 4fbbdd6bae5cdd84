import PipitTensors

/// Goldens of text models, made by Goldens/make_text_goldens.py.
let textCases: [String] = ["clip-1", "clip-2", "clip-3"]

extension Sample {
  private static let clip: [String: JSONValue] = transformer.merging([
    "vocab_size": .integer(10), "max_position_embeddings": .integer(8),
    "eos_token_id": .integer(9), "hidden_act": .string("quick_gelu"),
  ]) { _, second in second }

  /// Settings of text models.
  static let textSamples: [Sample] = [
    Sample(name: "CLIPTextModel", settings: clip, input: "input_ids", shape: [1, 4]),
    Sample(
      name: "CLIPTextModelWithProjection",
      settings: clip.merging(["projection_dim": .integer(6)]) { first, _ in first },
      input: "input_ids", shape: [1, 4]),
  ]
}
