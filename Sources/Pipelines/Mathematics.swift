import Glibc

extension Double {
  /// e to this power.
  var exponential: Double { exp(self) }
  var logarithm: Double { log(self) }
  /// log(1 + x), exact near zero.
  var logarithmOfOnePlus: Double { log1p(self) }
  var cosine: Double { cos(self) }
  var sine: Double { sin(self) }

  /// This number to a power.
  func power(_ exponent: Double) -> Double { pow(self, exponent) }
}

extension Float {
  var logarithm: Float { logf(self) }
  var cosine: Float { cosf(self) }
  var sine: Float { sinf(self) }
}
