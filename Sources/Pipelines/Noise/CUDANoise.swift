/// The numbers of `torch.randn(count, device: cuda)` after `manual_seed(seed)`, to within single precision.
///
/// Each number of a draw has a counter of its own: the seed is the key, the draw's index the counter's low
/// half, the number's index the high half. That is what PyTorch's kernel does as long as a draw has no
/// more numbers than the device runs threads (125 952 on an RTX 3090, the latents of 1400x1400 pixels);
/// beyond, its layout depends on the device and the one here stays as it is.
///
/// Source: PyTorch's `DistributionTemplates.h` for CUDA, and cuRAND's Box-Muller transform of the first two
/// words, whose first result is the sine.
package struct CUDANoise: NoiseSource {
  private let seed: UInt64
  private var draw: UInt64 = 0

  package init(seed: UInt64) { self.seed = seed }

  package mutating func next(_ count: Int) -> [Float] {
    guard count > 0 else { return [] }
    defer { draw += 1 }
    return (0..<count).map { index in
      let (a, b, _, _) = Philox.words(key: seed, low: draw, high: UInt64(index))
      let radius = (-2 * ((Double(a) + 0.5) / 4294967296).logarithm).squareRoot()
      let angle = 2 * Double.pi * ((Double(b) + 0.5) / 4294967296)
      return Float(radius * angle.sine)
    }
  }
}
