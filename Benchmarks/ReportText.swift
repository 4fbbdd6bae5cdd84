import PipitFormats

/// How a report is printed.
package enum ReportFormat: String, Sendable, CaseIterable {
  case table, md, csv, json, jsonl
}

extension BenchmarkReport {
  /// The rows as text for people or spreadsheets; JSON is the encoder's business.
  package func text(_ format: ReportFormat) -> String {
    let cells = [Row.heads] + rows.map(\.cells)
    switch format {
    case .csv: return cells.map { $0.map(quoted).joined(separator: ",") }.joined(separator: "\n")
    case .md:
      let rule = Row.heads.indices.map { $0 < Row.textColumns ? "---" : "---:" }
      return ([cells[0], rule] + cells.dropFirst()).map { "| " + $0.joined(separator: " | ") + " |" }
        .joined(separator: "\n")
    default: return aligned(cells)
    }
  }

  private func quoted(_ cell: String) -> String {
    let needsQuotes = cell.contains { $0 == "," || $0 == "\"" || $0 == "\n" }
    return needsQuotes ? "\"" + cell.split(separator: "\"", omittingEmptySubsequences: false)
      .joined(separator: "\"\"") + "\"" : cell
  }

  private func aligned(_ cells: [[String]]) -> String {
    let widths = cells[0].indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
    return cells.map { row in
      let padded = row.indices.map { column in
        let space = String(repeating: " ", count: widths[column] - row[column].count)
        return column < Row.textColumns ? row[column] + space : space + row[column]
      }
      var line = padded.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line
    }.joined(separator: "\n")
  }

  /// One line for a model's total.
  package static func line(_ total: Total) -> String {
    "\(total.threads) thread\(total.threads == 1 ? "" : "s"): "
      + "\(decimal(total.median_us / 1e3, 3)) ms ± \(decimal(100 * total.spread, 1)) %, "
      + "\(decimal(total.gflops, 1)) GFLOP/s, \(decimal(100 * total.peak_share, 0)) % of peak, "
      + "arena \(decimal(Double(total.arena_bytes) / 1e6, 2)) MB "
      + "(\(decimal(Double(total.arena_bytes) / Double(max(total.arena_lower_bound, 1)), 3)) of the bound), "
      + "weights \(decimal(Double(total.packed_bytes) / 1e6, 1)) MB, "
      + "scratch \(decimal(Double(total.scratch_bytes) / 1e6, 1)) MB"
  }
}

extension BenchmarkReport.Row {
  fileprivate static let heads = [
    "name", "op", "shape", "kernel", "isa", "threads", "median_us", "spread_%", "share_%",
    "gflop_s", "peak_%", "gb_s", "bandwidth_%", "bound",
  ]
  /// The first columns are words, the others numbers.
  fileprivate static let textColumns = 5

  fileprivate var cells: [String] {
    [
      name, op, shape, kernel, isa, "\(threads)", decimal(median_us, 1), decimal(100 * spread, 1),
      decimal(100 * share, 1), decimal(gflops, 1), decimal(100 * peak_share, 0), decimal(gb_s, 1),
      decimal(100 * bandwidth_share, 0), bound,
    ]
  }
}
