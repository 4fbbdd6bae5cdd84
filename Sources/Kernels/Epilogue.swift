import CKernels

/// Elementwise functions that kernels know; raw values are the C enumeration's.
package enum KernelActivation: UInt32, Sendable, CaseIterable {
  case none, relu, gelu, geluTanh, geluQuick, silu, tanh, sigmoid, relu6

  var raw: activation { activation(rawValue: rawValue) }
}

/// What happens to a sum before it is stored; see `epilogue_f32` in the contract.
package struct KernelEpilogue {
  package var bias: UnsafePointer<Float>?
  package var residual: UnsafePointer<Float>?
  package var residualStride = 0
  package var residualFirst = false
  package var activation = KernelActivation.none

  package init() {}

  var raw: epilogue_f32 {
    epilogue_f32(
      bias: bias, residual: residual, residual_stride: residualStride,
      residual_first: residualFirst, activation: activation.raw)
  }
}
