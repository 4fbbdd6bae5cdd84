/// What a quantized model must be like: `psnr=38`, `agreement=99.5` (percent) or `cosine=0.999`.
package struct QuantizationTarget: Sendable {
  package static let names = ["psnr", "agreement", "cosine"]

  private let name: String
  private let limit: Double

  /// `nil` for what is none.
  package init?(_ text: String) {
    let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2, QuantizationTarget.names.contains(parts[0]),
      let limit = Double(parts[1]), limit.isFinite
    else { return nil }
    (name, self.limit) = (parts[0], limit)
  }

  private var measurement: String {
    switch name {
    case "psnr": "PSNR, mean, dB"
    case "agreement": "agreement, %"
    default: "cosine, mean"
    }
  }

  /// The least value that a part of the model has; throws if nothing of the kind was measured.
  func value(in report: QuantizationReport) throws -> Double {
    let values = report.measurements.filter { $0.name == measurement }.map(\.value)
    guard let least = values.min() else { throw TargetError(target: self, reached: nil) }
    return least
  }

  func isReached(by report: QuantizationReport) throws -> Bool { try value(in: report) >= limit }

  fileprivate var text: String { "\(name)=\(limit)" }
}

/// A target that cannot be reached, or has no meaning for the model.
package struct TargetError: Error, CustomStringConvertible {
  let target: QuantizationTarget
  let reached: Double?

  package var description: String {
    guard let reached else {
      return "--target \(target.text): nothing of that kind is measured on this model"
    }
    return "--target \(target.text): with every product in f32 it is \(reached)"
  }
}
