import Glibc
import PipitTokenizers

/// The lines of the goldens and what the reference library makes of them; `make_goldens.py` tells
/// the formats.
enum GoldenLines {
  static let folder = path(ofFolderOf: #filePath) + "/Goldens"

  static func path(ofFolderOf file: String) -> String {
    String(file[..<(file.lastIndex(of: "/") ?? file.startIndex)])
  }

  /// The content of a file, or nil if there is none.
  static func read(_ path: String) -> [UInt8]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { return bytes }
      bytes.append(contentsOf: buffer[..<count])
    }
  }

  /// The golden files of a folder.
  static func goldens(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasSuffix(".golden") { names.append(folder + "/" + name) }
    }
    return names.sorted()
  }

  /// The tokenizer files that a folder has, by name.
  static func tokenizerFiles(in folder: String) -> [String: [UInt8]] {
    var contents: [String: [UInt8]] = [:]
    for name in Tokenizer.fileNames { contents[name] = read(folder + "/" + name) }
    return contents
  }

  /// Of how many lines or damaged files one is looked at: unoptimized code takes too long for all.
  #if DEBUG
    static let stride = 11
  #else
    static let stride = 1
  #endif

  /// The committed lines, in order.
  static let committed = lines(in: folder)

  /// The lines that the goldens of a folder are about, in order.
  static func lines(in folder: String) -> [[UInt8]] {
    let bytes = read(folder + "/lines.txt") ?? []
    return bytes.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast().map(content)
  }

  private static func content(_ line: ArraySlice<UInt8>) -> [UInt8] {
    guard line.starts(with: #"\*"#.utf8), let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
      return unescaped(line)
    }
    let count = Int(String(decoding: line[(line.startIndex + 2)..<colon], as: UTF8.self)) ?? 0
    let unit = unescaped(line[(colon + 1)...])
    return (0..<count).flatMap { _ in unit }
  }

  private static func unescaped(_ line: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    var index = line.startIndex
    while index < line.endIndex {
      if line[index] == UInt8(ascii: "\\") {
        let digits = String(decoding: line[(index + 2)..<(index + 4)], as: UTF8.self)
        result.append(UInt8(digits, radix: 16) ?? 0)
        index += 4
      } else {
        result.append(line[index])
        index += 1
      }
    }
    return result
  }

  /// FNV-1a over whole ids, its upper half in hexadecimal.
  static func digest(_ ids: [Int32]) -> String {
    var state: UInt64 = 0xCBF2_9CE4_8422_2325
    for id in ids { state = (state ^ UInt64(UInt32(bitPattern: id))) &* 0x0000_0100_0000_01B3 }
    let digits = String(state >> 32, radix: 16)
    return String(repeating: "0", count: 8 - digits.utf8.count) + digits
  }
}
