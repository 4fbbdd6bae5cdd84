import PipitPipelines
import Testing

@Suite struct NoiseSourceTests {
  static let golden = Result(catching: { try GoldenFile("randn.safetensors") })
  static let names: [String] =
    (try? golden.get())?.file.entries.keys
    .filter { !$0.hasPrefix("draws.") }.sorted() ?? []

  private func check(_ found: [Float], _ name: String) throws {
    let expected = try NoiseSourceTests.golden.get().floats(name)
    #expect(found.count == expected.count)
    let error = zip(found, expected).reduce(0) { max($0, abs($1.0 - $1.1)) }
    #expect(error <= 1e-6, "\(name): \(error)")
  }

  /// `torch.randn(count, generator: manual_seed(seed))` on a CPU; the names are `seed.count`.
  @Test(arguments: names)
  func torch(name: String) throws {
    let parts = name.split(separator: ".")
    let seed = try #require(UInt64(parts[0]))
    let count = try #require(Int(parts[1]))
    var source = NoiseGenerator.torch.source(seed: seed)
    try check(source.next(count), name)
  }

  @Test func goldensAreThere() throws {
    _ = try NoiseSourceTests.golden.get()
    #expect(NoiseSourceTests.names.count == 16)
  }

  /// Draws of one generator in turn.
  @Test func torchInTurn() throws {
    var source = NoiseGenerator.torch.source(seed: 5)
    for (index, count) in [3, 20, 1, 16, 7, 33, 2].enumerated() {
      try check(source.next(count), "draws.\(index).\(count)")
    }
  }

  /// What a GPU printed for `torch.cuda.manual_seed(0)` and `torch.randn(…, device="cuda")`: the first
  /// numbers to four places, as many notebooks show them; and those of an emulation in NumPy that users
  /// compare pictures with (stable-diffusion-webui, `rng_philox.py`), to eight.
  @Test func cuda() {
    var source = NoiseGenerator.philox.source(seed: 0)
    let found = source.next(36)
    let printed: [Float] = [
      -0.9247, -0.4253, -2.6438, 0.1452, -0.1209, -0.5797, -0.6229, -0.3284, -1.0745, -0.3631,
      -1.6711, 2.2655, 0.3117, -0.1842, 1.2866, 1.1820, -0.1271, 1.2169, 1.4353, 1.0605, -0.4941,
      -1.4244, -0.7244, -1.2973, 0.0697, -0.0074, 1.8969, 0.6878, -0.0779, -0.8373, 1.3506,
      -0.2879, -0.5965, -0.3283, -0.9086, -0.8059,
    ]
    for (value, expected) in zip(found, printed) { #expect(abs(value - expected) < 6e-5) }
    let emulated: [Float] = [
      -0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122,
      -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497,
    ]
    for (value, expected) in zip(found, emulated) { #expect(abs(value - expected) < 1e-6) }
  }

  /// A draw does not depend on how many numbers are asked for, and the next one is another.
  @Test func cudaCounts() {
    var (short, long) = (CUDANoise(seed: 9), CUDANoise(seed: 9))
    let (few, many) = (short.next(5), long.next(5000))
    #expect(few == Array(many[..<5]))
    #expect(short.next(0).isEmpty)
    let next = short.next(5)
    #expect(next == Array(long.next(7)[..<5]))
    #expect(next != few)
  }

  @Test(arguments: NoiseGenerator.allCases)
  func isNormal(generator: NoiseGenerator) {
    var source = generator.source(seed: 42)
    let numbers = source.next(100_000).map(Double.init)
    let mean = numbers.reduce(0, +) / 1e5
    let variance = numbers.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 1e5
    #expect(abs(mean) < 0.02 && abs(variance - 1) < 0.02)
    #expect(source.next(0).isEmpty)
  }
}
