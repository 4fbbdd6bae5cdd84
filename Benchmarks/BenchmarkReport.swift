/// What a benchmark found: the document that `pipit bench -o json` prints.
package struct BenchmarkReport: Codable, Sendable {
  /// One layer of a model, or one kernel at one shape.
  package struct Row: Codable, Sendable {
    package var name: String
    package var op: String
    package var shape: String
    package var kernel: String
    package var isa: String
    package var threads: Int
    package var median_us: Double
    /// Half the distance between the quartiles over the median.
    package var spread: Double
    /// Of the model's total; 0 for a kernel on its own.
    package var share: Double
    /// Nominal: two operations for each multiply-add of the definition.
    package var gflops: Double
    /// Of the measured compute peak; Winograd's convolutions can pass 1.
    package var peak_share: Double
    package var gb_s: Double
    /// Of the measured pace of reading memory; what lies in a cache can pass 1.
    package var bandwidth_share: Double
    /// "compute" or "memory": which limit is nearer on paper.
    package var bound: String

    package init(
      name: String, op: String, shape: String, kernel: String, isa: String, threads: Int,
      median_us: Double, spread: Double, share: Double, gflops: Double, peak_share: Double,
      gb_s: Double, bandwidth_share: Double, bound: String
    ) {
      self.name = name
      self.op = op
      self.shape = shape
      self.kernel = kernel
      self.isa = isa
      self.threads = threads
      self.median_us = median_us
      self.spread = spread
      self.share = share
      self.gflops = gflops
      self.peak_share = peak_share
      self.gb_s = gb_s
      self.bandwidth_share = bandwidth_share
      self.bound = bound
    }
  }

  /// A whole model at one number of threads.
  package struct Total: Codable, Sendable {
    package var threads: Int
    package var median_us: Double
    package var spread: Double
    package var runs_us: [Double]
    package var gflops: Double
    package var peak_share: Double
    package var arena_bytes: Int
    package var arena_lower_bound: Int
    package var packed_bytes: Int
    package var scratch_bytes: Int
  }

  package var machine: MachineState
  package var version: String
  package var isa: String
  package var model: String
  package var peaks: [Peaks]
  package var rows: [Row] = []
  /// Of the first number of threads asked for.
  package var total: Total?
  package var totals: [Total] = []
  /// The machine when all was done.
  package var machine_after: MachineState?

  /// A report of nothing yet.
  package init(
    machine: MachineState, version: String, isa: String, model: String, peaks: [Peaks]
  ) {
    self.machine = machine
    self.version = version
    self.isa = isa
    self.model = model
    self.peaks = peaks
  }
}

extension BenchmarkReport.Row {
  /// Fills in rates and shares from nominal operations and bytes.
  init(
    name: String, op: String, shape: String, kernel: String, isa: String, timing: Timing,
    operations: Int, bytes: Int, peaks: Peaks
  ) {
    let seconds = timing.median / 1e6
    let gflops = seconds > 0 ? Double(operations) / seconds / 1e9 : 0
    let gigabytes = seconds > 0 ? Double(bytes) / seconds / 1e9 : 0
    let peak = peaks.compute(ofKernel: kernel)
    let isComputing = Double(operations) / peak >= Double(bytes) / peaks.readGBs
    self.init(
      name: name, op: op, shape: shape, kernel: kernel, isa: isa, threads: peaks.threads,
      median_us: timing.median, spread: timing.spread, share: 0, gflops: gflops,
      peak_share: gflops / peak, gb_s: gigabytes,
      bandwidth_share: gigabytes / peaks.readGBs, bound: isComputing ? "compute" : "memory")
  }
}
