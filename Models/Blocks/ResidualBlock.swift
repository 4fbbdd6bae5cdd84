package import PipitGraph
import PipitTensors

/// The residual block of diffusion models (Ho et al. 2020), as `ResnetBlock2D` in diffusers.
///
///     y = shortcut(x) + conv2(act(norm2(conv1(act(norm1(x))) + time)))
package struct ResidualBlock: Hashable, Sendable {
  package let groups: Int
  package let epsilon: Float
  package let activation: Activation

  /// x `[batch, height, width, channels]` to `[batch, height, width, channels out]`.
  ///
  /// `time` is the activated embedding of the time step, `[1, 1, 1, n]` or `[batch, 1, 1, n]`; `nil`
  /// where the block has none.
  func build(
    _ g: GraphBuilder, _ x: Value, time: Value? = nil, to width: Int, at scope: Scope
  ) throws -> Value {
    // The shortcut first: nothing reads x after the norm then, which can take its memory.
    let skip =
      x.shape.columns == width ? x : try g.pointwise(x, at: scope / "conv_shortcut", to: width)
    var y = try norm(g, x, at: scope / "norm1")
    y = try g.conv2D(y, at: scope / "conv1", to: width, kernel: 3)
    if let time {
      y = try g.add(y, try g.linear(time, at: scope / "time_emb_proj", to: width))
    }
    y = try g.conv2D(try norm(g, y, at: scope / "norm2"), at: scope / "conv2", to: width, kernel: 3)
    return try g.add(y, skip)
  }

  /// Group norm and activation.
  func norm(_ g: GraphBuilder, _ x: Value, at scope: Scope) throws -> Value {
    try g.activation(
      activation, try g.groupNorm(x, at: scope, groups: groups, epsilon: epsilon))
  }

  /// The step to the next smaller level: a 3x3 convolution of stride 2. `padding` 0 means one row
  /// and one column of zeros behind the picture only, as the reference has it.
  func downsample(
    _ g: GraphBuilder, _ x: Value, padding: Int, at scope: Scope
  ) throws -> Value {
    let behind = Conv2D.Padding(top: 0, left: 0, bottom: 1, right: 1)
    return try g.conv2D(
      x, at: scope / "downsamplers.0.conv", to: x.shape.columns, kernel: 3, stride: 2,
      padding: padding == 0 ? behind : Conv2D.Padding(padding))
  }

  /// The step to the next larger level: nearest neighbours, cut to `size` where the level's side is
  /// odd, and a 3x3 convolution.
  func upsample(
    _ g: GraphBuilder, _ x: Value, size: (height: Int, width: Int)? = nil, at scope: Scope
  ) throws -> Value {
    var y = try g.add(.upsample2x, [x], "upsample")
    if let size {
      // Without zeros in front, the way down rounds odd sides down: doubling does not lead back.
      guard size.height <= y.shape[1], size.width <= y.shape[2] else {
        throw ModelError.unsupported(
          setting: "downsample_padding", value: "0",
          expected: "1 for a level of \(size.width)x\(size.height)")
      }
      if size.height < y.shape[1] { y = try g.slice(y, axis: 1, 0..<size.height) }
      if size.width < y.shape[2] { y = try g.slice(y, axis: 2, 0..<size.width) }
    }
    return try g.conv2D(y, at: scope / "upsamplers.0.conv", to: x.shape.columns, kernel: 3)
  }
}

extension GraphBuilder {
  /// A 1x1 convolution, computed as the linear layer that it is: `weight` `[columns, depth]` or
  /// `[columns, depth, 1, 1]`, over the last axis of `[.., depth]`.
  package func pointwise(
    _ x: Value, at scope: Scope, to columns: Int, bias: Bool = true
  ) throws -> Value {
    let shape: Shape = [columns, x.shape.columns]
    let stored = try weight(scope / "weight")
    guard stored.shape == shape || stored.shape.extents == shape.extents + [1, 1] else {
      throw ModelError.tensorShape(
        name: stored.name, path: path, expected: Shape(shape.extents + [1, 1]),
        found: stored.shape)
    }
    let bias = bias ? try weight(scope / "bias", [columns]) : nil
    let op = Linear(weights: [stored.reshaped(to: shape)], biases: [bias])
    return try add(.linear(op), [x], scope.path)
  }

  /// x * scale + shift, with two numbers.
  package func affine(_ x: Value, scale: Float, shift: Float) throws -> Value {
    try add(.affine(Affine(scale: scale, shift: shift)), [x], "affine")
  }
}
