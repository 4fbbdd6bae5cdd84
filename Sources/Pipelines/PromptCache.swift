import Glibc
import PipitFormats
import PipitTensors

/// States of prompts on disk, so that the text encoder of a large model is not loaded for a prompt that it
/// has read before. A folder of files of at most so many bytes in all; what has not been used for longest
/// goes first. Whatever cannot be read, or is not whole, is as if it were not there.
package struct PromptCache: Sendable {
  /// The states of one text, `[tokens, width]`.
  package struct States: Hashable, Sendable {
    package let tokens: Int
    package let width: Int
    package let values: [Float]

    package init(tokens: Int, width: Int, values: [Float]) {
      precondition(values.count == tokens * width)
      self.tokens = tokens
      self.width = width
      self.values = values
    }
  }

  package let folder: String
  private let limit: Int

  /// Begins each file; the number counts changes of the format and of how states are computed.
  private static let signature = Array("pipit prompt 001".utf8)
  private static let suffix = ".states"

  package init(folder: String, limit: Int = 64 << 20) {
    self.folder = folder
    self.limit = limit
  }

  /// `pipit/prompts` in `$XDG_CACHE_HOME`, or in `.cache` of `$HOME`; `nil` where neither is an absolute path.
  package static var standard: PromptCache? {
    func path(_ name: String) -> String? {
      guard let value = getenv(name), value.pointee == UInt8(ascii: "/") else { return nil }
      return String(cString: value)
    }
    return (path("XDG_CACHE_HOME") ?? path("HOME").map { $0 + "/.cache" }).map {
      PromptCache(folder: $0 + "/pipit/prompts")
    }
  }

  /// What a file is recognized by without reading it; `nil` if it is not there.
  package static func identity(ofFile path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0, let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    let time = status.st_mtim
    return "\(String(cString: real)) \(status.st_size) bytes of \(time.tv_sec).\(time.tv_nsec)"
  }

  // MARK: Reading

  /// The states kept under a key.
  package func states(_ key: String) -> States? {
    let path = path(key)
    guard let file = try? MappedFile(path: path), let states = Self.parse(file.bytes, key: key)
    else { return nil }
    // The time tells what was used last.
    utimensat(AT_FDCWD, path, nil, 0)
    return states
  }

  /// signature, count of the key's bytes, key, tokens, width, values, checksum of all before it.
  private static func parse(_ bytes: UnsafeRawBufferPointer, key: String) -> States? {
    var rest = bytes[...]
    func take(_ count: Int) -> UnsafeRawBufferPointer? {
      guard count >= 0, count <= rest.count else { return nil }
      defer { rest = rest.dropFirst(count) }
      return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
    }
    func number() -> Int? {
      take(8).flatMap { Int(exactly: UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))) }
    }
    guard bytes.count >= 8, take(signature.count)?.elementsEqual(signature) == true,
      let keyCount = number(), take(keyCount)?.elementsEqual(key.utf8) == true,
      let tokens = number(), let width = number(), tokens > 0, width > 0,
      tokens <= bytes.count / 4 / width, let values = take(4 * tokens * width), let checksum = take(8), rest.isEmpty,
      checksum.loadUnaligned(as: UInt64.self).littleEndian == hash(bytes.dropLast(8))
    else { return nil }
    return States(
      tokens: tokens, width: width,
      values: (0..<tokens * width).map {
        Float(
          bitPattern: UInt32(
            littleEndian: values.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
      })
  }

  // MARK: Writing

  /// Keeps states under a key. A cache that cannot be written is none: errors do not matter.
  package func store(_ states: States, _ key: String) {
    var bytes = PromptCache.signature
    func append(_ number: UInt64) { withUnsafeBytes(of: number.littleEndian) { bytes += $0 } }
    append(UInt64(key.utf8.count))
    bytes += Array(key.utf8)
    append(UInt64(states.tokens))
    append(UInt64(states.width))
    for value in states.values {
      withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }
    append(bytes.withUnsafeBytes { PromptCache.hash($0[...]) })
    guard bytes.count <= limit else { return }
    makeFolder()
    try? AtomicFile.write(bytes, to: path(key))
    prune()
  }

  private func makeFolder() {
    var path = ""
    for part in folder.split(separator: "/") {
      path += "/" + part
      mkdir(path, 0o700)
    }
  }

  /// Removes files, those not used for longest first, until the rest take no more than the limit.
  private func prune() {
    var files: [(path: String, size: Int, time: Double)] = []
    var total = 0
    for name in FolderListing.names(folder) where name.hasSuffix(PromptCache.suffix) {
      var status = stat()
      let path = folder + "/" + name
      guard stat(path, &status) == 0 else { continue }
      let time = Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) / 1e9
      files.append((path, Int(status.st_size), time))
      total += Int(status.st_size)
    }
    for file in files.sorted(by: { ($0.time, $0.path) < ($1.time, $1.path) }) where total > limit {
      unlink(file.path)
      total -= file.size
    }
  }

  // MARK: Names

  private func path(_ key: String) -> String {
    let hash = Array(key.utf8).withUnsafeBytes { PromptCache.hash($0[...]) }
    let digits = String(hash, radix: 16)
    return folder + "/" + String(repeating: "0", count: 16 - digits.count) + digits
      + PromptCache.suffix
  }

  /// FNV-1a (Fowler, Noll and Vo) of 64 bits.
  private static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return hash
  }
}

/// The names in a folder.
enum FolderListing {
  /// Sorted; empty if the folder cannot be read.
  static func names(_ folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
