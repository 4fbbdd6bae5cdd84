import PipitTensors

extension Optimizer {
  /// Moves a batch normalization into the convolution before it: its gain into the weight's rows, the
  /// rest into the bias.
  @Sendable static func foldBatchNorm(_ graph: inout Graph) {
    let readers = graph.readerCounts()
    let makers = graph.makers()
    var dead: Set<Int> = []
    for (index, node) in graph.nodes.enumerated() {
      guard case .channelAffine(let norm) = node.op,
        readers[node.inputs[0].index] == 1,
        let maker = makers[node.inputs[0].index],
        case .conv2D(let convolution) = graph.nodes[maker].op,
        convolution.epilogue == Epilogue()
      else { continue }
      graph.nodes[maker].op = .conv2D(fold(norm, into: convolution))
      graph.nodes[maker].output = node.output
      dead.insert(index)
    }
    graph.removeNodes(dead)
  }

  private static func fold(_ norm: ChannelAffine, into convolution: Conv2D) -> Conv2D {
    let (scale, shift) = norm.scaleAndShift()
    var bias = convolution.bias?.floats() ?? [Float](repeating: 0, count: scale.count)
    for row in scale.indices { bias[row] = bias[row] * scale[row] + shift[row] }
    var folded = convolution
    folded.weight = convolution.weight.scalingRows(by: scale)
    folded.bias = Weight(name: norm.bias.name, shape: norm.bias.shape, values: bias)
    return folded
  }
}

extension ChannelAffine {
  /// The normalization as y = x * scale + shift per channel, computed in double precision.
  package func scaleAndShift() -> (scale: [Float], shift: [Float]) {
    let mean = mean.floats()
    let variance = variance.floats()
    let gain = gain.floats()
    let bias = bias.floats()
    var scale: [Float] = []
    var shift: [Float] = []
    for channel in gain.indices {
      let factor =
        Double(gain[channel]) / (Double(variance[channel]) + Double(epsilon)).squareRoot()
      scale.append(Float(factor))
      shift.append(Float(Double(bias[channel]) - Double(mean[channel]) * factor))
    }
    return (scale, shift)
  }
}
