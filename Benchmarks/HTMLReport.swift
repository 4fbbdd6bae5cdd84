import Glibc
import PipitFormats
package import PipitGraph

/// One self-contained page: a bar for each layer, the roofline, the memory plan, the table.
package struct HTMLReport {
  private let report: BenchmarkReport
  private let plan: String

  /// `graph` is what was timed; its memory plan is drawn.
  package init(_ report: BenchmarkReport, graph: Graph) {
    self.report = report
    plan = PlanPicture(graph).svg
  }

  package var page: String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><title>pipit bench \(escaped(report.model))</title>
    <style>
    body{font:14px/1.4 sans-serif;margin:24px auto;max-width:1240px;color:#222}
    h1{font-size:20px} h2{font-size:16px;margin-top:28px}
    table{border-collapse:collapse;font-size:12px} td,th{padding:2px 8px;text-align:right;border-bottom:1px solid #eee}
    td:nth-child(-n+4),th:nth-child(-n+4){text-align:left}
    .bar{display:flex;align-items:center;font-size:12px;height:17px}
    .bar span:first-child{width:420px;overflow:hidden;white-space:nowrap;text-overflow:ellipsis}
    .bar i{height:12px;display:block} .compute{background:#3b76c4}.memory{background:#d9822b}
    .bar b{font-weight:normal;margin-left:6px;color:#555}
    </style></head><body>
    <h1>\(escaped(report.model))</h1>
    \(summary)
    <h2>Time by layer (blue: bound by arithmetic on paper, orange: by memory)</h2>
    \(bars)
    <h2>Roofline</h2>
    \(roofline)
    <h2>Memory plan</h2>
    \(plan)
    <h2>All layers</h2>
    \(table)
    </body></html>
    """
  }

  private var rows: [BenchmarkReport.Row] {
    report.rows.filter { $0.threads == report.total?.threads }
  }

  private var summary: String {
    let peaks = report.peaks.map {
      "\($0.threads) threads: peak \(decimal($0.gflops, 1)) GFLOP/s, "
        + "\(decimal($0.gops_i8 ?? 0, 0)) GOP/s of 8-bit integers, memory \(decimal($0.readGBs, 1)) GB/s"
    }
    let totals = report.totals.map { escaped(BenchmarkReport.line($0)) }
    let state = [report.machine, report.machine_after].compactMap { $0 }.map { state in
      [
        state.temperature_c.map { "\(decimal($0, 0)) °C" },
        state.frequency_mhz.map { "\(decimal($0, 0)) MHz" },
        state.load.map { "load \(decimal($0, 2))" },
        state.throttled.map { "throttled bits \(String($0, radix: 16))" },
      ].compactMap { $0 }.joined(separator: ", ")
    }
    return "<p>pipit \(report.version), \(escaped(report.machine.processor)), isa \(report.isa)<br>"
      + (peaks + totals).joined(separator: "<br>") + "<br>before: \(state.first ?? "")"
      + (state.count > 1 ? "; after: \(state[1])" : "") + "</p>"
  }

  private var bars: String {
    let longest = rows.map(\.median_us).max() ?? 1
    return rows.map { row in
      let width = max(1, 560 * row.median_us / max(longest, 1e-9))
      return "<div class=\"bar\" title=\"\(escaped(row.shape))\"><span>\(escaped(row.name)) "
        + "<small>\(escaped(row.op))</small></span>"
        + "<i class=\"\(row.bound)\" style=\"width:\(decimal(width, 1))px\"></i>"
        + "<b>\(decimal(row.median_us / 1e3, 3)) ms, \(decimal(100 * row.share, 1)) %, "
        + "\(decimal(100 * row.peak_share, 0)) % of peak</b></div>"
    }.joined(separator: "\n")
  }

  /// Arithmetic intensity from left to right, rate from bottom to top, both by powers of two.
  private var roofline: String {
    guard let peaks = report.peaks.first(where: { $0.threads == report.total?.threads }) else {
      return ""
    }
    let (width, height, margin) = (900.0, 420.0, 50.0)
    func x(_ intensity: Double) -> Double {
      margin + (min(max(log2(intensity), -4), 12) + 4) / 16 * (width - 2 * margin)
    }
    let top = log2(peaks.gflops) + 3
    func y(_ gflops: Double) -> Double {
      height - margin - (max(log2(max(gflops, 1e-3)), top - 16) - top + 16) / 16
        * (height - 2 * margin)
    }
    let knee = peaks.gflops / peaks.readGBs
    var parts = [
      "<svg viewBox=\"0 0 900 420\" width=\"900\" font-family=\"sans-serif\" font-size=\"12\">",
      "<polyline fill=\"none\" stroke=\"#000\" points=\"\(decimal(x(0.0625), 1)),"
        + "\(decimal(y(0.0625 * peaks.readGBs), 1)) \(decimal(x(knee), 1)),"
        + "\(decimal(y(peaks.gflops), 1)) \(decimal(x(4096), 1)),\(decimal(y(peaks.gflops), 1))\"/>",
      "<text x=\"\(decimal(x(knee) + 8, 1))\" y=\"\(decimal(y(peaks.gflops) - 6, 1))\">"
        + "\(decimal(peaks.gflops, 0)) GFLOP/s</text>",
      "<text x=\"450\" y=\"410\" text-anchor=\"middle\">operations a byte (1/16 to 4096)</text>",
    ]
    for row in rows where row.gflops > 0 && row.gb_s > 0 {
      let radius = 2 + 14 * row.share.squareRoot()
      parts.append(
        "<circle cx=\"\(decimal(x(row.gflops / row.gb_s), 1))\" cy=\"\(decimal(y(row.gflops), 1))\" "
          + "r=\"\(decimal(radius, 1))\" fill=\"\(row.bound == "compute" ? "#3b76c4" : "#d9822b")\" "
          + "fill-opacity=\"0.5\"><title>\(escaped(row.name)) \(escaped(row.op)): "
          + "\(decimal(row.gflops, 1)) GFLOP/s</title></circle>")
    }
    return (parts + ["</svg>"]).joined(separator: "\n")
  }

  private var table: String {
    let heads = [
      "name", "op", "shape", "kernel", "ms", "spread %", "share %", "GFLOP/s", "peak %", "GB/s",
      "bandwidth %",
    ]
    let lines = rows.map { row in
      [
        escaped(row.name), escaped(row.op), escaped(row.shape), row.kernel,
        decimal(row.median_us / 1e3, 3), decimal(100 * row.spread, 1), decimal(100 * row.share, 1),
        decimal(row.gflops, 1), decimal(100 * row.peak_share, 0), decimal(row.gb_s, 1),
        decimal(100 * row.bandwidth_share, 0),
      ].map { "<td>\($0)</td>" }.joined()
    }
    return "<table><tr>" + heads.map { "<th>\($0)</th>" }.joined() + "</tr>"
      + lines.map { "<tr>\($0)</tr>" }.joined(separator: "\n") + "</table>"
  }
}
