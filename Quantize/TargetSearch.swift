import Glibc
import PipitRuntime

extension QuantizationJob {
  /// Seconds that may go into finding out what each product costs by trying the model with it in f32.
  private static let trialSeconds = 120.0

  /// Finds the fewest products, of those that do the most harm, that have to stay f32 for the quantized model
  /// to reach the target, and writes that model.
  package mutating func quantize(
    to output: String, force: Bool = false, target: QuantizationTarget, reference: Reference
  ) throws -> QuantizationReport {
    let trial = "\(output).trial-\(getpid())"
    defer { FileTree.remove(trial) }
    request.floatProducts = []
    let begin = monotonicNanoseconds()
    var report = try attempt(trial, reference)
    if try !target.isReached(by: report) {
      let seconds = Double(monotonicNanoseconds() - begin) / 1e9
      var products = products(report)
      if seconds * Double(products.count) < QuantizationJob.trialSeconds {
        products = try measured(products, trial, target, reference)
      }
      try search(products, trial, target, reference)
    }
    report = try quantize(to: output, force: force)
    try compare(output, with: reference, into: &report)
    return report
  }

  /// Weights that are multiplied with integers, those of one product together, the most harmful first by what
  /// is left of its output.
  private func products(_ report: QuantizationReport) -> [[String]] {
    var seen: Set<String> = []
    var products: [[String]] = []
    for row in report.rows where row.scheme == StorageScheme.w8a8.name && !seen.contains(row.name) {
      let product = request.calibration?.companions(of: row.name) ?? [row.name]
      seen.formUnion(product)
      products.append(product)
    }
    return products
  }

  /// Products in the order of what the model gains by each in f32.
  private mutating func measured(
    _ products: [[String]], _ trial: String, _ target: QuantizationTarget, _ reference: Reference
  ) throws -> [[String]] {
    var values: [(product: [String], value: Double)] = []
    for product in products {
      request.floatProducts = Set(product)
      values.append((product, try target.value(in: try attempt(trial, reference))))
    }
    return values.sorted { $0.value > $1.value }.map(\.product)
  }

  /// The least number of products from the front that is enough: twice as many until it is, then halves.
  private mutating func search(
    _ products: [[String]], _ trial: String, _ target: QuantizationTarget, _ reference: Reference
  ) throws {
    var (tooFew, enough) = (0, 1)
    while true {
      request.floatProducts = Set(products.prefix(enough).joined())
      let report = try attempt(trial, reference)
      if try target.isReached(by: report) { break }
      guard enough < products.count else {
        throw TargetError(target: target, reached: try target.value(in: report))
      }
      (tooFew, enough) = (enough, min(products.count, 2 * enough))
    }
    while enough - tooFew > 1 {
      let middle = (tooFew + enough) / 2
      request.floatProducts = Set(products.prefix(middle).joined())
      if try target.isReached(by: try attempt(trial, reference)) {
        enough = middle
      } else {
        tooFew = middle
      }
    }
    request.floatProducts = Set(products.prefix(enough).joined())
  }

  private func attempt(_ trial: String, _ reference: Reference) throws -> QuantizationReport {
    var report = try quantize(to: trial, force: true)
    try compare(trial, with: reference, into: &report)
    return report
  }
}
