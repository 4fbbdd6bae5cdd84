/// Where standard normal numbers come from. How many are drawn at a time is part of what comes out, as it
/// is in the libraries that some sources follow.
package protocol NoiseSource: Sendable {
  /// The next `count` numbers.
  mutating func next(_ count: Int) -> [Float]
}

/// The generators of `--rng`: a seed gives the noise that PyTorch draws from it.
package enum NoiseGenerator: String, CaseIterable, Sendable {
  /// `torch.randn` on a CPU.
  case torch
  /// `torch.randn` on a CUDA device.
  case philox

  /// A generator at its start, as after `manual_seed(seed)`.
  package func source(seed: UInt64) -> any NoiseSource {
    switch self {
    case .torch: TorchNoise(seed: seed)
    case .philox: CUDANoise(seed: seed)
    }
  }
}
