import Glibc
import Testing

/// The code's own rules, checked on its own files.
@Suite struct TidyTests {
  static let root = #filePath.components(dropping: 3)
  static let files = sourceFiles(root)

  /// A rule and the lines that break it.
  private func check(
    _ files: [SourceFile], _ rule: String, _ isBroken: (Substring) -> Bool
  ) {
    for file in files {
      for (number, line) in file.lines.enumerated() where isBroken(line) {
        Issue.record("\(file.path):\(number + 1): \(rule): \(line.prefix(80))")
      }
    }
  }

  private var swift: [SourceFile] { Self.files.filter { $0.path.hasSuffix(".swift") } }
  private var c: [SourceFile] {
    Self.files.filter { $0.path.hasSuffix(".c") || $0.path.hasSuffix(".h") }
  }

  @Test func finds() {
    #expect(swift.count > 50, "the tree was not found at \(Self.root)")
    #expect(c.count > 10)
  }

  @Test func linesAreShort() {
    // Target regions of C headers cannot be broken.
    let data = swift.filter { !$0.path.hasSuffix("Data.swift") } + c
    check(data, "longer than 120 columns") {
      $0.count > 120 && !$0.hasPrefix("#pragma") && !$0.contains("https://")
    }
  }

  @Test func filesAreShort() {
    for file in swift where !file.path.hasSuffix("Data.swift") {
      let limit = file.path.contains("/Tests/") ? 600 : 400
      #expect(file.lines.count <= limit, "\(file.path) has \(file.lines.count) lines")
    }
  }

  @Test func noTrailingCommaInCalls() {
    // Swift 6.0 does not take it.
    for file in swift where !file.path.hasSuffix("TidyTests.swift") {
      for (number, pair) in zip(file.lines, file.lines.dropFirst()).enumerated() {
        let next = pair.1.drop { $0 == " " }
        #expect(
          !(pair.0.hasSuffix(",") && next.hasPrefix(")")),
          "\(file.path):\(number + 1): a comma before ')'")
      }
    }
  }

  @Test func noShortcuts() {
    let sources = swift.filter { !$0.path.contains("/Tests/") }
    check(sources, "try!") { $0.contains("try!") }
    check(sources, "as!") { $0.contains(" as! ") }
    check(swift.filter { !$0.path.hasSuffix("TidyTests.swift") }, "@testable") {
      $0.contains("@testable")
    }
    check(sources, "unfinished") { $0.contains("TODO") || $0.contains("FIXME") }
  }

  @Test func unsafetyIsArguedFor() {
    for file in swift where !file.path.contains("/Tests/") {
      for (number, line) in file.lines.enumerated()
      where line.contains("nonisolated(unsafe)") || line.contains("@unchecked Sendable") {
        let near = file.lines[max(0, number - 6)..<min(file.lines.count, number + 6)]
        #expect(
          near.contains { $0.contains("SAFETY") }, "\(file.path):\(number + 1): no // SAFETY: near")
      }
    }
  }

  @Test func importsStayInsideBorders() {
    for file in swift where !file.path.contains("/Tests/") {
      let importsKernels = file.lines.contains { $0.hasSuffix("import CKernels") }
      #expect(!importsKernels || file.path.contains("/Sources/Kernels/"), "\(file.path)")
      #expect(!file.lines.contains { $0.hasSuffix("import Foundation") }, "\(file.path)")
    }
  }

  @Test func kernelsStateTheirPreconditions() {
    for file in c where file.path.contains("/shared/") && file.path.hasSuffix("_f32_body.h") {
      let text = file.lines.joined(separator: "\n")
      #expect(
        text.contains("ASSUME(") || file.path.hasSuffix("/epilogue_f32_body.h"), "\(file.path)")
    }
  }
}

struct SourceFile {
  let path: String
  let lines: [Substring]
}

/// Every Swift and C file of the package's own folders.
private func sourceFiles(_ root: String) -> [SourceFile] {
  var files: [SourceFile] = []
  var folders = ["Sources", "Models", "Quantize", "Benchmarks", "Tests"].map { root + "/" + $0 }
  while let folder = folders.popLast() {
    guard let stream = opendir(folder) else { continue }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.hasPrefix(".") { continue }
      let path = folder + "/" + name
      var status = stat()
      guard stat(path, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        folders.append(path)
      } else if [".swift", ".c", ".h"].contains(where: path.hasSuffix), let text = contents(path) {
        files.append(
          SourceFile(
            path: path, lines: text.split(separator: "\n", omittingEmptySubsequences: false)))
      }
    }
  }
  return files
}

private func contents(_ path: String) -> String? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var block = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = fread(&block, 1, block.count, file)
    if count == 0 { break }
    bytes += block[..<count]
  }
  return String(decoding: bytes, as: UTF8.self)
}

extension String {
  /// The path without its last parts.
  fileprivate func components(dropping count: Int) -> String {
    var path = self[...]
    for _ in 0..<count { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
    return String(path)
  }
}
