import CSystem
import Glibc

/// Memory that a process has had its use of and would keep all the same.
package enum SpentMemory {
  /// Gives the system the freed blocks that the allocator holds. What is allocated afterwards takes new pages.
  package static func giveBackBlocks() { malloc_trim(0) }

  /// Gives back the pages of machine code and of constants that were used; those that are used again are mapped
  /// again, from the file cache.
  ///
  /// Reading settings, building a graph and packing weights touch 13 MB of the program and its libraries, of which
  /// running the model needs two or three: without this a small model would take half as much again. Under a
  /// debugger, whose breakpoints are changes of those pages, they stay.
  package static func giveBackCode() {
    guard !isTraced else { return }
    _ = visit_loaded_files(
      { file, _, _ in
        guard let file = file?.pointee else { return 0 }
        for index in 0..<Int(file.segment_count) {
          SpentMemory.dropPages(of: file.segments[index], at: file.address)
        }
        return 0
      }, nil)
  }

  /// Pages of a segment that nobody can have written to: compilers make no code that is relocated in its place.
  private static func dropPages(of segment: Elf64_Phdr, at address: UInt64) {
    guard segment.p_type == UInt32(PT_LOAD), segment.p_flags & UInt32(PF_W) == 0 else { return }
    MappedFile.dropPages(
      UnsafeRawBufferPointer(
        start: UnsafeRawPointer(bitPattern: UInt(address + segment.p_vaddr)),
        count: Int(segment.p_memsz)))
  }

  /// Whether a debugger looks on.
  private static var isTraced: Bool {
    guard let file = fopen("/proc/self/status", "re") else { return false }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer {
      free(line)
      fclose(file)
    }
    while getline(&line, &capacity, file) >= 0 {
      if let line, strncmp(line, "TracerPid:", 10) == 0 { return strtol(line + 10, nil, 10) != 0 }
    }
    return false
  }
}
