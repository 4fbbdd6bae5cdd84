/// The extents of a tensor, outermost axis first.
package struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  package let extents: [Int]

  /// A shape of given extents, each at least 0, whose product fits in `Int`.
  package init(_ extents: [Int]) {
    precondition(Shape.product(extents) != nil, "extents \(extents) are negative or overflow")
    self.extents = extents
  }

  package init(arrayLiteral extents: Int...) { self.init(extents) }

  /// A shape from numbers that nobody has checked yet (a file's header, a flag); `nil` if one is
  /// negative or the product overflows.
  package init?(unchecked extents: [Int]) {
    guard Shape.product(extents) != nil else { return nil }
    self.extents = extents
  }

  package var rank: Int { extents.count }

  /// The number of elements; 1 for a scalar.
  package var count: Int { extents.reduce(1, *) }

  /// The last extent; 1 for a scalar.
  package var columns: Int { extents.last ?? 1 }

  /// The number of rows when all axes but the last are taken as one.
  package var rows: Int { extents.dropLast().reduce(1, *) }

  package subscript(axis: Int) -> Int { extents[axis] }

  package var description: String { "[" + extents.map(String.init).joined(separator: ", ") + "]" }

  /// The product of the extents, `nil` where one is negative or it overflows (zeros do not hide it).
  private static func product(_ extents: [Int]) -> Int? {
    var product = 1
    for extent in extents {
      guard extent >= 0 else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: max(extent, 1))
      guard !overflow else { return nil }
      product = next
    }
    return product
  }
}
