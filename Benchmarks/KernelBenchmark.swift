import Glibc
package import PipitKernels
package import PipitRuntime

/// One kernel at one shape, on random numbers in memory of its own.
package struct KernelBenchmark {
  /// A kernel's name and what its shape means.
  package struct Kind: Sendable {
    package let name: String
    package let extents: KernelExtents
    package let standardShapes: [[Int]]
    fileprivate let make: @Sendable ([Int], KernelTable, ThreadPool) -> BenchmarkWork
    fileprivate var computes: @Sendable ([Int], KernelTable) -> Bool = { _, _ in true }

    /// Whether a level has the kernel, and it is what that level would compute the shape with.
    package func computes(_ shape: [Int], on kernels: KernelTable) -> Bool { computes(shape, kernels) }
  }

  /// The kernels that can be asked for, with the shapes of the models they come from.
  package static let kinds: [Kind] = [
    Kind(
      name: "gemm_f32", extents: .product,
      standardShapes: [
        [512, 512, 512], [1024, 1024, 1024], [4096, 320, 2880], [77, 3072, 768], [77, 768, 3072],
        [32, 3072, 768], [32, 768, 768], [4, 768, 768], [1, 3072, 768],
      ], make: BenchmarkWork.gemm),
    Kind(
      name: "gemm_f16", extents: .product,
      standardShapes: [
        [1024, 1024, 1024], [4096, 320, 2880], [77, 3072, 768], [32, 3072, 768], [4, 768, 768],
        [1, 3072, 768],
      ], make: { BenchmarkWork.gemm(PackedFormat(.f16), $0, $1, $2) }),
    Kind(
      name: "gemm_i8", extents: .product,
      standardShapes: [
        [512, 512, 512], [1024, 1024, 1024], [77, 3072, 768], [128, 768, 3072], [32, 1536, 384],
        [4, 768, 768], [1, 3072, 768],
      ], make: BenchmarkWork.integerGemm, computes: { s, _ in s[2] <= PackedIntegers.greatestDepth }),
    Kind(
      name: "conv2d_i8", extents: .convolution,
      standardShapes: [
        [64, 64, 512, 512, 3, 1], [256, 256, 128, 128, 3, 1], [64, 64, 320, 320, 1, 1],
        [64, 64, 320, 320, 3, 2], [256, 256, 64, 64, 3, 1], [64, 64, 4, 320, 3, 1],
      ], make: BenchmarkWork.integerConvolution,
      computes: { s, _ in s[2] * s[4] * s[4] <= PackedIntegers.greatestDepth }),
    Kind(
      name: "quantize_rows_i8", extents: .rows, standardShapes: [[128, 768], [4096, 1024]],
      make: BenchmarkWork.quantizeRows),
    Kind(
      name: "conv2d_f32", extents: .convolution,
      standardShapes: [
        [64, 64, 512, 512, 1, 1], [64, 64, 320, 320, 3, 2], [128, 128, 128, 128, 3, 2],
        [64, 64, 4, 512, 3, 1], [256, 256, 128, 3, 3, 1], [224, 224, 3, 64, 7, 2],
      ], make: BenchmarkWork.convolution),
    Kind(
      name: "winograd_f32", extents: .winograd,
      standardShapes: [
        [64, 64, 512, 512, 1], [128, 128, 512, 512, 1], [256, 256, 256, 256, 1],
        [256, 256, 128, 128, 1], [512, 512, 128, 128, 1], [64, 64, 64, 64, 1],
        [64, 64, 512, 512, 2], [16, 16, 1280, 1280, 1],
      ], make: BenchmarkWork.winograd),
    Kind(
      name: "winograd_f16", extents: .winograd,
      standardShapes: [[64, 64, 320, 320, 1], [16, 16, 1280, 1280, 1], [64, 64, 512, 512, 2]],
      make: { BenchmarkWork.winograd(PackedFormat(.f16), $0, $1, $2) }),
    Kind(
      name: "winograd_w8", extents: .winograd,
      standardShapes: [[64, 64, 512, 512, 1], [256, 256, 64, 64, 1], [64, 64, 512, 512, 2]],
      make: { BenchmarkWork.winograd(PackedFormat(.i8, factorDepth: .max), $0, $1, $2) }),
    Kind(
      name: "winograd_i8", extents: .integerWinograd,
      standardShapes: [[256, 256, 64, 64], [64, 64, 512, 512], [32, 32, 512, 512], [28, 28, 128, 128]],
      make: BenchmarkWork.integerWinograd,
      computes: { s, kernels in
        9 * s[2] <= PackedIntegers.greatestDepth
          && IntegerWinogradCall.pays(for: BenchmarkWork.integerWinogradGeometry(s), kernels: kernels)
      }),
    Kind(
      name: "attention_f32", extents: .attention,
      standardShapes: [
        [128, 128, 12, 64], [77, 77, 12, 64], [4096, 4096, 8, 40], [1024, 77, 8, 80],
        [1024, 1024, 1, 512],
      ], make: BenchmarkWork.attention),
    Kind(
      name: "layernorm_f32", extents: .rows, standardShapes: [[128, 768], [4096, 1024]],
      make: BenchmarkWork.rows { k, y, x, rows, columns in
        k.layerNorm(y, x, gain: nil, bias: nil, rows: rows, columns: columns, epsilon: 1e-5)
      }),
    Kind(
      name: "softmax_f32", extents: .rows, standardShapes: [[128, 768], [4096, 1024]],
      make: BenchmarkWork.rows { k, y, x, rows, columns in
        k.softmax(y, x, rows: rows, columns: columns)
      }),
    Kind(
      name: "gelu_f32", extents: .rows, standardShapes: [[128, 768], [4096, 1024]],
      make: BenchmarkWork.activation(.gelu)),
    Kind(
      name: "silu_f32", extents: .rows, standardShapes: [[128, 768], [4096, 1024]],
      make: BenchmarkWork.activation(.silu)),
    Kind(
      name: "add_f32", extents: .rows, standardShapes: [[128, 768], [4096, 1024]],
      make: BenchmarkWork.rows { k, y, x, rows, columns in
        k.binary(
          y, x, x, rows: 1, columns: rows * columns, bRowStride: 0, bColumnStride: 1, .add)
      }),
  ]

  /// Times a kernel; repetitions are of as many calls as take a millisecond.
  package static func run(
    _ kind: Kind, shape: [Int], kernels: KernelTable, pool: ThreadPool, repetitions: Int,
    peaks: Peaks
  ) -> BenchmarkReport.Row {
    precondition(kind.extents.problem(with: shape) == nil)
    precondition(kind.computes(shape, on: kernels))
    let work = kind.make(shape, kernels, pool)
    func time(_ calls: Int) -> Double {
      let start = monotonicNanoseconds()
      for _ in 0..<calls { pool.run(work, tileCount: work.tileCount) }
      return Double(monotonicNanoseconds() - start) / 1e3 / Double(calls)
    }
    _ = time(1)
    let calls = max(1, min(10_000, Int(1000 / max(time(1), 0.1))))
    let timing = Timing((0..<max(1, repetitions)).map { _ in time(calls) })
    let text = shape.map(String.init).joined(separator: "x")
    return BenchmarkReport.Row(
      name: kind.name, op: kind.name, shape: text, kernel: kind.name, isa: kernels.name,
      timing: timing, operations: work.operations, bytes: work.bytes, peaks: peaks)
  }
}

/// Work of a kernel over memory that it owns.
final class BenchmarkWork: TiledWork {
  let tileCount: Int
  let operations: Int
  let bytes: Int
  private let memory: [BenchmarkMemory]
  private let body: (_ tile: Int, _ worker: Int) -> Void

  init(
    tileCount: Int, operations: Int, bytes: Int, memory: [BenchmarkMemory],
    _ body: @escaping (_ tile: Int, _ worker: Int) -> Void
  ) {
    self.tileCount = tileCount
    self.operations = operations
    self.bytes = bytes
    self.memory = memory
    self.body = body
  }

  func run(tile: Int, worker: Int) { body(tile, worker) }
}

/// Floats between -0.5 and 0.5, aligned as the arena's.
final class BenchmarkMemory {
  let start: UnsafeMutablePointer<Float>

  init(_ count: Int) {
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: max(count, 16) * 4, alignment: 64)
    start = bytes.bindMemory(to: Float.self, capacity: max(count, 16))
    var state: UInt32 = 1
    for index in 0..<count {
      state = state &* 1_664_525 &+ 1_013_904_223
      start[index] = Float(state >> 8) * 0x1p-24 - 0.5
    }
  }

  deinit { start.deallocate() }
}
