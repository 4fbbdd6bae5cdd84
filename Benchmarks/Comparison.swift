import PipitFormats

extension BenchmarkReport {
  /// What changed against an older report of the same work: one line for each row or total that both have
  /// and whose difference is beyond what the two spreads explain, then how many are the same.
  package func comparison(with old: BenchmarkReport) -> String {
    var lines: [String] = []
    var same = 0
    func compare(_ name: String, _ now: (Double, Double), _ before: (Double, Double)) {
      let change = now.0 / max(before.0, 1e-9) - 1
      // Three times the quartiles' half distances together, and never less than 3 %.
      guard abs(change) > max(0.03, 3 * (now.1 + before.1)) else {
        same += 1
        return
      }
      lines.append(
        "\(change < 0 ? "faster" : "SLOWER") \(decimal(100 * change, 1)) %: \(name), "
          + "\(decimal(before.0 / 1e3, 3)) ms -> \(decimal(now.0 / 1e3, 3)) ms")
    }
    for total in totals {
      guard let before = old.totals.first(where: { $0.threads == total.threads }) else { continue }
      compare(
        "in all on \(total.threads) threads", (total.median_us, total.spread),
        (before.median_us, before.spread))
    }
    var earlier: [String: [Row]] = [:]
    for row in old.rows.reversed() { earlier[row.identity, default: []].append(row) }
    for row in rows {
      guard let before = earlier[row.identity]?.popLast() else { continue }
      compare(
        "\(row.name) \(row.op) \(row.shape)", (row.median_us, row.spread),
        (before.median_us, before.spread))
    }
    if isa != old.isa { lines.insert("the older report is of isa \(old.isa)", at: 0) }
    if machine.processor != old.machine.processor {
      lines.insert("the older report is of another machine: \(old.machine.processor)", at: 0)
    }
    return (lines + ["\(same) measurements within their noise"]).joined(separator: "\n")
  }
}

extension BenchmarkReport.Row {
  /// What makes two rows the same work.
  fileprivate var identity: String { "\(name)|\(op)|\(shape)|\(threads)" }
}
