import Glibc

extension Double {
  /// e to this power.
  var exponential: Double { exp(self) }
  var logarithm: Double { log(self) }
  var cosine: Double { cos(self) }
  var sine: Double { sin(self) }
}
