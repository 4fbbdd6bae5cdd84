import PipitGraph
import PipitKernels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

/// Programs whose weights are stored as something smaller than f32.
@Suite struct StoredWeightTests {
  enum Storage: CaseIterable, Sendable { case f16, bf16, scaledF16, int8, int4, mixed }

  /// Random numbers in a storage; `mixed`: weights of one product in two of them.
  static func weight(_ name: String, _ shape: Shape, _ storage: Storage) -> Weight {
    let values = RandomWeights.make(name, shape).floats()
    switch storage {
    case .f16:
      return halves(name, shape, .f16, values.map(floatToHalf))
    case .bf16:
      return halves(name, shape, .bf16, values.map { UInt16($0.bitPattern >> 16) })
    case .scaledF16:
      let factors = (0..<shape[0]).map { 0.5 + 0.01 * Float($0) }
      return weight(name, shape, .f16).scalingRows(by: factors)
    case .int8:
      let bytes = ByteStorage(count: shape.count) { bytes in
        for (index, value) in values.enumerated() {
          bytes.storeBytes(of: Int8(value * 127), toByteOffset: index, as: Int8.self)
        }
      }
      let scales = (0..<shape[0]).map { 0.01 + 0.0001 * Float($0) }
      return Weight(
        name: name, shape: shape, storage: .int8(scales: scales), bytes: bytes.bytes, owner: bytes)
    case .int4:
      let bytes = ByteStorage(count: shape.count / 2) { bytes in
        for index in bytes.indices {
          bytes[index] = UInt8(truncatingIfNeeded: values[index].bitPattern >> 4)
        }
      }
      let scales = FloatStorage(randoms(shape.count / 16, seed: 5))
      let stored = Weight.StoredFloats(elementType: .f32, bytes: scales.bytes)
      return Weight(
        name: name, shape: shape, storage: .int4(scales: stored, group: 16), bytes: bytes.bytes,
        owner: Pair(bytes, scales))
    case .mixed:
      return weight(name, shape, name.utf8.last == UInt8(ascii: "q") ? .int8 : .f16)
    }
  }

  private static func halves(
    _ name: String, _ shape: Shape, _ type: ElementType, _ bits: [UInt16]
  ) -> Weight {
    let bytes = ByteStorage(count: 2 * bits.count) { bytes in
      bits.withUnsafeBytes { bytes.copyMemory(from: $0) }
    }
    return Weight(
      name: name, shape: shape, storage: .dense(type), bytes: bytes.bytes, owner: bytes)
  }

  /// Every product that reads f32, merged ones, grouped and fast convolutions among them.
  private func graph(_ make: (String, Shape) -> Weight) throws -> Graph {
    let g = GraphBuilder(weights: RandomWeights())
    let x = g.input("x", [1, 13, 12, 32])
    var y = x
    for (name, channels, groups, stride) in [
      ("winograd", 64, 1, 1), ("grouped", 64, 2, 1), ("strided", 32, 1, 2),
    ] {
      let weight = make(name, [channels, y.shape[3] / groups, 3, 3])
      let op = Conv2D(
        weight: weight, bias: nil, stride: stride, padding: Conv2D.Padding(1), groups: groups)
      y = try g.add(.conv2D(op), [y], name)
    }
    let rows = try g.reshape(y, to: [1, y.shape[1] * y.shape[2], 32])
    let projections = try ["q", "k", "v"].map { name in
      let weight = make("attention." + name, [32, 32])
      return try g.add(.linear(Linear(weights: [weight], biases: [nil])), [rows], name)
    }
    let attended = try g.attention(
      q: projections[0], k: projections[1], v: projections[2], heads: 2, at: Scope("attention"))
    let last = Linear(weights: [make("out", [48, 32])], biases: [nil])
    g.output("y", try g.add(.linear(last), [attended], "out"))
    return Optimizer.optimize(g.graph)
  }

  @Test(arguments: Storage.allCases)
  func resultsAreThoseOfTheSameNumbersAsFloats(storage: Storage) throws {
    let stored = try graph { StoredWeightTests.weight($0, $1, storage) }
    let floats = try graph { name, shape in
      let weight = StoredWeightTests.weight(name, shape, storage)
      return Weight(name: name, shape: shape, values: weight.floats())
    }
    let inputs = randomInputs(stored, seed: 3)
    for kernels in KernelTable.available {
      let found = try run(stored, inputs, kernels: kernels, threads: 2)["y"]
      let expected = try run(floats, inputs, kernels: kernels)["y"]
      let isSame = found?.map(\.bitPattern) == expected?.map(\.bitPattern)
      #expect(isSame, "\(kernels.name)")
    }
  }

  /// Where halves are multiplied in half precision results are other ones, but not far off, the same on any number
  /// of threads, and only those of halves. (Largest error: 3.1e-3 of the largest number.)
  @Test(arguments: [Storage.f16, .scaledF16, .bf16])
  func halfPrecisionIsClose(storage: Storage) throws {
    let stored = try graph { StoredWeightTests.weight($0, $1, storage) }
    let inputs = randomInputs(stored, seed: 3)
    let pool = ThreadPool(threadCount: 2)
    for kernels in KernelTable.available where kernels.missingForHalves == nil {
      let halves = try kernels.multiplyingHalves()
      let found = try #require(try run(stored, inputs, kernels: halves, threads: 3)["y"])
      let expected = try #require(try run(stored, inputs, kernels: kernels)["y"])
      let error = maxError(found, expected)
      let largest = expected.reduce(0) { max($0, abs($1)) }
      #expect(error <= 5e-3 * largest, "\(kernels.name): \(error) of \(largest)")
      #expect((error == 0) == (storage == .bf16), "\(kernels.name)")
      let alone = try run(stored, inputs, kernels: halves)["y"]
      #expect(alone?.map(\.bitPattern) == found.map(\.bitPattern), "\(kernels.name)")
      let program = Program(
        graph: stored, kernels: halves, pool: pool,
        weights: PackedWeights(kernels: halves, pool: pool))
      let need = MemoryNeed([stored], kernels: halves, threadCount: 2)
      #expect(need.scratch == program.scratchByteCount, "\(kernels.name)")
    }
  }

  @Test(arguments: Storage.allCases)
  func weightsTakeWhatTheyTakeInTheirFile(storage: Storage) throws {
    let pool = ThreadPool(threadCount: 2)
    for kernels in KernelTable.available {
      let graph = try graph { StoredWeightTests.weight($0, $1, storage) }
      let weights = PackedWeights(kernels: kernels, pool: pool)
      let program = Program(graph: graph, kernels: kernels, pool: pool, weights: weights)
      let need = MemoryNeed([graph], kernels: kernels, threadCount: 2)
      #expect(need.packed == weights.byteCount, "\(kernels.name)")
      #expect(need.scratch == program.scratchByteCount, "\(kernels.name)")
      let floats = try self.graph { RandomWeights.make($0, $1) }
      let asFloats = MemoryNeed([floats], kernels: kernels, threadCount: 2).packed
      // Factors, and 4-bit convolutions and what is mixed, which are f32.
      let share: Double =
        switch storage {
        case .f16, .bf16: 0.5
        case .scaledF16: 0.51
        case .int8: 0.27
        case .int4, .mixed: 0.99
        }
      #expect(Double(need.packed) <= share * Double(asFloats), "\(kernels.name)")
    }
  }
}

/// Keeps two owners.
final class Pair: Sendable {
  private let owners: [any AnyObject & Sendable]

  init(_ owners: any AnyObject & Sendable...) { self.owners = owners }
}
