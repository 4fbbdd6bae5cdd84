import PipitGraph

/// What the extents of a kernel's shape mean, in order.
package enum KernelExtents: String, Sendable {
  case product = "ROWSxCOLUMNSxDEPTH"
  case convolution = "HEIGHTxWIDTHxINxOUTxKERNELxSTRIDE"
  case winograd = "HEIGHTxWIDTHxINxOUTxUPSAMPLE"
  case integerWinograd = "HEIGHTxWIDTHxINxOUT"
  case attention = "QUERIESxKEYSxHEADSxDIMENSION"
  case rows = "ROWSxCOLUMNS"

  private static let extentLimit = 1 << 20
  /// Of the product of all extents: more would not be over in a minute.
  private static let productLimit = 0x1p40

  /// What was expected of a shape that no kernel can be run with; `nil` for one that it can.
  package func problem(with shape: [Int]) -> String? {
    guard shape.count == rawValue.split(separator: "x").count,
      shape.allSatisfy({ (1...KernelExtents.extentLimit).contains($0) })
    else { return "\(rawValue) in whole numbers from 1 to \(KernelExtents.extentLimit)" }
    if self == .winograd, shape[4] > 2 { return "UPSAMPLE 1 or 2" }
    if self == .attention, shape[3] > Attention.widestHead {
      return "DIMENSION of at most \(Attention.widestHead)"
    }
    let product = shape.reduce(1) { $0 * Double($1) }
    return product <= KernelExtents.productLimit ? nil : "\(rawValue) whose product is at most 2^40"
  }

  /// About as many bytes as the numbers of a shape take, f32 all of them, given and packed.
  package func byteCount(_ shape: [Int]) -> Int {
    Int(min(8 * numberCount(shape.map { Double($0) }), 0x1p60))
  }

  private func numberCount(_ s: [Double]) -> Double {
    switch self {
    case .product: s[0] * s[1] + s[0] * s[2] + s[1] * s[2]
    case .convolution: s[0] * s[1] * (s[2] + s[3]) + s[2] * s[3] * s[4] * s[4]
    case .winograd: s[0] * s[1] * (s[2] + s[3] * s[4] * s[4]) + s[2] * s[3] * 9
    case .integerWinograd: s[0] * s[1] * (s[2] + s[3]) + s[2] * s[3] * 9
    case .attention: 2 * (s[0] + s[1]) * s[2] * s[3]
    case .rows: 2 * s[0] * s[1]
    }
  }
}
