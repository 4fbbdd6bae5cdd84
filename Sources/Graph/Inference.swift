package import PipitTensors

extension Op {
  /// The shape of the output for inputs of given shapes.
  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    switch self {
    case .linear(let op): try op.outputShape(inputs)
    case .conv2D(let op): try op.outputShape(inputs)
    case .attention(let op): try op.outputShape(inputs)
    case .embedding(let op): try op.outputShape(inputs)
    case .positionEmbedding(let op): try op.outputShape(inputs)
    case .pickRow(let op): try op.outputShape(inputs)
    case .constant(let weight): try constantShape(weight, inputs)
    case .timestepEmbedding(let op): try op.outputShape(inputs)
    case .binary(let op): try op.outputShape(inputs)
    case .modulate(let op): try op.outputShape(inputs)
    case .gateAdd(let op): try op.outputShape(inputs)
    case .gatedGELU: try gatedShape(inputs)
    case .layerNorm(let op): try op.outputShape(inputs)
    case .groupNorm(let op): try op.outputShape(inputs)
    case .channelAffine(let op): try op.outputShape(inputs)
    case .meanRows(let op): try op.outputShape(inputs)
    case .maxPool(let op): try op.outputShape(inputs)
    case .averagePoolGlobal: try poolShape(inputs)
    case .upsample2x: try upsampledShape(inputs)
    case .sumTaps(let op): try op.outputShape(inputs)
    case .reshape(let op): try op.outputShape(inputs)
    case .transpose(let op): try op.outputShape(inputs)
    case .slice(let op): try op.outputShape(inputs)
    case .concatenate(let op): try op.outputShape(inputs)
    case .activation, .affine, .softmax, .l2Normalize, .keyBias, .maskWeights:
      try sameShape(inputs)
    case .quantize(let op): try op.outputShape(inputs)
    }
  }

  /// Whether inputs may be quantized: the left operand and the residual of an integer product, what is moved as
  /// it is.
  package var readsIntegers: Bool {
    switch self {
    case .linear, .conv2D, .maxPool: true
    case .reshape, .slice, .concatenate: true
    default: false
    }
  }

  /// Whether the output may be quantized.
  package var writesIntegers: Bool {
    switch self {
    case .linear, .conv2D, .layerNorm, .groupNorm, .activation, .gatedGELU: true
    case .maxPool, .quantize, .reshape, .slice, .concatenate: true
    default: false
    }
  }

  /// Whether numbers are moved as they are stored.
  package var keepsNumbers: Bool {
    switch self {
    case .reshape, .slice, .concatenate: true
    default: false
    }
  }

  /// The element type that input `index` must have unless it is quantized: ids and masks are i32, all else f32.
  package func inputElementType(_ index: Int) -> ElementType {
    switch self {
    case .embedding, .positionEmbedding, .keyBias, .maskWeights: .i32
    case .pickRow: index == 1 ? .i32 : .f32
    default: .f32
    }
  }
}

private func sameShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
  guard inputs.count == 1 else { throw .inputCount(expected: 1...1, found: inputs.count) }
  return inputs[0]
}

private func constantShape(_ weight: Weight, _ inputs: [Shape]) throws(ShapeError) -> Shape {
  guard inputs.isEmpty else { throw .inputCount(expected: 0...0, found: inputs.count) }
  return weight.shape
}

/// `[.., 2 n]` becomes `[.., n]`.
private func gatedShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
  let shape = try sameShape(inputs)
  guard shape.rank >= 1, shape.columns % 2 == 0 else {
    throw .invalid("\(shape) cannot be split in two along its last axis")
  }
  return Shape(shape.extents.dropLast() + [shape.columns / 2])
}

/// `[batch, height, width, channels]` becomes `[batch, channels]`.
private func poolShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
  let shape = try sameShape(inputs)
  guard shape.rank == 4 else { throw .rank(input: 0, expected: 4...4, found: shape.rank) }
  return [shape[0], shape[3]]
}

/// `[batch, height, width, channels]` becomes `[batch, 2 height, 2 width, channels]`.
private func upsampledShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
  let shape = try sameShape(inputs)
  guard shape.rank == 4 else { throw .rank(input: 0, expected: 4...4, found: shape.rank) }
  return [shape[0], 2 * shape[1], 2 * shape[2], shape[3]]
}
