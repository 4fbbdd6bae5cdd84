extension UnsafeBufferPointer<Float> {
  /// Where the first number that is NaN or infinite stands.
  package var firstOddity: Int? {
    // Bits but for the sign are in the order of magnitudes, and those that are not finite come last.
    var greatest: UInt32 = 0
    for value in self { greatest = Swift.max(greatest, value.bitPattern & 0x7FFF_FFFF) }
    return greatest < Float.infinity.bitPattern ? nil : firstIndex { !$0.isFinite }
  }
}
