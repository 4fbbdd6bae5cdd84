import Glibc
import PipitTensors
import TestSupport
import Testing

/// A folder for a test's files, removed with them.
final class TemporaryFolder {
  let path: String

  init() {
    var template = Array("/tmp/pipit-formats-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    for name in names { unlink(path + "/" + name) }
    rmdir(path)
  }

  var names: [String] {
    var names: [String] = []
    guard let stream = opendir(path) else { return [] }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Writes a file and returns its path.
  @discardableResult func write(_ name: String, _ bytes: [UInt8]) -> String {
    let file = path + "/" + name
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(descriptor >= 0)
    precondition(Glibc.write(descriptor, bytes, bytes.count) == bytes.count)
    close(descriptor)
    return file
  }

  @discardableResult func write(_ name: String, _ text: String) -> String {
    write(name, Array(text.utf8))
  }
}

/// Feeds a reader every truncation of a file and thousands of seeded bit flips. The reader may throw or
/// return; to live through it all is the test.
func abuse(_ bytes: [UInt8], flips: Int = 3000, _ read: (String) throws -> Void) {
  let folder = TemporaryFolder()
  var refused = 0
  for count in 0..<bytes.count {
    let path = folder.write("x", Array(bytes[..<count]))
    do { try read(path) } catch { refused += 1 }
  }
  #expect(refused >= bytes.count / 2, "most truncations must be noticed")
  var generator = SeededGenerator(seed: 77)
  for _ in 0..<flips {
    var damaged = bytes
    for _ in 0..<Int.random(in: 1...3, using: &generator) {
      let place = Int.random(in: 0..<bytes.count * 8, using: &generator)
      damaged[place / 8] ^= 1 << (place % 8)
    }
    try? read(folder.write("x", damaged))
  }
}

/// The bytes of a safetensors file with a given header and data.
func safetensors(_ header: String, _ data: [UInt8]) -> [UInt8] {
  let length = UInt64(header.utf8.count)
  return withUnsafeBytes(of: length.littleEndian) { Array($0) } + Array(header.utf8) + data
}

func bytes<T>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

/// What the error of `body` says, nothing if it throws none: `#expect(throws:)` returns the error only
/// from Swift 6.1 on.
func message<T>(_ body: () throws -> T) -> String {
  do {
    _ = try body()
    return ""
  } catch {
    return "\(error)"
  }
}
