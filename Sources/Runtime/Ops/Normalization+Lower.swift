import PipitGraph
import PipitKernels
import PipitTensors

extension Lowering {
  func layerNorm(_ op: LayerNorm, _ node: Node) -> Step {
    let gain = Parameter(op.gain)
    let bias = Parameter(op.bias)
    if let store = integerStore(node) {
      let x = source(node.inputs[0])
      return quantizing(store) { [kernels] y, rows in
        kernels.layerNorm(
          y, x + rows.lowerBound * store.columns, gain: gain?.pointer, bias: bias?.pointer,
          rows: rows.count, columns: store.columns, epsilon: op.epsilon)
      }
    }
    return rowStep(node) { [kernels] y, x, rows, columns in
      kernels.layerNorm(
        y, x, gain: gain?.pointer, bias: bias?.pointer, rows: rows, columns: columns,
        epsilon: op.epsilon)
    }
  }

  func softmax(_ node: Node) -> Step {
    rowStep(node) { [kernels] y, x, rows, columns in
      kernels.softmax(y, x, rows: rows, columns: columns)
    }
  }

  func l2Normalize(_ op: L2Normalize, _ node: Node) -> Step {
    rowStep(node) { [kernels] y, x, rows, columns in
      kernels.l2Normalize(y, x, rows: rows, columns: columns, epsilon: op.epsilon)
    }
  }

  /// A step over whole rows of a value that has its input's shape.
  private func rowStep(
    _ node: Node,
    _ body: @escaping (UnsafeMutablePointer<Float>, UnsafePointer<Float>, Int, Int) -> Void
  ) -> Step {
    let (x, y) = (source(node.inputs[0]), target(node.output))
    let extents = shape(node.output)
    let columns = extents.columns
    return RangeStep(Split(extents.rows, tiles: tiles(operations: extents.count))) { rows in
      let first = rows.lowerBound * columns
      body(y + first, x + first, rows.count, columns)
    }
  }

  func channelAffine(_ op: ChannelAffine, _ node: Node) -> Step {
    let (scale, shift) = op.scaleAndShift()
    let parameters = (scale: Parameter(scale), shift: Parameter(shift))
    return rowStep(node) { [kernels] y, x, rows, columns in
      kernels.scaleShift(
        y, x, scale: parameters.scale.pointer, shift: parameters.shift.pointer, pixels: rows,
        channels: columns, .none)
    }
  }

  func groupNorm(_ op: GroupNorm, _ node: Node) -> [Step] {
    let store = integerStore(node)
    let work = GroupNormWork(
      op: op, x: source(node.inputs[0]), y: store == nil ? target(node.output) : nil,
      shape: shape(node.output), kernels: kernels)
    let extents = shape(node.output)
    let sums = RangeStep(Split(work.stripeCount, tiles: tiles(operations: extents.count / 4))) {
      for stripe in $0 { work.sum(stripe) }
    }
    let fold = RangeStep(Split(extents[0], tiles: 1)) {
      for image in $0 { work.fold(image) }
    }
    if let store {
      let apply = quantizing(store) { y, pixels in work.apply(pixels, to: y) }
      return [sums, fold, apply]
    }
    let apply = RangeStep(Split(work.stripeCount, tiles: tiles(operations: extents.count / 4))) {
      for stripe in $0 { work.apply(stripe) }
    }
    return [sums, fold, apply]
  }
}

/// A group norm in three phases: sums of each stripe of pixels, scale and shift of each channel from
/// them, and their application. Stripes have a fixed size, so the sums do not depend on threads.
private final class GroupNormWork {
  private static let stripePixels = 512

  private let op: GroupNorm
  private let kernels: KernelTable
  private let x: UnsafePointer<Float>
  private let y: UnsafeMutablePointer<Float>?
  private let pixels: Int
  private let channels: Int
  private let stripesPerImage: Int
  private let gain: [Float]
  private let bias: [Float]
  private let sums: UnsafeMutablePointer<Double>  // [stripes, 2, channels]
  private let scaleShift: UnsafeMutablePointer<Float>  // [images, 2, channels]
  let stripeCount: Int

  init(
    op: GroupNorm, x: UnsafePointer<Float>, y: UnsafeMutablePointer<Float>?, shape: Shape,
    kernels: KernelTable
  ) {
    self.op = op
    self.kernels = kernels
    self.x = x
    self.y = y
    pixels = shape[1] * shape[2]
    channels = shape[3]
    stripesPerImage = (pixels + GroupNormWork.stripePixels - 1) / GroupNormWork.stripePixels
    stripeCount = stripesPerImage * shape[0]
    gain = op.gain.floats()
    bias = op.bias.floats()
    sums = .allocate(capacity: stripeCount * 2 * channels)
    scaleShift = .allocate(capacity: shape[0] * 2 * channels)
  }

  deinit {
    sums.deallocate()
    scaleShift.deallocate()
  }

  private func pixelRange(_ stripe: Int) -> (image: Int, pixels: Range<Int>) {
    let first = stripe % stripesPerImage * GroupNormWork.stripePixels
    return (
      stripe / stripesPerImage, first..<min(pixels, first + GroupNormWork.stripePixels)
    )
  }

  func sum(_ stripe: Int) {
    let (image, range) = pixelRange(stripe)
    let start = x + image * pixels * channels
    let target = sums + stripe * 2 * channels
    kernels.groupNormSums(
      target, target + channels, start + range.lowerBound * channels, pivot: start,
      pixels: range.count, channels: channels)
  }

  func fold(_ image: Int) {
    let pivot = x + image * pixels * channels
    let groupChannels = channels / op.groups
    let count = Double(pixels * groupChannels)
    for group in 0..<op.groups {
      let range = group * groupChannels..<(group + 1) * groupChannels
      // Each channel's sums are about its own pivot: bring them to one mean, then to one variance.
      var total = 0.0
      for channel in range {
        total += stripeSum(image, channel, 0) + Double(pixels) * Double(pivot[channel])
      }
      let mean = total / count
      var squares = 0.0
      for channel in range {
        let offset = Double(pivot[channel]) - mean
        squares +=
          stripeSum(image, channel, 1) + 2 * offset * stripeSum(image, channel, 0)
          + Double(pixels) * offset * offset
      }
      let factor = 1 / (max(squares / count, 0) + Double(op.epsilon)).squareRoot()
      let target = scaleShift + image * 2 * channels
      for channel in range {
        let scale = Double(gain[channel]) * factor
        target[channel] = Float(scale)
        target[channels + channel] = Float(Double(bias[channel]) - mean * scale)
      }
    }
  }

  /// A channel's sum (`moment` 0) or sum of squares (1) over an image, stripe by stripe in order.
  private func stripeSum(_ image: Int, _ channel: Int, _ moment: Int) -> Double {
    var sum = 0.0
    for stripe in image * stripesPerImage..<(image + 1) * stripesPerImage {
      sum += sums[(stripe * 2 + moment) * channels + channel]
    }
    return sum
  }

  func apply(_ stripe: Int) {
    let (image, range) = pixelRange(stripe)
    guard let y else { preconditionFailure("a group norm without a place for its result") }
    apply(image, range, to: y + (image * pixels + range.lowerBound) * channels)
  }

  /// Of a run of pixels over all images, to a place of its own.
  func apply(_ run: Range<Int>, to y: UnsafeMutablePointer<Float>) {
    var first = run.lowerBound
    while first < run.upperBound {
      let image = first / pixels
      let range = first - image * pixels..<min(pixels, run.upperBound - image * pixels)
      apply(image, range, to: y + (first - run.lowerBound) * channels)
      first += range.count
    }
  }

  private func apply(_ image: Int, _ range: Range<Int>, to y: UnsafeMutablePointer<Float>) {
    let scale = scaleShift + image * 2 * channels
    kernels.scaleShift(
      y, x + (image * pixels + range.lowerBound) * channels, scale: scale, shift: scale + channels,
      pixels: range.count, channels: channels, op.activation?.kernel ?? .none)
  }
}
