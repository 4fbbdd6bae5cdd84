import CKernels

extension KernelTable {
  /// Runs `rounds` rounds of multiply-adds on registers and returns how many f32 operations they were.
  package func computeAtPeak(rounds: Int) -> Int {
    var result: Float = 0.25
    return raw.pointee.peak_f32(rounds, &result)
  }

  /// Reads `count` floats, a multiple of 64, and returns their sum.
  package func read(_ x: UnsafePointer<Float>, count: Int) -> Float {
    precondition(count % 64 == 0)
    return raw.pointee.read_f32(x, count)
  }
}
