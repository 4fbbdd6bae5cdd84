extension Op {
  /// The operation's name, as printed and traced.
  package var name: String {
    switch self {
    case .linear: "linear"
    case .conv2D(let op): op.groups > 1 ? "conv2d/\(op.groups)" : "conv2d"
    case .attention: "attention"
    case .embedding: "embedding"
    case .positionEmbedding: "position_embedding"
    case .pickRow: "pick_row"
    case .constant: "constant"
    case .timestepEmbedding: "timestep_embedding"
    case .activation(let activation): activation.rawValue
    case .binary(let op): op.operation.rawValue
    case .affine: "affine"
    case .modulate: "modulate"
    case .gateAdd: "gate_add"
    case .gatedGELU: "geglu"
    case .quantize: "quantize"
    case .layerNorm: "layer_norm"
    case .groupNorm: "group_norm"
    case .channelAffine: "channel_affine"
    case .softmax: "softmax"
    case .l2Normalize: "l2_normalize"
    case .meanRows: "mean_rows"
    case .maxPool: "max_pool"
    case .averagePoolGlobal: "average_pool"
    case .upsample2x: "upsample2x"
    case .sumTaps: "sum_taps"
    case .keyBias: "key_bias"
    case .maskWeights: "mask_weights"
    case .reshape: "reshape"
    case .transpose: "transpose"
    case .slice: "slice"
    case .concatenate: "concatenate"
    }
  }

  /// What is fused into the operation, e.g. "+bias +residual +relu".
  package var fusions: String {
    switch self {
    case .linear(let op):
      epilogueText(op.epilogue, bias: op.biases.contains { $0 != nil }, stacked: op.weights.count)
    case .conv2D(let op):
      (op.usesFloats ? " w8" : "") + (op.upsample == 2 ? " +upsample2x" : "")
        + epilogueText(op.epilogue, bias: op.bias != nil, stacked: 1)
    case .groupNorm(let op):
      op.activation.map { " +\($0.rawValue)" } ?? ""
    default:
      ""
    }
  }
}

private func epilogueText(_ epilogue: Epilogue, bias: Bool, stacked: Int) -> String {
  var text = stacked > 1 ? " x\(stacked)" : ""
  if bias { text += " +bias" }
  if epilogue.hasResidual && epilogue.residualFirst { text += " +residual" }
  if let activation = epilogue.activation { text += " +\(activation.rawValue)" }
  if epilogue.hasResidual && !epilogue.residualFirst { text += " +residual" }
  return text
}

extension Graph {
  /// One line a node: `%7 [1, 64, 384] = linear +bias (%6)  encoder.layer.0.output.dense`.
  package var listing: String {
    var lines = inputs.map {
      "%\($0.value.index) \(self[$0.value].shape) = input '\($0.name)' \(self[$0.value].elementType)"
    }
    for node in nodes {
      let inputs = node.inputs.map { "%\($0.index)" }.joined(separator: ", ")
      let info = self[node.output]
      let type = info.elementType == .i8 ? " i8" : ""
      lines.append(
        "%\(node.output.index) \(info.shape)\(type) = \(node.op.name)\(node.op.fusions) (\(inputs))  \(info.name)"
      )
    }
    lines += outputs.map { "output '\($0.name)' = %\($0.value.index)" }
    return lines.joined(separator: "\n")
  }

  /// The graph in Graphviz's language.
  package var graphviz: String {
    var lines = ["digraph pipit {", "  rankdir=TB; node [shape=box, fontname=\"sans-serif\"];"]
    for port in inputs {
      lines.append(
        "  v\(port.value.index) [label=\"\(port.name)\\n\(self[port.value].shape)\", shape=ellipse];"
      )
    }
    for node in nodes {
      let info = self[node.output]
      lines.append(
        "  v\(node.output.index) [label=\"\(node.op.name)\(node.op.fusions)\\n\(info.name)\\n\(info.shape)\"];"
      )
      lines += node.inputs.map { "  v\($0.index) -> v\(node.output.index);" }
    }
    for (index, port) in outputs.enumerated() {
      lines.append("  out\(index) [label=\"\(port.name)\", shape=ellipse];")
      lines.append("  v\(port.value.index) -> out\(index);")
    }
    return (lines + ["}"]).joined(separator: "\n")
  }
}
