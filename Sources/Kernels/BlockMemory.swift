import Glibc

/// One block of memory for numbers: 64-byte aligned, in large pages where it is large, which saves
/// the time of touching each small page first and of looking addresses up ever after.
package enum BlockMemory {
  private static let hugePage = 2 << 20

  /// Not initialized; freed with `deallocate`.
  package static func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
    guard byteCount >= hugePage else {
      return UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 1), alignment: 64)
    }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: hugePage)
    // Whole large pages only, so that no byte more than asked for becomes resident.
    _ = madvise(memory, byteCount / hugePage * hugePage, MADV_HUGEPAGE)
    return memory
  }
}
