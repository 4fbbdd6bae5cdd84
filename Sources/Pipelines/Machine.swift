import Glibc
package import PipitKernels
package import PipitRuntime

/// What everything is computed with: the kernels of one level, and the threads.
package final class Machine {
  package let kernels: KernelTable
  package let pool: ThreadPool

  /// The machine's physical memory.
  static var memoryByteCount: Int {
    let (pages, size) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
    return pages > 0 && size > 0 ? pages * size : Int.max
  }

  /// The best level of this processor, or the one that `PIPIT_ISA` names; as many threads as asked
  /// for, or as there are processors.
  package init(threadCount: Int? = nil) throws {
    kernels = try KernelTable.chosen()
    pool = ThreadPool(threadCount: threadCount ?? ThreadPool.processorCount)
  }
}
