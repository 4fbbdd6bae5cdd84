/// A timeline in the Trace Event Format, which Perfetto and chrome://tracing open.
package struct TraceFile: Encodable, Sendable {
  package struct Event: Encodable, Sendable {
    package struct Arguments: Encodable, Sendable {
      let shape: String
      let kernel: String
      let gflops: Double
      let peak_share: Double
      let bound: String
    }
    let name: String
    let cat: String
    let ph = "X"
    let ts: Double
    let dur: Double
    let pid = 1
    let tid: Int
    let args: Arguments

    private enum CodingKeys: String, CodingKey { case name, cat, ph, ts, dur, pid, tid, args }
  }

  package let traceEvents: [Event]
  package let displayTimeUnit = "ms"

  private enum CodingKeys: String, CodingKey { case traceEvents, displayTimeUnit }

  /// Layers one after the other by their medians, a track for each number of threads.
  package init(_ report: BenchmarkReport) {
    var ends: [Int: Double] = [:]
    traceEvents = report.rows.map { row in
      let start = ends[row.threads, default: 0]
      ends[row.threads] = start + row.median_us
      return Event(
        name: row.name, cat: row.op, ts: start, dur: row.median_us, tid: row.threads,
        args: .init(
          shape: row.shape, kernel: row.kernel, gflops: row.gflops, peak_share: row.peak_share,
          bound: row.bound))
    }
  }
}
