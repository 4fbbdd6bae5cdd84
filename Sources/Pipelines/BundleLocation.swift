import Glibc

/// Where models are looked for.
package enum BundleLocation {
  /// The folder of a model: the path itself if it is one, else a name under the places where models lie:
  /// `$PIPIT_MODELS`, `Models` beside the program or in a folder above it (a checkout), `share/pipit`
  /// beside the program's `bin`.
  package static func find(_ name: String) -> String {
    if isFolder(name) { return name }
    return candidates(name).first(where: isFolder) ?? name
  }

  /// The places where `name` is looked for, in order.
  package static func candidates(_ name: String) -> [String] {
    var places: [String] = []
    if let value = getenv("PIPIT_MODELS"), value.pointee != 0 {
      places.append(String(cString: value) + "/" + name)
    }
    var folder = executableFolder()
    places.append(folder + "/../share/pipit/" + name)
    // From the program's folder upwards, so that a build inside a checkout finds the checkout's.
    while !folder.isEmpty {
      places.append(folder + "/Models/" + name)
      guard let slash = folder.lastIndex(of: "/") else { break }
      folder = String(folder[..<slash])
    }
    return places
  }

  private static func executableFolder() -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { readlink("/proc/self/exe", $0, bytes.count) } ?? 0
    }
    guard count > 0 else { return "." }
    let path = String(decoding: buffer[..<count], as: UTF8.self)
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
