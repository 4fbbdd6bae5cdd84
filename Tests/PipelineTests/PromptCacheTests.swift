import Glibc
import PipitPipelines
import Testing

/// The cache of prompts: what it gives back is what it was given, or nothing.
@Suite struct PromptCacheTests {
  /// A folder that is removed with its files after `body`.
  private func inFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/pipit-prompts-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
      for name in names(root + "/deep/er") { unlink(root + "/deep/er/" + name) }
      for folder in ["/deep/er", "/deep", ""] { rmdir(root + folder) }
    }
    try body(root + "/deep/er")
  }

  private func names(_ folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  private func bytes(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    return Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
  }

  private func write(_ bytes: [UInt8], _ path: String) {
    guard let file = fopen(path, "w") else { return }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }

  private func states(_ first: Float) -> PromptCache.States {
    PromptCache.States(tokens: 2, width: 3, values: (0..<6).map { first + Float($0) / 7 })
  }

  @Test func whatIsKeptComesBack() throws {
    try inFolder { folder in
      let cache = PromptCache(folder: folder)
      #expect(cache.states("a") == nil)
      cache.store(states(1), "a")
      cache.store(states(2), "b\n猫")
      cache.store(states(3), "a")
      #expect(cache.states("a") == states(3))
      #expect(cache.states("b\n猫") == states(2))
      #expect(cache.states("c") == nil)
      #expect(names(folder).count == 2)
    }
  }

  @Test func whatIsNotWholeIsIgnored() throws {
    try inFolder { folder in
      let cache = PromptCache(folder: folder)
      cache.store(states(1), "key")
      let path = folder + "/" + (try #require(names(folder).first))
      let good = bytes(path)
      for count in 0..<good.count {
        write(Array(good[..<count]), path)
        #expect(cache.states("key") == nil, "\(count) bytes")
      }
      for index in good.indices {
        var bad = good
        bad[index] ^= 1 << UInt8(index % 8)
        write(bad, path)
        #expect(cache.states("key") == nil, "byte \(index)")
      }
      write(good + [0], path)
      #expect(cache.states("key") == nil)
      // Sizes whose product is larger than any memory.
      var enormous = good
      for index in 16 + 8 + 3..<16 + 8 + 3 + 16 { enormous[index] = 0x7F }
      write(enormous, path)
      #expect(cache.states("key") == nil)
      write(good, path)
      #expect(cache.states("key") == states(1))
    }
  }

  @Test func whatWasUsedLastIsKept() throws {
    try inFolder { folder in
      let size = 16 + 8 + 5 + 16 + 24 + 8
      let cache = PromptCache(folder: folder, limit: 3 * size)
      for index in 0..<3 {
        cache.store(states(Float(index)), "key \(index)")
        usleep(20_000)
      }
      // Reading counts as a use.
      #expect(cache.states("key 0") != nil)
      usleep(20_000)
      cache.store(states(3), "key 3")
      #expect(cache.states("key 1") == nil)
      for index in [0, 2, 3] { #expect(cache.states("key \(index)") == states(Float(index))) }
      let small = PromptCache(folder: folder, limit: size - 1)
      small.store(states(4), "key 4")
      #expect(small.states("key 4") == nil)
    }
  }

  @Test func aFolderThatCannotBeIsNoError() {
    let cache = PromptCache(folder: "/proc/nothing/here")
    cache.store(states(1), "key")
    #expect(cache.states("key") == nil)
  }
}
