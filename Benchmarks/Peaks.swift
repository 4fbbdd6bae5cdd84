import Glibc
package import PipitRuntime
package import PipitKernels

/// What this machine can do at most, measured by the process that compares itself with it.
package struct Peaks: Codable, Sendable {
  /// Multiply-adds on registers, with the level's widest vectors.
  package let gflops: Double
  /// As `gflops`, of 8-bit integers with 32-bit sums.
  package let gops_i8: Double?
  /// Reading memory far larger than any cache.
  package let readGBs: Double
  package let threads: Int

  /// The pace that a kernel's arithmetic is compared with.
  func compute(ofKernel name: String) -> Double {
    ["gemm_i8", "conv2d_i8", "winograd_i8"].contains(name) ? gops_i8 ?? gflops : gflops
  }

  /// Takes about a third of a second.
  package static func measured(kernels: KernelTable, pool: ThreadPool) -> Peaks {
    func peak(_ compute: @escaping (_ rounds: Int) -> Int) -> Double {
      let work = PeakWork(compute)
      let operations = Double(work.operationsPerTile * pool.threadCount)
      return operations / best(of: 8) { pool.run(work, tileCount: pool.threadCount) } / 1e9
    }
    let floats = peak(kernels.computeAtPeak)
    let integers = peak(kernels.computeIntegersAtPeak)
    let reading = readGBs(kernels, pool)
    forgetPeakMemory()
    return Peaks(
      gflops: floats, gops_i8: integers, readGBs: reading,
      threads: pool.threadCount)
  }

  private static func readGBs(_ kernels: KernelTable, _ pool: ThreadPool) -> Double {
    let read = ReadWork(kernels: kernels, tiles: pool.threadCount)
    let seconds = best(of: 3) { pool.run(read, tileCount: pool.threadCount) }
    return Double(read.byteCount) / seconds / 1e9
  }

  /// What the measuring itself needed must not count as the most memory that a model's run took.
  private static func forgetPeakMemory() {
    guard let file = fopen("/proc/self/clear_refs", "w") else { return }
    fputs("5", file)
    fclose(file)
  }

  /// The shortest of several times in seconds: a limit is what was reached undisturbed.
  private static func best(of count: Int, _ body: () -> Void) -> Double {
    var shortest = Double.infinity
    for _ in 0..<count {
      let start = monotonicNanoseconds()
      body()
      shortest = min(shortest, Double(monotonicNanoseconds() - start) / 1e9)
    }
    return shortest
  }
}

private final class PeakWork: TiledWork {
  private static let rounds = 4000
  private let compute: (_ rounds: Int) -> Int
  let operationsPerTile: Int

  init(_ compute: @escaping (_ rounds: Int) -> Int) {
    self.compute = compute
    operationsPerTile = compute(1) * PeakWork.rounds
  }

  func run(tile: Int, worker: Int) { _ = compute(PeakWork.rounds) }
}

private final class ReadWork: TiledWork {
  /// 256 MB, or what a small board can spare.
  private static let floatCount = min(64 << 20, Int(sysconf(Int32(_SC_PHYS_PAGES))) * 128)
  private let kernels: KernelTable
  private let memory: UnsafeMutablePointer<Float>
  private let perTile: Int
  let byteCount: Int

  init(kernels: KernelTable, tiles: Int) {
    self.kernels = kernels
    perTile = ReadWork.floatCount / tiles / 64 * 64
    byteCount = perTile * tiles * MemoryLayout<Float>.stride
    memory = .allocate(capacity: perTile * tiles)
    memory.initialize(repeating: 1, count: perTile * tiles)
  }

  deinit { memory.deallocate() }

  func run(tile: Int, worker: Int) { _ = kernels.read(memory + tile * perTile, count: perTile) }
}
