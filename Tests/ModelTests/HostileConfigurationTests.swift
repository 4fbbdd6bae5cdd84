import PipitGraph
import PipitModels
import PipitTensors
import Testing

/// A checkpoint that has no tensors: a graph fails at its first weight, if its settings got that far.
private struct NoWeights: WeightSource {
  var names: [String] { [] }
  func weight(named name: String) throws -> Weight? { nil }
}

/// An architecture's name, settings that it accepts, and an input of `pipit run`.
struct Sample: CustomStringConvertible, Sendable {
  let name: String
  let settings: [String: JSONValue]
  let input: String
  let shape: Shape
  /// Inputs besides, where a graph needs several.
  var others: [String: Shape] = [:]
  var description: String { name }

  static let transformer: [String: JSONValue] = [
    "hidden_size": .integer(8), "num_attention_heads": .integer(2),
    "intermediate_size": .integer(16), "num_hidden_layers": .integer(1),
    "hidden_act": .string("gelu"), "layer_norm_eps": .number(1e-6),
  ]

  static let all: [Sample] =
    textSamples + imageSamples + [
      Sample(
        name: "BertModel",
        settings: transformer.merging([
          "vocab_size": .integer(10), "max_position_embeddings": .integer(8),
          "type_vocab_size": .integer(2), "position_embedding_type": .string("absolute"),
        ]) { first, _ in first }, input: "input_ids", shape: [1, 4]),
      Sample(
        name: "TextSentimentHead",
        settings: [
          "hidden_size": .integer(8), "classifier_hidden_size": .integer(8),
          "pooling_channels": .integer(4), "pooling_heads": .integer(2),
          "encoder_layers": .array([.integer(0), .integer(1)]), "num_labels": .integer(3),
          "id2label": .object(["0": .string("a"), "1": .string("b"), "2": .string("c")]),
        ], input: "layer_states", shape: [1, 4, 16]),
      Sample(
        name: "PipitFlowMLP",
        settings: [
          "latent_shape": .array([.integer(2), .integer(2), .integer(2)]),
          "coordinates": .integer(4), "width": .integer(8), "num_layers": .integer(1),
          "expansion": .integer(2), "caption_channels": .integer(8),
          "caption_queries": .integer(2), "caption_heads": .integer(2),
          "memory_size": .integer(6), "time_channels": .integer(8), "norm_eps": .number(1e-6),
        ], input: "encoder_hidden_states", shape: [1, 4, 8]),
      Sample(
        name: "PipitAutoencoder",
        settings: [
          "in_channels": .integer(3), "out_channels": .integer(3), "sample_size": .integer(32),
          "patch_size": .integer(4), "latent_channels": .integer(2), "act_fn": .string("silu"),
          "block_out_channels": .array([.integer(8), .integer(8)]),
          "layers_per_block": .array([.integer(1), .integer(1)]),
          "scaling_factor": .number(0.5), "shift_factor": .number(0),
        ], input: "latent_sample", shape: [1, 2, 4, 4]),
      Sample(
        name: "ResNetForImageClassification",
        settings: [
          "num_channels": .integer(3), "embedding_size": .integer(8),
          "hidden_sizes": .array([.integer(8), .integer(16)]),
          "depths": .array([.integer(1), .integer(1)]), "layer_type": .string("bottleneck"),
          "downsample_in_first_stage": .bool(false), "downsample_in_bottleneck": .bool(false),
          "hidden_act": .string("relu"), "num_labels": .integer(3),
        ], input: "pixel_values", shape: [1, 3, 32, 32]),
    ]

  /// Builds the graph with one setting replaced.
  func build(_ key: String? = nil, _ value: JSONValue = .null) throws -> Graph {
    var changed = settings
    if let key { changed[key] = value }
    let configuration = Configuration(file: "config.json", values: changed)
    return try Architecture(named: name, configuration).graph(
      weights: NoWeights(), inputs: others.merging([input: shape]) { $1 })
  }
}

/// Settings that somebody wants to break the engine with: each is refused with an error or changes nothing
/// that matters before the first weight; none may trap (then the whole test run dies).
@Suite struct HostileConfigurationTests {
  static let values: [JSONValue] = [
    .null, .bool(true), .integer(0), .integer(-1), .integer(1), .integer(3), .integer(4096),
    .integer(1 << 62), .integer(.max), .integer(.min), .number(0), .number(-1), .number(1e300),
    .number(1e-300), .number(.infinity), .number(.nan), .string(""), .string("x"), .array([]),
    .array([.integer(0)]), .array([.integer(1)]), .array([.integer(.max), .integer(.max)]),
    .array([JSONValue](repeating: .integer(4096), count: 3)),
    .array([JSONValue](repeating: .integer(8192), count: 70)), .array([.string("x")]),
    .object([:]), .object(["7": .string("x")]), .object(["0": .integer(1)]),
  ]

  @Test func everyArchitectureIsHere() {
    #expect(Sample.all.map(\.name).sorted() == Architecture.names.sorted())
  }

  @Test(arguments: Sample.all)
  func soundSettingsReachTheWeights(sample: Sample) {
    // (The closure form of #expect crashes the compiler of Swift 6.0.3.)
    do {
      _ = try sample.build()
      Issue.record("a graph without weights")
    } catch ModelError.missingTensor {
    } catch {
      Issue.record("\(error)")
    }
  }

  @Test(arguments: Sample.all)
  func anySettingMayBeAnything(sample: Sample) {
    for key in sample.settings.keys.sorted() {
      for value in HostileConfigurationTests.values {
        // There are no weights, so no setting may end in a graph.
        #expect(throws: (any Error).self, "\(key): \(value)") { try sample.build(key, value) }
      }
    }
  }

  @Test(arguments: Sample.all)
  func wrongNumbersAreNamed(sample: Sample) {
    for (key, value) in sample.settings {
      guard case .integer = value else { continue }
      for wrong in [JSONValue.integer(-1), .integer(.max), .string("x")] where key != "num_labels" {
        do {
          _ = try sample.build(key, wrong)
          Issue.record("\(key): \(wrong) is taken")
        } catch let error as ConfigurationError {
          #expect(error.key == key)
        } catch {
          Issue.record("\(key): \(error)")
        }
      }
    }
  }

  /// Inputs of no, or of impossible, extents are refused before anything is computed from them.
  @Test(arguments: Sample.all)
  func extentsAreChecked(sample: Sample) throws {
    let configuration = Configuration(file: "config.json", values: sample.settings)
    let architecture = try Architecture(named: sample.name, configuration)
    for axis in 0..<sample.shape.rank {
      for extent in [0, 1 << 21, 1 << 40] {
        var extents = sample.shape.extents
        extents[axis] = extent
        #expect(throws: ComponentInputError.self) {
          try architecture.graph(
            weights: NoWeights(),
            inputs: sample.others.merging([sample.input: Shape(extents)]) { $1 })
        }
      }
    }
  }
}
