package import PipitTensors

/// A value while a graph is being built.
package struct Value: Sendable {
  package let id: ValueID
  package let shape: Shape
}

/// Builds a graph layer by layer, taking weights by name from a source and checking every shape.
///
/// A model's definition reads like its paper: `try g.linear(x, at: scope / "dense", to: 4 * hidden)`.
package final class GraphBuilder {
  package private(set) var graph = Graph()
  private let weights: any WeightSource
  /// Elements of one value: 8 GiB of f32, so that no sum over a graph's values can overflow.
  private static let elementLimit = 1 << 31
  private var used: Set<String> = []

  package init(weights: any WeightSource) { self.weights = weights }

  /// The file or folder of the weights, for messages.
  package var path: String { weights.path }

  // MARK: Inputs, outputs, weights

  /// An input that whoever runs the graph fills in.
  package func input(_ name: String, _ shape: Shape, _ type: ElementType = .f32) -> Value {
    let id = graph.addValue(ValueInfo(shape: shape, elementType: type, name: name))
    graph.inputs.append(Port(name: name, value: id))
    return Value(id: id, shape: shape)
  }

  package func output(_ name: String, _ value: Value) {
    graph.outputs.append(Port(name: name, value: value.id))
  }

  /// Whether the checkpoint has a tensor of that name.
  package func has(_ scope: Scope) throws -> Bool { try weights.weight(named: scope.path) != nil }

  /// The tensor of a scope, which must have the shape.
  package func weight(_ scope: Scope, _ shape: Shape) throws -> Weight {
    let weight = try weight(scope)
    guard weight.shape == shape else {
      throw ModelError.tensorShape(
        name: scope.path, path: weights.path, expected: shape, found: weight.shape)
    }
    return weight
  }

  /// The tensor of a scope, whatever its shape.
  package func weight(_ scope: Scope) throws -> Weight {
    guard let weight = try weights.weight(named: scope.path) else {
      throw ModelError.missingTensor(name: scope.path, path: weights.path)
    }
    guard weight.expandsToFloat else {
      let type = if case .dense(let type) = weight.storage { type } else { ElementType.u8 }
      throw ModelError.tensorElements(name: scope.path, path: weights.path, found: type)
    }
    used.insert(scope.path)
    return weight
  }

  /// Tensors of the checkpoint that no layer has asked for, sorted.
  package var unusedNames: [String] { weights.names.filter { !used.contains($0) }.sorted() }

  // MARK: Products

  /// x W^T + b over the last axis, with `weight` `[columns, depth]` and, unless `bias` is false, `bias`.
  package func linear(_ x: Value, at scope: Scope, to columns: Int, bias: Bool = true) throws
    -> Value
  {
    let weight = try weight(scope / "weight", [columns, x.shape.columns])
    let bias = bias ? try self.weight(scope / "bias", [columns]) : nil
    return try add(.linear(Linear(weights: [weight], biases: [bias])), [x], scope.path)
  }

  /// A square convolution with `weight` `[channels, in / groups, kernel, kernel]` and, unless `bias` is false, `bias`.
  package func conv2D(
    _ x: Value, at scope: Scope, to channels: Int, kernel: Int, stride: Int = 1,
    padding: Conv2D.Padding? = nil, dilation: Int = 1, groups: Int = 1, bias: Bool = true
  ) throws -> Value {
    let shape: Shape = [channels, x.shape.columns / groups, kernel, kernel]
    let weight = try weight(scope / "weight", shape)
    let bias = bias ? try self.weight(scope / "bias", [channels]) : nil
    let op = Conv2D(
      weight: weight, bias: bias, stride: stride,
      padding: padding ?? Conv2D.Padding(kernel / 2 * dilation), dilation: dilation,
      groups: groups)
    return try add(.conv2D(op), [x], scope.path)
  }

  /// Multi-head attention over `[batch, tokens, heads * headDimension]`; `scale` is
  /// 1 / sqrt(headDimension) unless given. Biases as `Attention` has them.
  package func attention(
    q: Value, k: Value, v: Value, heads: Int, keyBias: Value? = nil, relativeBias: Value? = nil,
    causal: Bool = false, scale: Float? = nil, at scope: Scope
  ) throws -> Value {
    let headDimension = q.shape.columns / heads
    let op = Attention(
      heads: heads, headDimension: headDimension,
      scale: scale ?? 1 / Float(headDimension).squareRoot(), causal: causal,
      hasKeyBias: keyBias != nil, hasRelativeBias: relativeBias != nil)
    let biases = [keyBias, relativeBias].compactMap { $0 }
    return try add(.attention(op), [q, k, v] + biases, scope.path)
  }

  // MARK: Look-ups

  /// Rows of `weight` `[count, width]` chosen by i32 ids.
  package func embedding(_ ids: Value, at scope: Scope, count: Int, width: Int) throws -> Value {
    let table = try weight(scope / "weight", [count, width])
    return try add(.embedding(Embedding(table: table)), [ids], scope.path)
  }

  /// A tensor of the checkpoint as a value.
  package func constant(_ scope: Scope, _ shape: Shape) throws -> Value {
    try add(.constant(try weight(scope, shape)), [], scope.path)
  }

  /// Numbers that the definition computes itself, such as a fixed position embedding.
  package func constant(_ name: String, _ shape: Shape, _ values: [Float]) throws -> Value {
    try add(.constant(Weight(name: name, shape: shape, values: values)), [], name)
  }

  // MARK: Normalization

  /// Layer norm with `weight` and `bias`, or without either where `affine` is false.
  package func layerNorm(
    _ x: Value, at scope: Scope, epsilon: Float, affine: Bool = true
  ) throws -> Value {
    let width: Shape = [x.shape.columns]
    // Checkpoints that come from TensorFlow, such as the first BERT's, have its names.
    let isOld = try affine && has(scope / "gamma")
    let gain = affine ? try weight(scope / (isOld ? "gamma" : "weight"), width) : nil
    let bias = affine ? try weight(scope / (isOld ? "beta" : "bias"), width) : nil
    return try add(.layerNorm(LayerNorm(gain: gain, bias: bias, epsilon: epsilon)), [x], scope.path)
  }

  package func groupNorm(
    _ x: Value, at scope: Scope, groups: Int, epsilon: Float
  ) throws -> Value {
    let width: Shape = [x.shape.columns]
    let op = GroupNorm(
      groups: groups, gain: try weight(scope / "weight", width),
      bias: try weight(scope / "bias", width), epsilon: epsilon)
    return try add(.groupNorm(op), [x], scope.path)
  }

  /// Batch normalization with the running statistics of the checkpoint.
  package func batchNorm(_ x: Value, at scope: Scope, epsilon: Float) throws -> Value {
    let width: Shape = [x.shape.columns]
    let op = ChannelAffine(
      mean: try weight(scope / "running_mean", width),
      variance: try weight(scope / "running_var", width),
      gain: try weight(scope / "weight", width), bias: try weight(scope / "bias", width),
      epsilon: epsilon)
    return try add(.channelAffine(op), [x], scope.path)
  }

  // MARK: Elementwise and layout

  package func activation(_ activation: Activation, _ x: Value) throws -> Value {
    try add(.activation(activation), [x], activation.rawValue)
  }

  package func add(_ a: Value, _ b: Value) throws -> Value {
    try add(.binary(Binary(.add)), [a, b], "add")
  }

  package func reshape(_ x: Value, to shape: Shape) throws -> Value {
    try add(.reshape(Reshape(to: shape)), [x], "reshape")
  }

  package func transpose(_ x: Value, _ axes: [Int]) throws -> Value {
    try add(.transpose(Transpose(axes: axes)), [x], "transpose")
  }

  package func slice(_ x: Value, axis: Int, _ range: Range<Int>) throws -> Value {
    try add(.slice(Slice(axis: axis, range: range)), [x], "slice")
  }

  package func concatenate(_ values: [Value], axis: Int) throws -> Value {
    try add(.concatenate(Concatenate(axis: axis)), values, "concatenate")
  }

  /// Appends any operation; `name` is for people.
  package func add(_ op: Op, _ inputs: [Value], _ name: String) throws -> Value {
    let shape: Shape
    do {
      shape = try op.outputShape(inputs.map(\.shape))
    } catch {
      throw ModelError.shape(layer: name, reason: error)
    }
    guard shape.count <= GraphBuilder.elementLimit else {
      throw ModelError.shape(layer: name, reason: .invalid("\(shape) is too large a value"))
    }
    let id = graph.addValue(ValueInfo(shape: shape, elementType: .f32, name: name))
    graph.nodes.append(Node(op: op, inputs: inputs.map(\.id), output: id))
    return Value(id: id, shape: shape)
  }
}
