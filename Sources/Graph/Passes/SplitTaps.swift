import PipitTensors

extension Optimizer {
  /// Turns convolutions with very few outputs, such as the last of a decoder, into a product of each pixel
  /// with all taps at once and a sum over windows.
  ///
  /// A register tile has 16 or 32 columns, of which three outputs would use three: with the taps beside each
  /// other they use 27, and the sums are next to nothing. Integer products do better without: what they read
  /// is a quarter of what the floats of 27 columns would be.
  @Sendable static func splitTaps(_ graph: inout Graph) {
    var nodes: [Node] = []
    for node in graph.nodes {
      guard case .conv2D(let convolution) = node.op, convolution.isWorthSplitting,
        convolution.inputQuantization == nil, let weight = convolution.weight.tapRows
      else {
        nodes.append(node)
        continue
      }
      let input = graph[node.inputs[0]].shape
      let products = graph.addValue(
        ValueInfo(
          shape: [input[0], input[1], input[2], weight.rows], elementType: .f32,
          name: graph[node.output].name + " (taps)"))
      let sum = SumTaps(
        kernel: convolution.kernelHeight, channels: convolution.weight.rows,
        padding: convolution.padding, bias: convolution.bias)
      nodes.append(
        Node(
          op: .linear(Linear(weights: [weight], biases: [nil])), inputs: [node.inputs[0]],
          output: products))
      nodes.append(Node(op: .sumTaps(sum), inputs: [products], output: node.output))
    }
    graph.nodes = nodes
  }
}

extension Conv2D {
  /// Whether all taps' outputs fit the columns of one register tile, and nothing but a bias follows.
  fileprivate var isWorthSplitting: Bool {
    kernelHeight == kernelWidth && kernelHeight > 1 && stride == 1 && dilation == 1 && groups == 1
      && upsample == 1 && epilogue == Epilogue() && weight.shape[1] >= 16
      && weight.rows * kernelHeight * kernelWidth <= 32
  }
}

extension Weight {
  /// A convolution's weight `[out, in, height, width]` as `[height * width * out, in]`, tap by tap; `nil` for
  /// storage that such a turn does not suit.
  fileprivate var tapRows: Weight? {
    let (outputs, channels) = (shape[0], shape[1])
    let taps = shape[2] * shape[3]
    let turned: Shape = [taps * outputs, channels]
    if case .int4 = storage { return nil }
    let source = floats()
    let values = (0..<turned.count).map { index -> Float in
      let (row, channel) = index.quotientAndRemainder(dividingBy: channels)
      return source[(row % outputs * channels + channel) * taps + row / outputs]
    }
    return Weight(name: name, shape: turned, values: values)
  }
}
