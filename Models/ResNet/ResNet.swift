package import PipitGraph
package import PipitTensors

/// ResNet (He et al. 2015), as `ResNetForImageClassification` in transformers; tensors may have the
/// names of torchvision and timm as well.
package struct ResNet: ImageClassifier {
  package let channels: Int
  package let embedding: Int
  package let widths: [Int]
  package let depths: [Int]
  package let bottleneck: Bool
  package let downsampleInFirstStage: Bool
  package let downsampleInBottleneck: Bool
  package let activation: Activation
  package let labels: [String]

  /// The factor by which a bottleneck narrows.
  private static let reduction = 4
  /// transformers fixes the epsilon of its batch norms.
  private static let epsilon: Float = 1e-5

  package init(_ configuration: Configuration) throws {
    channels = try configuration.integer("num_channels", in: 1...64, fallback: 3)
    embedding = try configuration.integer("embedding_size", in: 1...8192, fallback: 64)
    widths = try configuration.integers("hidden_sizes", in: 1...65536)
    depths = try configuration.integers("depths", in: 1...1000)
    guard !widths.isEmpty, widths.count == depths.count, widths.count <= 16 else {
      throw configuration.error("depths", "one number for each of hidden_sizes", "\(depths.count)")
    }
    let type = try configuration.string("layer_type", fallback: "bottleneck")
    guard type == "basic" || type == "bottleneck" else {
      throw configuration.error("layer_type", "basic or bottleneck", "'\(type)'")
    }
    bottleneck = type == "bottleneck"
    if bottleneck, let width = widths.first(where: { $0 % ResNet.reduction != 0 }) {
      throw configuration.error("hidden_sizes", "multiples of \(ResNet.reduction)", "\(width)")
    }
    downsampleInFirstStage = try configuration.bool("downsample_in_first_stage", fallback: false)
    downsampleInBottleneck = try configuration.bool("downsample_in_bottleneck", fallback: false)
    activation = try configuration.activation("hidden_act", fallback: "relu")
    labels = try configuration.labels()
  }

  /// pixel_values `[batch, channels, height, width]` to logits `[batch, labels]`.
  package func graph(
    weights: any WeightSource, batch: Int, height: Int, width: Int
  ) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let pixels = g.input("pixel_values", [batch, channels, height, width])
    let names: Names = try g.has(Scope("conv1.weight")) ? .torchvision : .transformers
    var x = try layer(
      g, try g.transpose(pixels, [0, 2, 3, 1]), at: names.stem, to: embedding, kernel: 7, stride: 2,
      activation: activation)
    x = try g.add(.maxPool(Pool(window: 3, stride: 2, padding: 1)), [x], "embedder.pooler")
    for stage in widths.indices {
      let stride = stage > 0 || downsampleInFirstStage ? 2 : 1
      for index in 0..<depths[stage] {
        x = try block(
          g, x, at: BlockNames(names, stage, index), to: widths[stage],
          stride: index == 0 ? stride : 1)
      }
    }
    let pooled = try g.add(.averagePoolGlobal, [x], "pooler")
    g.output("logits", try g.linear(pooled, at: names.classifier, to: labels.count))
    return g.graph
  }

  private func block(
    _ g: GraphBuilder, _ x: Value, at names: BlockNames, to width: Int, stride: Int
  ) throws -> Value {
    var skip = x
    if x.shape.columns != width || stride != 1 {
      skip = try layer(
        g, x, at: names.shortcut, to: width, kernel: 1, stride: stride, activation: nil)
    }
    var y = x
    // The reference gives `hidden_act` to the stem and the sums only; inside a block it is always relu.
    if bottleneck {
      let narrow = width / ResNet.reduction
      y = try layer(
        g, y, at: names / 0, to: narrow, kernel: 1, stride: downsampleInBottleneck ? stride : 1,
        activation: .relu)
      y = try layer(
        g, y, at: names / 1, to: narrow, kernel: 3, stride: downsampleInBottleneck ? 1 : stride,
        activation: .relu)
      y = try layer(g, y, at: names / 2, to: width, kernel: 1, stride: 1, activation: nil)
    } else {
      y = try layer(
        g, y, at: names / 0, to: width, kernel: 3, stride: stride, activation: .relu)
      y = try layer(g, y, at: names / 1, to: width, kernel: 3, stride: 1, activation: nil)
    }
    return try g.activation(activation, try g.add(y, skip))
  }

  /// Convolution without bias, batch norm, activation.
  private func layer(
    _ g: GraphBuilder, _ x: Value, at names: NormedConvolution, to width: Int, kernel: Int, stride: Int,
    activation: Activation?
  ) throws -> Value {
    let convolved = try g.conv2D(
      x, at: names.convolution, to: width, kernel: kernel, stride: stride, bias: false)
    let normed = try g.batchNorm(convolved, at: names.norm, epsilon: ResNet.epsilon)
    return try activation.map { try g.activation($0, normed) } ?? normed
  }

  /// Where the tensors lie.
  private enum Names {
    case transformers, torchvision

    var stem: NormedConvolution {
      switch self {
      case .transformers: NormedConvolution(at: Scope("resnet.embedder.embedder"))
      case .torchvision: NormedConvolution(Scope("conv1"), Scope("bn1"))
      }
    }

    var classifier: Scope { Scope(self == .transformers ? "classifier.1" : "fc") }
  }

  /// Where the tensors of one block lie.
  private struct BlockNames {
    private let names: Names
    private let scope: Scope

    init(_ names: Names, _ stage: Int, _ index: Int) {
      self.names = names
      switch names {
      case .transformers: scope = Scope("resnet.encoder.stages") / stage / "layers" / index
      case .torchvision: scope = Scope("layer\(stage + 1)") / index
      }
    }

    var shortcut: NormedConvolution {
      switch names {
      case .transformers: NormedConvolution(at: scope / "shortcut")
      case .torchvision: NormedConvolution(scope / "downsample.0", scope / "downsample.1")
      }
    }

    static func / (block: BlockNames, index: Int) -> NormedConvolution {
      switch block.names {
      case .transformers: NormedConvolution(at: block.scope / "layer" / index)
      case .torchvision:
        NormedConvolution(block.scope / "conv\(index + 1)", block.scope / "bn\(index + 1)")
      }
    }
  }
}
