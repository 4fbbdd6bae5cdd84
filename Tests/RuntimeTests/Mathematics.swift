import Glibc
import PipitGraph

func exponential(_ x: Double) -> Double { exp(x) }
func logarithm(_ x: Double) -> Double { log(x) }
func cosine(_ x: Double) -> Double { cos(x) }
func sine(_ x: Double) -> Double { sin(x) }

/// An activation in double precision.
func apply(_ activation: Activation, _ x: Double) -> Double {
  switch activation {
  case .relu: max(x, 0)
  case .relu6: min(max(x, 0), 6)
  case .gelu: 0.5 * x * (1 + erf(x / 2.0.squareRoot()))
  case .geluTanh: 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  case .geluQuick: x / (1 + exp(-1.702 * x))
  case .silu: x / (1 + exp(-x))
  case .tanh: tanh(x)
  case .sigmoid: 1 / (1 + exp(-x))
  }
}
