import Glibc

/// How much memory a program that starts now can have before the system ends it.
package struct FreeMemory: Sendable {
  /// Bytes.
  package let byteCount: Int
  /// What the number comes from, for people.
  package let reason: String

  /// The least of what the kernel thinks is available and of what is left in the control groups (v1 and
  /// v2) that the process belongs to; `nil` where the system tells neither.
  ///
  /// - Parameter root: Where `proc` and `sys` lie.
  package init?(root: String = "") {
    var least: FreeMemory?
    func consider(_ byteCount: Int?, _ reason: String) {
      guard let byteCount, byteCount < least?.byteCount ?? Int.max else { return }
      least = FreeMemory(byteCount: max(byteCount, 0), reason: reason)
    }
    consider(FreeMemory.available(root), "MemAvailable")
    for group in FreeMemory.groups(root) {
      consider(group.left, "limit of the control group")
    }
    guard let least else { return nil }
    self = least
  }

  private init(byteCount: Int, reason: String) {
    self.byteCount = byteCount
    self.reason = reason
  }

  /// `MemAvailable` of `/proc/meminfo`, which is in KiB.
  private static func available(_ root: String) -> Int? {
    field("MemAvailable:", of: text(root + "/proc/meminfo")).flatMap {
      $0.multipliedReportingOverflow(by: 1024).overflow ? nil : $0 * 1024
    }
  }

  /// A control group's files.
  private struct Group {
    let folder: String
    let limit: String
    let usage: String
    let cache: [String]

    /// Bytes left below the limit; what only caches files does not count as used, the kernel drops it.
    var left: Int? {
      guard let limit = number(folder + "/" + limit), let used = number(folder + "/" + usage)
      else { return nil }
      let statistics = text(folder + "/memory.stat")
      let cached = cache.reduce(0) { sum, name in
        sum &+ min(max(field(name, of: statistics) ?? 0, 0), used)
      }
      return limit - max(used - min(cached, used), 0)
    }

    /// `nil` for no number ("max": no limit).
    private func number(_ path: String) -> Int? {
      Int(text(path).split(whereSeparator: \.isWhitespace).first ?? "").flatMap { $0 >= 0 ? $0 : nil }
    }
  }

  /// The process's own groups and all above them: each can set a limit.
  private static func groups(_ root: String) -> [Group] {
    var found: [Group] = []
    for line in text(root + "/proc/self/cgroup").split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let isSecond = parts[1].isEmpty
      guard isSecond || parts[1].split(separator: ",").contains("memory") else { continue }
      let mount = root + "/sys/fs/cgroup" + (isSecond ? "" : "/memory")
      // In a container the path may be that of the host: then only the mount itself is there.
      var path = parts[2][...]
      while true {
        let folder = mount + (path == "/" ? "" : path)
        found.append(
          isSecond
            ? Group(
              folder: folder, limit: "memory.max", usage: "memory.current",
              cache: ["inactive_file", "active_file"])
            : Group(
              folder: folder, limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes",
              cache: ["total_inactive_file", "total_active_file"]))
        guard let slash = path.lastIndex(of: "/"), path != "/" else { break }
        path = slash == path.startIndex ? "/" : path[..<slash]
      }
    }
    return found
  }

  /// The number behind a name at the start of a line.
  private static func field(_ name: String, of text: String) -> Int? {
    for line in text.split(separator: "\n") {
      let words = line.split(whereSeparator: \.isWhitespace)
      if words.count >= 2, words[0] == name { return Int(words[1]) }
    }
    return nil
  }

  /// The first 64 KiB of a file of the system, empty if it cannot be read.
  private static func text(_ path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
