import TestSupport

/// Counts around every vector's width.
let vectorCounts = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 100, 257]

/// What a kernel writes for `x`, both in memory that ends where they end; `count` numbers, or as many
/// as x has, or in place of x.
func output(
  of x: [Float], count: Int? = nil, inPlace: Bool = false,
  _ kernel: (UnsafeMutablePointer<Float>, UnsafePointer<Float>) -> Void
) -> [Float] {
  let source = GuardedBuffer(x)
  if inPlace {
    kernel(source.start, source.start)
    return source.values
  }
  let result = GuardedBuffer(count: count ?? x.count, filledWith: .nan)
  kernel(result.start, source.start)
  return withExtendedLifetime(source) { result.values }
}
