import CKernels
import TestSupport
import Testing

private let poolings: [ConvolutionCase] =
  [1, 3, 7, 8, 9, 16, 17, 33, 64].map { ConvolutionCase(6, 9, from: $0, to: $0) } + [
    .with(9, 11, from: 20, to: 20) { ($0.strideHeight, $0.strideWidth, $0.batch) = (2, 2, 3) },
    .with(8, 5, from: 5, to: 5) { ($0.kernelHeight, $0.kernelWidth, $0.otherChannels) = (2, 3, 4) },
    .with(7, 8, from: 18, to: 18) { ($0.padTop, $0.padLeft) = (0, 2) },
    .with(1, 1, from: 4, to: 4) { _ in },
  ]

/// The highest number of each window, with what lies between the pixels.
private func highest<T: Comparable>(
  _ pooling: ConvolutionCase, of input: [T], outside: T, between: T
) -> [T] {
  let channels = pooling.inputChannels
  let count = (pooling.pixelCount - 1) * pooling.yPixelStride + channels
  var result = [T](repeating: between, count: count)
  for pixel in 0..<pooling.pixelCount {
    for channel in 0..<channels {
      let window: [T] = (0..<pooling.taps).compactMap { tap in
        pooling.inputIndex(
          pixel: pixel, kernelRow: tap / pooling.kernelWidth,
          kernelColumn: tap % pooling.kernelWidth
        ).map { input[$0 + channel] }
      }
      result[pixel * pooling.yPixelStride + channel] = window.max() ?? outside
    }
  }
  return result
}

@Suite struct LayoutTests {
  @Test(arguments: Level.running, poolings.indices)
  func maxPool(level: Level, index: Int) {
    let pooling = poolings[index]
    // All below zero: padding that counted as zero would win.
    let x = GuardedBuffer(pooling.x.map { $0 - 2 })
    let channels = pooling.inputChannels
    let y = GuardedBuffer(
      count: (pooling.pixelCount - 1) * pooling.yPixelStride + channels, filledWith: 7)
    var arguments = pooling.geometry
    arguments.x = UnsafePointer(x.start)
    arguments.y = y.start
    let rows = pooling.batch * pooling.outputHeight
    for row in stride(from: 0, to: rows, by: 2) {
      level.table.pointee.max_pool_f32(&arguments, row, min(row + 2, rows))
    }
    let expected = highest(pooling, of: x.values, outside: -.infinity, between: 7)
    #expect(bits(y.values) == bits(expected))
  }

  @Test(arguments: Level.running, poolings.indices)
  func maxPoolOfIntegers(level: Level, index: Int) {
    let pooling = poolings[index]
    let input = randomIntegers(pooling.x.count, seed: 3)
    let x = GuardedBytes(input)
    let channels = pooling.inputChannels
    let count = (pooling.pixelCount - 1) * pooling.yPixelStride + channels
    let y = GuardedBytes(count: count, filledWith: 7)
    let g = pooling.geometry
    var arguments = conv2d_i8_args()
    arguments.x = UnsafePointer(x.start)
    arguments.epilogue.integers = y.start
    (arguments.x_pixel_stride, arguments.y_pixel_stride) = (g.x_pixel_stride, g.y_pixel_stride)
    (arguments.input_height, arguments.input_width) = (g.input_height, g.input_width)
    (arguments.output_height, arguments.output_width) = (g.output_height, g.output_width)
    (arguments.kernel_height, arguments.kernel_width) = (g.kernel_height, g.kernel_width)
    (arguments.stride_height, arguments.stride_width) = (g.stride_height, g.stride_width)
    (arguments.pad_top, arguments.pad_left, arguments.batch) = (g.pad_top, g.pad_left, g.batch)
    (arguments.input_channels, arguments.output_channels) = (channels, channels)
    let rows = pooling.batch * pooling.outputHeight
    for row in stride(from: 0, to: rows, by: 2) {
      level.table.pointee.max_pool_i8(&arguments, row, min(row + 2, rows))
    }
    #expect(y.values == highest(pooling, of: input, outside: -128, between: 7))
  }

  @Test(arguments: Level.running, [1, 3, 8, 17])
  func upsampling(level: Level, channels: Int) {
    let (height, width) = (3, 5)
    let x = randoms(height * width * channels, seed: 1)
    let y = output(of: x, count: 4 * x.count) {
      level.table.pointee.upsample2x_f32($0, $1, width, channels, 0, 1)
      level.table.pointee.upsample2x_f32($0, $1, width, channels, 1, 2 * height)
    }
    let expected = (0..<4 * x.count).map { (i: Int) -> Float in
      let pixel = i / channels
      let row = pixel / (2 * width)
      let column = pixel % (2 * width)
      return x[(row / 2 * width + column / 2) * channels + i % channels]
    }
    #expect(bits(y) == bits(expected))
  }

  @Test(arguments: Level.running, vectorCounts)
  func transposition(level: Level, rows: Int) {
    for columns in [1, 5, 16, 40] {
      let (xStride, yStride) = (columns + 2, rows + 3)
      let x = randoms((rows - 1) * xStride + columns, seed: 1)
      let y = output(of: x, count: (columns - 1) * yStride + rows) {
        level.table.pointee.transpose_f32($0, yStride, $1, xStride, rows, columns)
      }
      for column in 0..<columns {
        for row in 0..<rows where y[column * yStride + row] != x[row * xStride + column] {
          Issue.record("row \(row) of column \(column) is not where it belongs")
        }
      }
      #expect(y.filter(\.isNaN).count == (columns - 1) * (yStride - rows))
    }
  }

  @Test(arguments: Level.running, [1, 2, 7, 64, 101])
  func picturesTurnToPlanesAndBack(level: Level, pixels: Int) {
    let planes = randoms(3 * pixels, seed: 1)
    let expected = (0..<3 * pixels).map { (i: Int) -> Float in planes[i % 3 * pixels + i / 3] }
    let found = output(of: planes, count: 3 * pixels) {
      level.table.pointee.transpose_f32($0, 3, $1, pixels, 3, pixels)
    }
    #expect(bits(found) == bits(expected))
    let back = output(of: found, count: 3 * pixels) {
      level.table.pointee.transpose_f32($0, pixels, $1, 3, pixels, 3)
    }
    #expect(bits(back) == bits(planes))
  }

  @Test(arguments: Level.running, [1, 2, 3])
  func pixelsAreWidenedToFourNumbers(level: Level, channels: Int) {
    for pixels in [1, 2, 5, 9] {
      let numbers = randomIntegers(channels * pixels, seed: 2)
      let y = GuardedBytes(count: 4 * pixels, filledWith: 55)
      let x = y.start + (4 - channels) * pixels
      for (index, number) in numbers.enumerated() { x[index] = number }
      level.table.pointee.widen_pixels_i8(y.start, x, pixels, channels, -7)
      for pixel in 0..<pixels {
        for place in 0..<4 {
          let expected = place < channels ? numbers[pixel * channels + place] : -7
          #expect(y.start[4 * pixel + place] == expected)
        }
      }
    }
  }
}
