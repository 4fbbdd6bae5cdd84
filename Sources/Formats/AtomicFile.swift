import Glibc
import PipitTensors

/// Writes a file so that its path holds either all of it or what was there before.
package enum AtomicFile {
  /// Calls `body` with a writer, then moves what it wrote to `path`; on any error nothing is left.
  package static func write(
    to path: String, _ body: (inout FileWriter) throws -> Void
  ) throws {
    try replace(path) { descriptor in
      var writer = FileWriter(descriptor: descriptor, path: path)
      try body(&writer)
      try writer.flush()
    }
  }

  /// A name beside a path that no process uses, nor has left behind when it was killed: in containers every
  /// process may have the same number.
  package static func temporaryName(_ path: String, _ ending: String = "part") -> String {
    let number = UInt64.random(in: UInt64.min...UInt64.max)
    return "\(path).\(String(number, radix: 36)).\(ending)"
  }

  /// Calls `body` with a new file's descriptor, then moves the file to `path`; on any error nothing is left.
  static func replace(_ path: String, _ body: (_ descriptor: Int32) throws -> Void) throws {
    let temporary = temporaryName(path)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError(path: path, action: "write", code: errno) }
    do {
      try fill(descriptor, path, body)
      guard rename(temporary, path) == 0 else {
        throw FileError(path: path, action: "write", code: errno)
      }
    } catch {
      unlink(temporary)
      throw error
    }
  }

  /// Fills, secures and closes the open file.
  private static func fill(
    _ descriptor: Int32, _ path: String, _ body: (Int32) throws -> Void
  ) throws {
    defer { close(descriptor) }
    try body(descriptor)
    guard fsync(descriptor) == 0 else {
      throw FileError(path: path, action: "write", code: errno)
    }
  }

  package static func write(_ bytes: [UInt8], to path: String) throws {
    try write(to: path) { writer in
      try bytes.withUnsafeBytes { try writer.append($0) }
    }
  }
}

/// Appends bytes to an open file, in blocks.
package struct FileWriter {
  private let descriptor: Int32
  private let path: String
  private var buffer: [UInt8] = []
  private static let blockSize = 1 << 20

  init(descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  package mutating func append(_ bytes: UnsafeRawBufferPointer) throws {
    buffer.append(contentsOf: bytes)
    if buffer.count >= FileWriter.blockSize { try flush() }
  }

  package mutating func append(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try append($0) }
  }

  mutating func flush() throws {
    try buffer.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while !rest.isEmpty {
        let block = UnsafeRawBufferPointer(rebasing: rest)
        let written = Glibc.write(descriptor, block.baseAddress, block.count)
        if written < 0 {
          if errno == EINTR { continue }
          throw FileError(path: path, action: "write", code: errno)
        }
        rest = rest.dropFirst(written)
      }
    }
    buffer.removeAll(keepingCapacity: true)
  }
}
