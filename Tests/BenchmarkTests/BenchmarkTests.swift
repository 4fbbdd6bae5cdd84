import PipitBenchmarks
import PipitGraph
import Testing

@Suite struct TimingTests {
  @Test func medianAndSpread() {
    let timing = Timing([4, 1, 3, 2, 100])
    #expect(timing.median == 3)
    #expect(timing.fastest == 1)
    #expect(abs(timing.spread - 1.0 / 3) < 1e-12)
    #expect(Timing([7]).spread == 0)
  }
}

@Suite struct ComparisonTests {
  private func report(_ median: Double, spread: Double) -> BenchmarkReport {
    let state = MachineState.now()
    var report = BenchmarkReport(
      machine: state, version: "0", isa: "scalar", model: "m", peaks: [])
    report.rows = [
      BenchmarkReport.Row(
        name: "layer, 1", op: "linear", shape: "1x2", kernel: "gemm_f32", isa: "scalar", threads: 1,
        median_us: median, spread: spread, share: 1, gflops: 1, peak_share: 0.5, gb_s: 1,
        bandwidth_share: 0.1, bound: "compute")
    ]
    return report
  }

  @Test func onlyWhatPassesTheNoiseIsTold() {
    let old = report(1000, spread: 0.01)
    #expect(report(1020, spread: 0.01).comparison(with: old).contains("1 measurements within"))
    #expect(report(1200, spread: 0.01).comparison(with: old).contains("SLOWER 20.0 %"))
    #expect(report(500, spread: 0.01).comparison(with: old).contains("faster -50.0 %"))
    #expect(report(1200, spread: 0.10).comparison(with: old).contains("1 measurements within"))
  }

  @Test func commasAreQuoted() {
    let csv = report(1, spread: 0).text(.csv)
    #expect(csv.contains("\"layer, 1\",linear,1x2"))
    let columns = csv.split(separator: "\n")[0].split(separator: ",").count
    #expect(columns == 14)
    #expect(report(1, spread: 0).text(.md).contains("| layer, 1 | linear |"))
  }
}
