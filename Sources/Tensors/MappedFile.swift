import Glibc

/// A read-only memory mapping of a whole file: pages are read when touched and shared with every
/// process that maps the same file.
package final class MappedFile: Sendable {
  package let path: String

  // SAFETY: the mapping is made before `init` returns, is read-only, and is undone in `deinit`;
  // whoever hands out pieces of it keeps this object alive.
  nonisolated(unsafe) package let bytes: UnsafeRawBufferPointer
  private let descriptor: Int32

  package init(path: String) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, action: "open", code: errno) }
    var isKept = false
    defer { if !isKept { close(descriptor) } }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileError(path: path, action: "stat", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FileError(
        path: path, action: "map", code: status.st_mode & S_IFMT == S_IFDIR ? EISDIR : EINVAL)
    }
    self.path = path
    self.descriptor = descriptor
    guard status.st_size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      isKept = true
      return
    }
    let address = mmap(nil, Int(status.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else {
      throw FileError(path: path, action: "map", code: errno)
    }
    bytes = UnsafeRawBufferPointer(start: address, count: Int(status.st_size))
    isKept = true
  }

  deinit {
    close(descriptor)
    if let address = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
    }
  }

  /// Copies a piece of the file that is not touched where it is mapped: of a few bytes here and there the system
  /// would map 64 KiB around each.
  package func read(_ piece: UnsafeRawBufferPointer, into target: UnsafeMutableRawPointer) {
    guard let first = bytes.baseAddress, let start = piece.baseAddress else { return }
    var done = 0
    while done < piece.count {
      let count = pread(descriptor, target + done, piece.count - done, off_t(start - first + done))
      if count == 0 || count < 0 && errno != EINTR { break }
      done += max(count, 0)
    }
    // What cannot be read is there all the same.
    (target + done).copyMemory(from: start + done, byteCount: piece.count - done)
  }

  /// Tells the system that the pages which lie wholly inside `range` are not needed for now; they
  /// are read again from the file when touched.
  package func dropPages(_ range: UnsafeRawBufferPointer) { MappedFile.dropPages(range) }

  /// As above, of whatever file.
  static func dropPages(_ range: UnsafeRawBufferPointer) {
    guard let start = range.baseAddress else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let first = (Int(bitPattern: start) + page - 1) / page * page
    let last = (Int(bitPattern: start) + range.count) / page * page
    guard last > first, let address = UnsafeMutableRawPointer(bitPattern: first) else { return }
    _ = madvise(address, last - first, MADV_DONTNEED)
  }
}

/// The system refused to do something with a file.
package struct FileError: Error, CustomStringConvertible {
  package let path: String
  /// What was tried, e.g. "open".
  package let action: String
  /// `errno` of the refusal.
  package let code: Int32

  package init(path: String, action: String, code: Int32) {
    self.path = path
    self.action = action
    self.code = code
  }

  package var description: String {
    "cannot \(action) '\(path)': \(String(cString: strerror(code)))"
  }
}
