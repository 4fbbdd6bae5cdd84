package import PipitTensors

/// Models of timm, whose `config.json` gives a name (`"architecture": "resnet18"`) where transformers
/// gives the settings that the name stands for.
package enum TimmModel {
  private static let mobileNet = "MobileNetV2ForImageClassification"
  private static let resNet = "ResNetForImageClassification"

  private static let settings: [String: (architecture: String, settings: [String: JSONValue])] = [
    "mobilenetv2_050": (mobileNet, mobileNetV2(0.5)),
    "mobilenetv2_100": (mobileNet, mobileNetV2(1)),
    "mobilenetv2_140": (mobileNet, mobileNetV2(1.4)),
    "resnet18": (resNet, residual("basic", [2, 2, 2, 2])),
    "resnet34": (resNet, residual("basic", [3, 4, 6, 3])),
    "resnet50": (resNet, residual("bottleneck", [3, 4, 6, 3])),
    "resnet101": (resNet, residual("bottleneck", [3, 4, 23, 3])),
    "resnet152": (resNet, residual("bottleneck", [3, 8, 36, 3])),
  ]

  package static let names = settings.keys.sorted()

  private static func mobileNetV2(_ multiplier: Double) -> [String: JSONValue] {
    [
      "depth_multiplier": .number(multiplier), "tf_padding": .bool(false),
      "layer_norm_eps": .number(1e-5),
    ]
  }

  private static func residual(_ type: String, _ depths: [Int]) -> [String: JSONValue] {
    let widths = type == "basic" ? [64, 128, 256, 512] : [256, 512, 1024, 2048]
    return [
      "layer_type": .string(type), "depths": .array(depths.map { JSONValue.integer($0) }),
      "hidden_sizes": .array(widths.map { JSONValue.integer($0) }),
    ]
  }

  /// What transformers calls the architecture, and its settings; `nil` for an unknown name.
  static func translate(
    _ name: String, _ configuration: Configuration
  ) throws -> (architecture: String, settings: Configuration)? {
    guard let known = settings[name] else { return nil }
    var values = known.settings
    let count = try configuration.integer("num_classes", in: 1...100_000, fallback: 1000)
    values["num_labels"] = .integer(count)
    let labels = try configuration.strings("label_names", fallback: [])
    if labels.count == count {
      let numbered = labels.enumerated().map { (String($0), JSONValue.string($1)) }
      values["id2label"] = .object(Dictionary(uniqueKeysWithValues: numbered))
    }
    return (known.architecture, Configuration(file: configuration.file, values: values))
  }
}
