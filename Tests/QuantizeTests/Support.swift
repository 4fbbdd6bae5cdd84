import Glibc
import PipitFormats
import PipitKernels
import PipitQuantize
import PipitTensors

/// A folder for a test's files, removed with all that is in it.
final class TestFolder {
  let path: String

  init() {
    var template = Array("/tmp/pipit-quantize-XXXXXX".utf8CString)
    precondition(mkdtemp(&template) != nil)
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { TestFolder.remove(path) }

  static func names(_ path: String) -> [String] {
    guard let stream = opendir(path) else { return [] }
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

  private static func remove(_ path: String) {
    for name in names(path) { remove(path + "/" + name) }
    if unlink(path) != 0 { rmdir(path) }
  }

  func makeFolder(_ name: String) { precondition(mkdir(path + "/" + name, 0o755) == 0) }

  func write(_ name: String, _ text: String) throws {
    try AtomicFile.write(Array(text.utf8), to: path + "/" + name)
  }

  /// A component's folder with f32 tensors.
  func writeModel(_ folder: String, _ tensors: [String: ([Int], [Float])], in file: String) throws {
    let plan = SafetensorsPlan(
      tensors.map { .init(name: $0.key, elementType: .f32, shape: Shape($0.value.0)) })
    try plan.write(to: path + "/" + folder + "/" + file) { writer in
      for (name, tensor) in tensors { try writer.append(tensor.1, to: name) }
    }
  }
}

/// The folder of goldens, which a script beside them made.
let goldens = String(#filePath.dropLast("Support.swift".count)) + "Goldens"

func text(_ path: String) -> String {
  guard let file = try? MappedFile(path: path) else { return "" }
  return withExtendedLifetime(file) { String(decoding: file.bytes, as: UTF8.self) }
}

/// The numbers of every tensor of one file that holds some.
func floats(_ path: String) throws -> [String: [Float]] {
  let file = try Safetensors(path: path)
  var floats: [String: [Float]] = [:]
  for entry in file.entries.values {
    let weight = Weight(
      name: entry.name, shape: entry.shape, storage: .dense(entry.elementType),
      bytes: file.bytes(of: entry), owner: file.file)
    if weight.expandsToFloat { floats[entry.name] = weight.floats() }
  }
  return floats
}

/// Quantizes with the scalar kernels.
@discardableResult
func quantize(
  _ input: String, to output: String?, _ scheme: String = "w8",
  rules: [(pattern: String, scheme: String)] = [], force: Bool = false
) throws -> QuantizationReport {
  var request = QuantizationRequest()
  request.scheme = StorageScheme(scheme, group: 32) ?? .keep
  request.rules = try rules.map {
    try StorageRule(
      pattern: $0.pattern, scheme: StorageScheme($0.scheme, group: 32) ?? .keep, text: $0.pattern)
  }
  let quantizer = try FolderQuantizer(
    try ModelFolder(path: input), request: request, kernels: .scalar)
  return try quantizer.run(output: output, force: force)
}

/// What the error of `body` says, nothing if it throws none.
func message<T>(_ body: () throws -> T) -> String {
  do {
    _ = try body()
    return ""
  } catch {
    return "\(error)"
  }
}
