import Glibc

/// Floats that end where memory does: to read or write one past the end (or a whole page before the
/// beginning) ends the process, so a test that lives proves that nobody did.
package final class GuardedBuffer {
  package let count: Int

  // SAFETY: points into the mapping that this object owns until `deinit`.
  package let start: UnsafeMutablePointer<Float>
  private let mapping: UnsafeMutableRawPointer
  private let mappingByteCount: Int

  /// A buffer that is filled with one number.
  package init(count: Int, filledWith value: Float = 0) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let used = (max(count, 1) * MemoryLayout<Float>.stride + page - 1) / page * page
    mappingByteCount = used + 2 * page
    let flags = MAP_PRIVATE | MAP_ANONYMOUS
    guard let memory = mmap(nil, mappingByteCount, PROT_READ | PROT_WRITE, flags, -1, 0),
      memory != MAP_FAILED
    else { preconditionFailure("no memory for a test of \(count) floats") }
    precondition(mprotect(memory, page, PROT_NONE) == 0)
    precondition(mprotect(memory + page + used, page, PROT_NONE) == 0)
    mapping = memory
    start = (memory + page + used - count * MemoryLayout<Float>.stride)
      .bindMemory(to: Float.self, capacity: count)
    self.count = count
    start.initialize(repeating: value, count: count)
  }

  package convenience init(_ values: [Float]) {
    self.init(count: values.count)
    for (index, value) in values.enumerated() { start[index] = value }
  }

  deinit { munmap(mapping, mappingByteCount) }

  package var values: [Float] { Array(UnsafeBufferPointer(start: start, count: count)) }
}
