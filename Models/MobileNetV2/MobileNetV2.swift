package import PipitGraph
package import PipitTensors

/// MobileNetV2 (Sandler et al. 2018), as `MobileNetV2ForImageClassification` in transformers; tensors
/// may have the names of torchvision or timm as well.
package struct MobileNetV2: ImageClassifier {
  package let channels: Int
  package let labels: [String]
  private let stemWidth: Int
  /// Widths of the stem's result and of the blocks.
  private let widths: [Int]
  /// Widths inside the blocks.
  private let expandedWidths: [Int]
  private let strides: [Int]
  private let dilations: [Int]
  private let lastWidth: Int
  private let hasStemExpansion: Bool
  /// Whether zeros are added as TensorFlow does: behind first, and only where strides need them.
  private let padsAsTensorFlow: Bool
  private let activation: Activation
  private let epsilon: Float

  private static let baseWidths = [
    16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320,
  ]
  private static let baseStrides = [2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]

  package init(_ configuration: Configuration) throws {
    channels = try configuration.integer("num_channels", in: 1...64, fallback: 3)
    let scale = try Scale(configuration)
    let ratio = try configuration.bounded("expand_ratio", 0.01...100, fallback: 6)
    stemWidth = scale.width(32)
    widths = MobileNetV2.baseWidths.map { scale.width($0) }
    expandedWidths = widths.dropLast().map { scale.divisible(Double($0) * ratio) }
    let isFine = try configuration.bool("finegrained_output", fallback: true)
    lastWidth = isFine && scale.multiplier < 1 ? 1280 : scale.width(1280)
    let outputStride = try configuration.integer("output_stride", in: 1...32, fallback: 32)
    guard [8, 16, 32].contains(outputStride) else {
      throw configuration.error("output_stride", "8, 16 or 32", "\(outputStride)")
    }
    (strides, dilations) = MobileNetV2.steps(to: outputStride)
    hasStemExpansion = try !configuration.bool("first_layer_is_expansion", fallback: true)
    padsAsTensorFlow = try configuration.bool("tf_padding", fallback: true)
    activation = try configuration.activation("hidden_act", fallback: "relu6")
    epsilon = try configuration.epsilon("layer_norm_eps", fallback: 1e-3)
    labels = try configuration.labels()
  }

  /// How channel counts follow from those of the paper.
  private struct Scale {
    let multiplier: Double
    let divisor: Int
    let least: Int

    init(_ configuration: Configuration) throws {
      multiplier = try configuration.bounded("depth_multiplier", 0.01...16, fallback: 1)
      divisor = try configuration.integer("depth_divisible_by", in: 1...1024, fallback: 8)
      least = try configuration.integer("min_depth", in: 1...4096, fallback: 8)
    }

    func width(_ base: Int) -> Int { divisible(Double(base) * multiplier) }

    /// The nearest multiple of the divisor, but never more than a tenth below.
    func divisible(_ width: Double) -> Int {
      let whole = width.rounded(.toNearestOrEven)
      let near = Int(whole + Double(divisor) / 2) / divisor * divisor
      let result = max(least, near)
      return Double(result) < 0.9 * whole ? result + divisor : result
    }
  }

  /// Strides of the blocks until the picture is `outputStride` times smaller; from there on dilations instead.
  private static func steps(to outputStride: Int) -> (strides: [Int], dilations: [Int]) {
    var strides: [Int] = []
    var dilations: [Int] = []
    var (reached, dilation) = (2, 1)
    for stride in baseStrides {
      let isReached = reached == outputStride
      strides.append(isReached ? 1 : stride)
      dilations.append(isReached ? dilation : 1)
      if isReached { dilation *= stride } else { reached *= stride }
    }
    return (strides, dilations)
  }

  /// pixel_values `[batch, channels, height, width]` to logits `[batch, labels]`.
  package func graph(
    weights: any WeightSource, batch: Int, height: Int, width: Int
  ) throws -> Graph {
    let g = GraphBuilder(weights: weights)
    let names = try Names(g)
    let pixels = g.input("pixel_values", [batch, channels, height, width])
    var x = try layer(
      g, try g.transpose(pixels, [0, 2, 3, 1]), at: names.stem(.first), to: stemWidth, kernel: 3,
      stride: 2)
    if hasStemExpansion { x = try layer(g, x, at: names.stem(.expansion), to: stemWidth) }
    x = try depthwise(g, x, at: names.stem(.depthwise), stride: 1, dilation: 1)
    x = try layer(g, x, at: names.stem(.reduction), to: widths[0], isLinear: true)
    for index in strides.indices {
      x = try block(g, x, index, names)
    }
    x = try layer(g, x, at: names.last, to: lastWidth)
    let pooled = try g.add(.averagePoolGlobal, [x], "pooler")
    g.output("logits", try g.linear(pooled, at: names.classifier, to: labels.count))
    return g.graph
  }

  private func block(
    _ g: GraphBuilder, _ x: Value, _ index: Int, _ names: Names
  ) throws -> Value {
    var y = try layer(g, x, at: names.block(index, .expansion), to: expandedWidths[index])
    y = try depthwise(
      g, y, at: names.block(index, .depthwise), stride: strides[index], dilation: dilations[index])
    let width = widths[index + 1]
    y = try layer(g, y, at: names.block(index, .reduction), to: width, isLinear: true)
    return strides[index] == 1 && x.shape.columns == width ? try g.add(y, x) : y
  }

  private func depthwise(
    _ g: GraphBuilder, _ x: Value, at names: NormedConvolution, stride: Int, dilation: Int
  ) throws -> Value {
    try layer(
      g, x, at: names, to: x.shape.columns, kernel: 3, stride: stride, dilation: dilation,
      groups: x.shape.columns)
  }

  /// Convolution without bias, batch norm and, unless it `isLinear`, the activation.
  private func layer(
    _ g: GraphBuilder, _ x: Value, at names: NormedConvolution, to width: Int, kernel: Int = 1,
    stride: Int = 1, dilation: Int = 1, groups: Int = 1, isLinear: Bool = false
  ) throws -> Value {
    let convolved = try g.conv2D(
      x, at: names.convolution, to: width, kernel: kernel, stride: stride,
      padding: padding(x.shape, kernel, stride, dilation), dilation: dilation, groups: groups,
      bias: false)
    let normed = try g.batchNorm(convolved, at: names.norm, epsilon: epsilon)
    return isLinear ? normed : try g.activation(activation, normed)
  }

  private func padding(
    _ input: Shape, _ kernel: Int, _ stride: Int, _ dilation: Int
  ) -> Conv2D.Padding {
    guard padsAsTensorFlow else { return Conv2D.Padding(kernel / 2 * dilation) }
    func along(_ extent: Int) -> (front: Int, behind: Int) {
      let rest = extent % stride == 0 ? stride : extent % stride
      let all = max(kernel - rest, 0)
      return (all / 2 * dilation, (all - all / 2) * dilation)
    }
    let (rows, columns) = (along(input[1]), along(input[2]))
    return Conv2D.Padding(
      top: rows.front, left: columns.front, bottom: rows.behind, right: columns.behind)
  }
}

extension Configuration {
  /// A number in a range.
  fileprivate func bounded(
    _ key: String, _ range: ClosedRange<Double>, fallback: Double
  ) throws -> Double {
    let number = try number(key, fallback: fallback)
    guard range.contains(number) else {
      throw error(key, "\(range.lowerBound) to \(range.upperBound)", "\(number)")
    }
    return number
  }
}
