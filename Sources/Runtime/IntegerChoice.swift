package import PipitGraph
package import PipitKernels
import PipitTensors

extension Optimizer {
  /// As `optimize`, for a level of kernels. Without dot products of bytes a level multiplies one to two of them
  /// in the time of a float, while Winograd's algorithm needs a quarter of the multiplications: there the
  /// convolutions that it pays for are computed with floats, of weights that stay bytes in memory, unless the
  /// level has that algorithm for integers. All other products are faster with integers on every level.
  ///
  /// Times at AVX2 on an EPYC's core (`pipit bench --kernel winograd_w8`, `conv2d_i8`): 0.45 to 0.76 of the
  /// integers' from 28 x 28 x 128 to 128 x 128 x 64; of matrix products (`gemm_f32`, `gemm_i8`) 1.5 to 1.8.
  /// Executed instructions a multiply-add on Cortex-A72 (Benchmarks/mca): Winograd .080 to .143, integers .234
  /// to .240 from 32 x 32 x 128 to 7 x 7 x 512; of enlarged images .063 and .107; of matrices .30 and .24.
  ///
  /// Floats are other numbers than integers, which are the same on all levels. So a small graph, of which the choice
  /// would save some milliseconds, is computed with integers everywhere: of `leastWork` operations and more it is
  /// made. (The default model's decoder has half a billion multiply-adds, ResNet-18 1.8, an autoencoder of Stable
  /// Diffusion hundreds.)
  package static func optimize(
    _ graph: Graph, for kernels: KernelTable, leastWork: Int = Optimizer.leastWork
  ) -> Graph {
    optimize(graph, hasDotProducts: kernels.hasDotProducts, leastWork: leastWork) { convolution, geometry in
      IntegerWinogradCall.pays(for: geometry, kernels: kernels) && convolution.hasSmallSums
    }
  }

  /// Operations, two a multiply-add.
  package static let leastWork = 2_000_000_000

  /// As above, for a machine that may be another; `filtersIntegers` says which integer convolutions it computes
  /// by Winograd's algorithm.
  package static func optimize(
    _ graph: Graph, hasDotProducts: Bool, leastWork: Int = Optimizer.leastWork,
    filtersIntegers: @escaping @Sendable (Conv2D, ConvolutionGeometry) -> Bool = { _, _ in false }
  ) -> Graph {
    guard !hasDotProducts, graph.cost.operationCount >= leastWork else { return optimize(graph) }
    return optimize(graph) { convolution, input, output in
      let geometry = convolution.geometry(input: input, output: output)
      return convolution.stride == 1 && WinogradCall.pays(for: geometry)
        && !filtersIntegers(convolution, geometry)
    }
  }
}

extension Conv2D {
  /// Whether the sums of its products with 8-bit numbers fit what Winograd's algorithm of integers leaves of them.
  fileprivate var hasSmallSums: Bool {
    guard case .int8 = weight.storage, case .staticPerTensor(_, let zeroPoint) = weight.activations,
      let bytes = weight.bytes.bindMemory(to: Int8.self).baseAddress
    else { return false }
    let depth = weight.shape.count / weight.shape[0]
    let sum = PackedIntegers.greatestSum(of: bytes, count: weight.shape[0], depth: depth, zeroPoint: zeroPoint)
    return sum < IntegerWinogradCall.sumLimit
  }
}
