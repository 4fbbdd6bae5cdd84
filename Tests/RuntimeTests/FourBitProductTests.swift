import PipitGraph
import PipitKernels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

/// Weights of 4-bit integers whose products are those of 8-bit ones.
@Suite struct FourBitProductTests {
  private static let shape: Shape = [37, 96]
  private static let group = 32

  /// A weight of 4-bit integers, some of whose scales are what no file should hold, and the 8-bit one that it
  /// is to become.
  private struct Weights: WeightSource {
    let isFourBit: Bool
    let oddities: [Float]
    var names: [String] { ["a.weight"] }

    func weight(named name: String) throws -> Weight? {
      let (shape, group) = (FourBitProductTests.shape, FourBitProductTests.group)
      let numbers = randoms(shape.count, seed: 7).map { UInt8(min(max($0 * 8 + 8, 0), 15)) }
      var scales = randoms(shape.count / group, seed: 8, in: 0.01...0.1)
      for (index, value) in oddities.enumerated() { scales[4 * index] = value }
      guard isFourBit else { return integers(name, numbers, scales) }
      let bytes = ByteStorage(count: shape.count / 2) { bytes in
        for index in bytes.indices { bytes[index] = numbers[2 * index] | numbers[2 * index + 1] << 4 }
      }
      let memory = FloatStorage(scales)
      let stored = Weight.StoredFloats(elementType: .f32, bytes: memory.bytes)
      return Weight(
        name: name, shape: shape, storage: .int4(scales: stored, group: group),
        activations: .dynamicPerToken, bytes: bytes.bytes, owner: Pair(bytes, memory))
    }

    /// Plain loops.
    private func integers(_ name: String, _ numbers: [UInt8], _ scales: [Float]) -> Weight {
      let (shape, group) = (FourBitProductTests.shape, FourBitProductTests.group)
      let groups = shape[1] / group
      let rowScales: [Float] = (0..<shape[0]).map { row in
        let greatest: Float = (0..<groups).map { scales[row * groups + $0] }.max() ?? 0
        return greatest * (8 / 127)
      }
      let bytes = ByteStorage(count: shape.count) { bytes in
        for index in bytes.indices {
          let value = (Float(numbers[index]) - 8) * scales[index / group]
          let inverse = 1 / rowScales[index / shape[1]]
          let rounded = Int8((value * inverse).rounded(.toNearestOrEven))
          bytes[index] = UInt8(bitPattern: rounded)
        }
      }
      return Weight(
        name: name, shape: shape, storage: .int8(scales: rowScales), activations: .dynamicPerToken,
        bytes: bytes.bytes, owner: bytes)
    }
  }

  private func outputs(
    _ isFourBit: Bool, oddities: [Float] = [], _ kernels: KernelTable
  ) throws -> [Float] {
    let g = GraphBuilder(weights: Weights(isFourBit: isFourBit, oddities: oddities))
    let x = g.input("x", [5, FourBitProductTests.shape[1]])
    g.output("y", try g.linear(x, at: Scope("a"), to: FourBitProductTests.shape[0], bias: false))
    let graph = Optimizer.optimize(g.graph)
    #expect(graph.nodes.contains { $0.op.name == "quantize" })
    return try run(graph, randomInputs(graph, seed: 3), kernels: kernels)["y"] ?? []
  }

  @Test func theyBecomeEightBitOnes() throws {
    for kernels in KernelTable.available {
      let found = try outputs(true, kernels)
      let expected = try outputs(false, kernels)
      #expect(found == expected, "\(kernels.name)")
      #expect(found.contains { abs($0) > 0.5 })
    }
  }

  @Test(arguments: [Float.nan, .infinity, 0, -0.1, .greatestFiniteMagnitude])
  func scalesOfAnyKindAreComputedWith(oddity: Float) throws {
    for kernels in KernelTable.available {
      let found = try outputs(true, oddities: [oddity, oddity], kernels)
      let whole = try outputs(true, kernels)
      #expect(found.count == whole.count)
      // Rows without them are as they were.
      for row in 0..<5 {
        let last = (row + 1) * FourBitProductTests.shape[0] - 1
        #expect(found[last] == whole[last], "\(kernels.name)")
      }
    }
  }
}
