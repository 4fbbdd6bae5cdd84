import CKernels
import TestSupport
import Testing

/// Bytes that end where memory does.
private func guarded<Element: BitwiseCopyable>(
  _ values: [Element], _ body: (UnsafePointer<Element>) -> Void
) {
  let byteCount = values.count * MemoryLayout<Element>.stride
  let buffer = GuardedBuffer(count: (byteCount + 3) / 4)
  let start = UnsafeMutableRawPointer(buffer.start + buffer.count) - byteCount
  values.withUnsafeBytes { bytes in
    if let source = bytes.baseAddress { start.copyMemory(from: source, byteCount: byteCount) }
  }
  body(UnsafePointer(start.bindMemory(to: Element.self, capacity: values.count)))
  withExtendedLifetime(buffer) {}
}

private let everyHalf = (0...UInt16.max).map { $0 }

/// A half from its three fields.
private func half(_ bits: UInt16) -> Float {
  let sign: Float = bits >> 15 == 0 ? 1 : -1
  let fraction = Float(bits & 0x3FF)
  switch bits >> 10 & 31 {
  case 0: return sign * fraction * 0x1p-24
  case 31: return fraction == 0 ? sign * .infinity : .nan
  case let exponent:
    return sign * Float(sign: .plus, exponent: Int(exponent) - 25, significand: 1024 + fraction)
  }
}

private func sameNumbers(_ actual: [Float], _ expected: [Float]) -> Bool {
  zip(actual, expected).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
}

@Suite struct ExpansionTests {
  @Test(arguments: Level.running)
  func everyHalfIsExact(level: Level) {
    let y = GuardedBuffer(count: everyHalf.count)
    guarded(everyHalf) { level.table.pointee.f32_from_f16(y.start, $0, y.count) }
    #expect(sameNumbers(y.values, everyHalf.map(half)))
    guarded(everyHalf) { level.table.pointee.f32_from_bf16(y.start, $0, y.count) }
    #expect(sameNumbers(y.values, everyHalf.map { Float(bitPattern: UInt32($0) << 16) }))
  }

  @Test(arguments: Level.running, vectorCounts)
  func vectorCountsOfHalves(level: Level, count: Int) {
    let x = Array(everyHalf[15000..<15000 + count])
    let y = GuardedBuffer(count: count)
    guarded(x) { level.table.pointee.f32_from_f16(y.start, $0, count) }
    #expect(sameNumbers(y.values, x.map(half)))
    guarded(x) { level.table.pointee.f32_from_bf16(y.start, $0, count) }
    #expect(sameNumbers(y.values, x.map { Float(bitPattern: UInt32($0) << 16) }))
  }

  @Test(arguments: Level.running, vectorCounts + [256])
  func bytes(level: Level, count: Int) {
    let x = (0..<count).map { Int8(truncatingIfNeeded: $0 * 37 - 128) }
    let y = GuardedBuffer(count: count)
    guarded(x) { level.table.pointee.f32_from_i8(y.start, $0, count, 0.0173) }
    #expect(bits(y.values) == bits(x.map { Float($0) * 0.0173 }))
  }

  @Test(arguments: Level.running, [2, 4, 6, 8, 14, 16, 18, 32, 34, 64, 128])
  func nibbles(level: Level, group: Int) {
    for groups in [1, 2, 3, 5] {
      let x = (0..<group * groups / 2).map { UInt8(truncatingIfNeeded: $0 * 73 + 9) }
      let scales = GuardedBuffer(randoms(groups, seed: 1))
      let y = GuardedBuffer(count: group * groups)
      guarded(x) { level.table.pointee.f32_from_i4(y.start, $0, scales.start, y.count, group) }
      let expected = (0..<y.count).map { i in
        let nibble = i % 2 == 0 ? x[i / 2] & 15 : x[i / 2] >> 4
        return (Float(nibble) - 8) * scales.values[i / group]
      }
      #expect(bits(y.values) == bits(expected))
    }
  }
}
