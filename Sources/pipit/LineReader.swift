import Glibc
import PipitTensors

/// Lines of a file or of standard input, one after the other. What is not UTF-8 becomes U+FFFD; of a line
/// that never ends, a megabyte is kept.
struct LineReader {
  private let path: String
  private let stream: UnsafeMutablePointer<FILE>
  private static let limit = 1 << 20

  init(path: String) throws {
    self.path = path
    var status = stat()
    if path != "-", stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      throw FileError(path: path, action: "read", code: EISDIR)
    }
    guard let stream = path == "-" ? fdopen(STDIN_FILENO, "r") : fopen(path, "r") else {
      throw FileError(path: path, action: "open", code: errno)
    }
    self.stream = stream
  }

  /// Lines that `forEachWindow` reads at once: enough to fill batches of texts of about equal length.
  private static let window = 64

  /// Calls `body` with the lines of a file, many at a time, and writes out what it printed each time.
  static func forEachWindow(of path: String, _ body: ([String]) throws -> Void) throws {
    var reader = try LineReader(path: path)
    while true {
      var lines: [String] = []
      while lines.count < window, let line = try reader.next() { lines.append(line) }
      if lines.isEmpty { return }
      try body(lines)
      fflush(nil)
    }
  }

  /// The next line without its end, `nil` after the last.
  mutating func next() throws -> String? {
    var bytes: [UInt8] = []
    while true {
      let byte = getc_unlocked(stream)
      if byte == EOF {
        if ferror(stream) != 0 { throw FileError(path: path, action: "read", code: errno) }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
      }
      if byte == 10 {
        if bytes.last == 13 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
      }
      if bytes.count < Self.limit { bytes.append(UInt8(truncatingIfNeeded: byte)) }
    }
  }
}
