import Glibc

/// Files that a command is to write.
enum OutputFile {
  /// Finds out that a file cannot be written before anything is waited for; `option` named it.
  static func check(_ path: String, _ option: String) throws {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    guard access(folder, W_OK | X_OK) == 0 else {
      throw Failure(
        code: EX_CANTCREAT, "cannot write '\(path)': \(String(cString: strerror(errno)))")
    }
    guard !path.isEmpty, !path.hasSuffix("/") else {
      throw Failure(code: EX_USAGE, "\(option): expected a file name, found '\(path)'")
    }
    var status = stat()
    guard stat(path, &status) != 0 || status.st_mode & S_IFMT != S_IFDIR else {
      throw Failure(
        code: EX_CANTCREAT, "\(option): expected a file name, found the folder '\(path)'")
    }
  }
}
