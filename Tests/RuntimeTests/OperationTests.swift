import PipitGraph
import PipitKernels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

/// One graph of each operation, at sizes that fit no vector.
enum OperationCase: String, CaseIterable, Sendable {
  case linear, linearStacked, linearFused, linearResidualFirst, linearsMerged
  case convolution, convolutionStrided, convolutionGrouped, convolutionDepthwise
  case convolutionUpsampled, convolutionDilated, convolutionFused, convolutionWinograd
  case attention, attentionMasked, attentionCausal, attentionMerged, attentionRelative
  case embedding, positionEmbedding, pickFirst, pickLargest, pickNone, timesteps, activations,
    binaries, broadcasts, rowsOfPictures, affine, modulate, gateAdd, geglu
  case layerNorm, groupNorm, channelAffine, softmax, l2Normalize
  case meanRows, meanRowsWeighted, maxPool, averagePool, upsample, sumTaps
  case transposeMatrix, transposePixels, slice, concatenate, constant

  func graph() throws -> Graph {
    let g = GraphBuilder(weights: RandomWeights())
    let tokens = g.input("tokens", [2, 7, 24])
    let image = g.input("image", [2, 5, 6, 12])
    g.output("y", try value(g, tokens, image))
    return g.graph
  }

  private func value(_ g: GraphBuilder, _ tokens: Value, _ image: Value) throws -> Value {
    switch self {
    case .linear, .linearStacked, .linearFused, .linearResidualFirst:
      return try linear(g, tokens)
    case .convolution, .convolutionStrided, .convolutionGrouped, .convolutionDepthwise,
      .convolutionUpsampled, .convolutionDilated, .convolutionFused:
      return try convolution(g, image)
    case .convolutionWinograd:
      // Deep and large enough for the fast convolution.
      let op = Conv2D(
        weight: RandomWeights.make("w", [16, 16, 3, 3]), bias: RandomWeights.make("b", [16]),
        padding: Conv2D.Padding(1))
      return try g.add(.conv2D(op), [g.input("large", [1, 14, 17, 16])], "c")
    case .attention, .attentionMasked, .attentionCausal, .attentionMerged, .attentionRelative:
      return try attention(g, tokens)
    case .embedding:
      let ids = g.input("ids", [2, 3], .i32)
      return try g.add(
        .embedding(Embedding(table: RandomWeights.make("table", [6, 10]))), [ids], "e")
    case .positionEmbedding:
      let table = RandomWeights.make("table", [11, 10])
      return try g.add(
        .positionEmbedding(PositionEmbedding(table: table, paddingID: 1)),
        [g.input("ids", [3, 9], .i32)], "p")
    case .pickFirst, .pickLargest, .pickNone:
      let rule: PickRow.Rule =
        self == .pickLargest ? .largest : .first(of: self == .pickFirst ? 3 : 99)
      return try g.add(.pickRow(PickRow(rule)), [tokens, g.input("ids", [2, 7], .i32)], "r")
    case .timesteps:
      return try g.add(
        .timestepEmbedding(TimestepEmbedding(width: 10, cosineFirst: true, frequencyShift: 0)),
        [g.input("t", [3])], "t")
    case .modulate:
      let parts = g.input("parts", [2, 60])
      return try g.add(
        .modulate(Modulate(scaleOffset: 30, shiftOffset: 3)), [tokens, parts, parts], "m")
    case .linearsMerged:
      let row = g.input("row", [2, 1, 24])
      return try g.concatenate(
        try [9, 24, 5, 17].map { columns in
          let op = Linear(
            weights: [RandomWeights.make("w\(columns)", [columns, 24])],
            biases: [columns == 5 ? nil : RandomWeights.make("b\(columns)", [columns])])
          return try g.add(.linear(op), [row], "l\(columns)")
        }, axis: 2)
    case .gateAdd:
      let other = try g.add(.affine(Affine(scale: 2, shift: 1)), [tokens], "other")
      return try g.add(
        .gateAdd(GateAdd(gateOffset: 5)), [tokens, g.input("gate", [2, 40]), other], "g")
    case .channelAffine:
      let op = ChannelAffine(
        mean: RandomWeights.make("mean", [12]), variance: RandomWeights.positive("var", 12),
        gain: RandomWeights.positive("gain", 12), bias: RandomWeights.make("bias", [12]),
        epsilon: 1e-5)
      return try g.add(.channelAffine(op), [image], "bn")
    case .groupNorm:
      var op = GroupNorm(
        groups: 3, gain: RandomWeights.positive("gain", 12), bias: RandomWeights.make("b", [12]),
        epsilon: 1e-5)
      op.activation = .silu
      return try g.add(.groupNorm(op), [image], "gn")
    case .meanRowsWeighted:
      let weights = try g.add(.maskWeights, [g.input("mask", [2, 7], .i32)], "w")
      return try g.add(.meanRows(MeanRows(hasWeights: true)), [tokens, weights], "mean")
    default:
      return try simple(g, tokens, image)
    }
  }

  private func simple(_ g: GraphBuilder, _ tokens: Value, _ image: Value) throws -> Value {
    switch self {
    case .activations:
      return try g.concatenate(
        try Activation.allCases.map { try g.activation($0, tokens) }, axis: 2)
    case .binaries:
      let other = try g.add(.affine(Affine(scale: 0.5, shift: 2)), [tokens], "o")
      return try g.concatenate(
        try Binary.Operation.allCases.map { try g.add(.binary(Binary($0)), [tokens, other], "b") },
        axis: 0)
    case .broadcasts:
      let row = try g.constant("row", [24], randoms(24, seed: 3))
      let number = try g.constant("number", [1], [0.75])
      let sum = try g.add(try g.add(tokens, row), number)
      return try g.add(.binary(Binary(.multiply)), [sum, g.input("table", [1, 7, 24])], "t")
    case .rowsOfPictures:
      let rows = g.input("rows", [2, 1, 1, 12])
      let columns = g.input("columns", [2, 5, 1, 1])
      return try g.add(.binary(Binary(.subtract)), [try g.add(image, rows), columns], "b")
    case .affine: return try g.add(.affine(Affine(scale: -3, shift: 0.5)), [tokens], "a")
    case .geglu: return try g.add(.gatedGELU, [tokens], "g")
    case .layerNorm:
      let op = LayerNorm(
        gain: RandomWeights.positive("gain", 24), bias: RandomWeights.make("b", [24]), epsilon: 1e-5
      )
      return try g.add(.layerNorm(op), [tokens], "ln")
    case .softmax: return try g.add(.softmax, [tokens], "s")
    case .l2Normalize: return try g.add(.l2Normalize(L2Normalize(epsilon: 1e-12)), [tokens], "l2")
    case .meanRows: return try g.add(.meanRows(MeanRows(hasWeights: false)), [tokens], "mean")
    case .maxPool: return try g.add(.maxPool(Pool(window: 3, stride: 2, padding: 1)), [image], "p")
    case .averagePool: return try g.add(.averagePoolGlobal, [image], "p")
    case .sumTaps:
      let padding = Conv2D.Padding(top: 1, left: 0, bottom: 2, right: 1)
      return try g.add(
        .sumTaps(
          SumTaps(kernel: 2, channels: 3, padding: padding, bias: RandomWeights.make("b", [3]))),
        [image], "s")
    case .upsample: return try g.add(.upsample2x, [image], "u")
    case .transposeMatrix: return try g.transpose(image, [0, 3, 1, 2])
    case .transposePixels:
      let split = try g.reshape(image, to: [2, 5, 6, 3, 2, 2])
      return try g.transpose(split, [0, 3, 1, 4, 2, 5])
    case .slice: return try g.slice(image, axis: 2, 1..<4)
    case .concatenate:
      return try g.concatenate([image, try g.slice(image, axis: 1, 2..<5)], axis: 1)
    default:
      return try g.add(tokens, try g.constant("c", [7, 24], randoms(168, seed: 9)))
    }
  }

  private func linear(_ g: GraphBuilder, _ x: Value) throws -> Value {
    var op = Linear(
      weights: [RandomWeights.make("w1", [17, 24])], biases: [RandomWeights.make("b1", [17])])
    if self == .linearStacked {
      op.weights.append(RandomWeights.make("w2", [35, 24]))
      op.biases.append(nil)
    }
    guard self == .linearFused || self == .linearResidualFirst else {
      return try g.add(.linear(op), [x], "l")
    }
    op.epilogue.activation = .gelu
    op.epilogue.hasResidual = true
    op.epilogue.residualFirst = self == .linearResidualFirst
    return try g.add(.linear(op), [x, g.input("residual", [2, 7, 17])], "l")
  }

  private func convolution(_ g: GraphBuilder, _ x: Value) throws -> Value {
    let groups = self == .convolutionGrouped ? 3 : self == .convolutionDepthwise ? 12 : 1
    let out = self == .convolutionDepthwise ? 12 : 15
    var op = Conv2D(
      weight: RandomWeights.make("w", [out, 12 / groups, 3, 3]),
      bias: RandomWeights.make("b", [out]), stride: self == .convolutionStrided ? 2 : 1,
      padding: Conv2D.Padding(
        top: 1, left: 1, bottom: 1, right: self == .convolutionStrided ? 0 : 1),
      dilation: self == .convolutionDilated ? 2 : 1, groups: groups)
    if self == .convolutionUpsampled { op.upsample = 2 }
    guard self == .convolutionFused else { return try g.add(.conv2D(op), [x], "c") }
    op.epilogue.activation = .relu
    op.epilogue.hasResidual = true
    op.epilogue.residualFirst = true
    return try g.add(.conv2D(op), [x, g.input("residual", [2, 5, 6, 15])], "c")
  }

  private func attention(_ g: GraphBuilder, _ x: Value) throws -> Value {
    let scope = Scope("attention")
    if self == .attentionMerged {
      var op = Attention(heads: 2, headDimension: 8, scale: 0.3, hasKeyBias: false)
      (op.queryOffset, op.keyOffset, op.valueOffset) = (8, 4, 0)
      return try g.add(.attention(op), [x, x, x], scope.path)
    }
    let keys = g.input("keys", [2, self == .attentionCausal ? 7 : 70, 24])
    let mask =
      self == .attentionMasked || self == .attentionRelative
      ? try g.add(.keyBias, [g.input("mask", [2, 70], .i32)], "mask") : nil
    let distances =
      self == .attentionRelative ? g.input("bias", [3, x.shape[1] + 69]) : nil
    return try g.attention(
      q: x, k: keys, v: keys, heads: 3, keyBias: mask, relativeBias: distances,
      causal: self == .attentionCausal, at: scope)
  }
}

@Suite struct OperationTests {
  @Test(arguments: OperationCase.allCases)
  func equalsTheReference(operation: OperationCase) throws {
    let graph = try operation.graph()
    try graph.verify()
    let inputs = randomInputs(graph, seed: 11)
    var reference = ReferenceEvaluator(graph, inputs: inputs)
    let expected = try #require(reference.run()["y"])
    let optimized = Optimizer.optimize(graph)
    try optimized.verify()
    for kernels in KernelTable.available {
      let plain = try #require(try run(graph, inputs, kernels: kernels)["y"])
      #expect(maxError(plain, expected) <= 1e-4, "\(operation) on \(kernels.name)")
      let fused = try #require(try run(optimized, inputs, kernels: kernels, threads: 2)["y"])
      #expect(maxError(fused, expected) <= 1e-4, "\(operation) optimized on \(kernels.name)")
    }
  }
}
