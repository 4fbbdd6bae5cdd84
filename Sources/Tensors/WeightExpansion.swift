extension Weight {
  /// All numbers as f32: for small tensors at load time (biases, tables, folding). Large ones are
  /// expanded row by row by the kernels as they are packed.
  package func floats() -> [Float] {
    precondition(expandsToFloat, "\(name) does not hold numbers to compute with")
    guard let rowFactors else { return storedFloats() }
    return storedFloats().enumerated().map { $1 * rowFactors[$0 / columns] }
  }

  private func storedFloats() -> [Float] {
    switch storage {
    case .dense(let type):
      return StoredFloats(elementType: type, bytes: bytes).floats()
    case .int8(let scales):
      return (0..<shape.count).map { index in
        Float(bytes.load(fromByteOffset: index, as: Int8.self)) * scales[index / columns]
      }
    case .int4(let scales, let group):
      let scales = scales.floats()
      return (0..<shape.count).map { index in
        let byte = bytes[index / 2]
        let nibble = index % 2 == 0 ? byte & 15 : byte >> 4
        return Float(Int(nibble) - 8) * scales[index / group]
      }
    }
  }
}

extension Weight.StoredFloats {
  package func floats() -> [Float] {
    let count = bytes.count / elementType.byteCount
    switch elementType {
    case .f32:
      return (0..<count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    case .f16:
      return (0..<count).map {
        halfToFloat(bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self))
      }
    default:
      return (0..<count).map {
        Float(
          bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)) << 16)
      }
    }
  }
}

/// IEEE half precision to single, exactly (`Float16` does not exist in Swift on every x86 system).
package func halfToFloat(_ bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10) & 31
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0:
    // Subnormal: fraction * 2^-24, exact in single precision.
    let magnitude = Float(fraction) * Float(bitPattern: 0x3380_0000)
    return Float(bitPattern: magnitude.bitPattern | sign)
  case 31:
    return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default:
    return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}

/// Single precision to IEEE half, to nearest, ties to even; too large becomes infinity.
package func floatToHalf(_ value: Float) -> UInt16 {
  let sign = UInt16(value.bitPattern >> 16 & 0x8000)
  let magnitude = value.bitPattern & 0x7FFF_FFFF
  if magnitude > 0x7F80_0000 { return sign | 0x7E00 }
  if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
  if magnitude < 0x3880_0000 {
    // Subnormal: a whole number of 2^-24; adding 1.5 * 2^-1 rounds to that, ties to even.
    let rounded = Float(bitPattern: magnitude) + 0.75
    return sign | UInt16(rounded.bitPattern - Float(0.75).bitPattern)
  }
  // Half of the last place less one, plus one where the place is odd: ties go to even.
  let odd = magnitude >> 13 & 1
  return sign | UInt16((magnitude - 0x3800_0000 + 0xFFF + odd) >> 13)
}
