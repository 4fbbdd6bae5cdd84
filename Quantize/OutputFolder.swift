import Glibc
import PipitFormats
import PipitTensors

/// A folder that is written beside its place and moved there when it is complete.
struct OutputFolder {
  let path: String
  /// Where files are written until then.
  let temporary: String
  private let replaces: Bool

  /// `force`: take the place of what is at `path` already.
  init(path: String, force: Bool) throws {
    var path = path
    while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
    replaces = access(path, F_OK) == 0
    if replaces && !force {
      throw FormatError(
        path: path, expected: "a folder that is not there yet (or --force)", found: "one")
    }
    self.path = path
    temporary = AtomicFile.temporaryName(path)
    try OutputFolder.makeFolder(temporary, for: path)
  }

  static func makeFolder(_ path: String, for target: String) throws {
    guard mkdir(path, 0o755) == 0 else {
      throw FileError(path: target, action: "write", code: errno)
    }
  }

  /// Puts the folder in its place; what was there is removed only after that.
  func commit() throws {
    let old = AtomicFile.temporaryName(path, "old")
    if replaces {
      guard rename(path, old) == 0 else {
        throw FileError(path: path, action: "write", code: errno)
      }
    }
    guard rename(temporary, path) == 0 else {
      let code = errno
      if replaces { rename(old, path) }
      throw FileError(path: path, action: "write", code: code)
    }
    if replaces { FileTree.remove(old) }
  }

  func discard() { FileTree.remove(temporary) }
}

/// Files and folders as they lie.
enum FileTree {
  /// Folders inside each other that are followed; links can make rings.
  private static let depthLimit = 16

  /// The names in a folder, sorted.
  static func names(_ folder: String) throws -> [String] {
    guard let stream = opendir(folder) else {
      throw FileError(path: folder, action: "read", code: errno)
    }
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

  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func isFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// Copies a file or a folder with all that is in it; links become what they lead to, hidden folders
  /// stay behind.
  static func copy(_ source: String, to target: String, depth: Int = 0) throws {
    guard depth <= depthLimit else {
      throw FormatError(
        path: source, expected: "at most \(depthLimit) folders inside each other", found: "more")
    }
    if isFolder(source) {
      try OutputFolder.makeFolder(target, for: target)
      for name in try names(source) where isCopied(source + "/" + name, name) {
        try copy(source + "/" + name, to: target + "/" + name, depth: depth + 1)
      }
      return
    }
    let file = try MappedFile(path: source)
    try AtomicFile.write(to: target) { writer in
      var rest = file.bytes[...]
      while !rest.isEmpty {
        let block = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 20))
        try writer.append(block)
        rest = rest.dropFirst(block.count)
      }
    }
    file.dropPages(file.bytes)
  }

  /// Regular files, and folders that are not hidden.
  static func isCopied(_ path: String, _ name: String) -> Bool {
    isFile(path) || (isFolder(path) && !name.hasPrefix("."))
  }

  /// Removes a tree that this program made; links are removed, not followed.
  static func remove(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      unlink(path)
      return
    }
    for name in (try? names(path)) ?? [] { remove(path + "/" + name) }
    rmdir(path)
  }

  /// The path without links, dots and double slashes; `nil` where nothing is.
  static func resolved(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
