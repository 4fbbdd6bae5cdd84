import Glibc
package import PipitFormats
package import PipitKernels
import PipitTensors

/// Quantizes a model's folder: a pipeline with all its components, or one component. The layout stays the
/// same, so whatever takes the one takes the other.
package struct FolderQuantizer: ModelQuantizer {
  private let folder: ModelFolder
  private let parts: [Part]
  private let copiedComponents: [String]

  /// A component that is quantized; the name is empty where it is the folder itself.
  private struct Part {
    let name: String
    let quantizer: ComponentQuantizer
  }

  /// Plans everything, reading settings and headers only: what is wrong with them, or with the rules, is
  /// told before anything is written.
  package init(_ folder: ModelFolder, request: QuantizationRequest, kernels: KernelTable) throws {
    self.folder = folder
    var usedRules: Set<Int> = []
    var parts: [Part] = []
    var copied: [String] = []
    if folder.layout == .component {
      let quantizer = try ComponentQuantizer(
        folder: folder.path, prefix: "", request: request, kernels: kernels, usedRules: &usedRules)
      parts = [Part(name: "", quantizer: quantizer)]
    } else {
      for name in try FileTree.names(folder.path) where folder.has(name + "/config.json") {
        do {
          let quantizer = try ComponentQuantizer(
            folder: folder.path + "/" + name, prefix: name + "/", request: request,
            kernels: kernels, usedRules: &usedRules)
          parts.append(Part(name: name, quantizer: quantizer))
        } catch is AlreadyQuantized {
          copied.append(name)
        }
      }
    }
    guard !parts.isEmpty else {
      throw FormatError(
        path: folder.path, expected: "components that are not quantized yet",
        found: copied.isEmpty ? "no components" : "all of them quantized: \(copied.joined(separator: ", "))")
    }
    try request.refuseUnused(usedRules)
    self.parts = parts
    copiedComponents = copied
  }

  var plan: [SchemeChoice] { parts.flatMap(\.quantizer.choices) }

  package var byteCount: Int { parts.reduce(0) { $0 + $1.quantizer.byteCount } }

  package func run(
    output: String?, force: Bool = false, progress: (_ done: Int) throws -> Void = { _ in }
  ) throws -> QuantizationReport {
    var report = QuantizationReport()
    copiedComponents.forEach { report.addCopied($0) }
    guard let output else {
      try write(to: nil, &report, progress)
      return report
    }
    try refuseOverlap(output)
    let target = try OutputFolder(path: output, force: force)
    do {
      try write(to: target.temporary, &report, progress)
      try target.commit()
    } catch {
      target.discard()
      throw error
    }
    return report
  }

  private func write(
    to output: String?, _ report: inout QuantizationReport, _ progress: (Int) throws -> Void
  ) throws {
    var done = 0
    if folder.layout == .pipeline, let output {
      let components = Set(parts.map(\.name))
      for name in try FileTree.names(folder.path) where !components.contains(name) {
        let source = folder.path + "/" + name
        if FileTree.isCopied(source, name) { try FileTree.copy(source, to: output + "/" + name) }
      }
    }
    for part in parts {
      let target = output.map { part.name.isEmpty ? $0 : $0 + "/" + part.name }
      if let target, !part.name.isEmpty { try OutputFolder.makeFolder(target, for: target) }
      try part.quantizer.run(to: target, report: &report) { count in
        done += count
        try progress(done)
      }
      try copyOthers(of: part, to: target, &report)
    }
  }

  /// Everything else in the component's folder, save other forms of the weights.
  private func copyOthers(
    of part: Part, to output: String?, _ report: inout QuantizationReport
  ) throws {
    let source = part.name.isEmpty ? folder.path : folder.path + "/" + part.name
    let forms = [".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".ot"]
    for name in try FileTree.names(source) where !part.quantizer.ownFiles.contains(name) {
      let path = source + "/" + name
      let isIndex = name.contains(".safetensors.index") || name.hasSuffix(".bin.index.json")
      if FileTree.isFile(path), isIndex || forms.contains(where: name.hasSuffix) {
        report.addLeftOut(part.name.isEmpty ? name : part.name + "/" + name)
      } else if let output, FileTree.isCopied(path, name) {
        try FileTree.copy(path, to: output + "/" + name)
      }
    }
  }

  /// Neither may the model be written over itself, nor into itself, nor over a folder that it lies in.
  private func refuseOverlap(_ output: String) throws {
    guard let input = FileTree.resolved(folder.path) else { return }
    var parent = output
    while parent.count > 1 && parent.hasSuffix("/") { parent.removeLast() }
    let name = parent.split(separator: "/").last.map(String.init) ?? ""
    parent = parent.contains("/") ? String(parent.dropLast(name.count)) : "."
    let place = FileTree.resolved(output) ?? FileTree.resolved(parent).map { $0 + "/" + name }
    guard let place else { return }
    guard place != input, !place.hasPrefix(input + "/"), !input.hasPrefix(place + "/") else {
      throw FormatError(
        path: output, expected: "a folder apart from the model's '\(folder.path)'",
        found: place == input ? "the same one" : "one inside the other")
    }
  }
}

/// A rule decides about nothing: a slip of the pen that would go unseen.
package struct RuleError: Error, CustomStringConvertible {
  package let rule: String

  package var description: String {
    "the rule '\(rule)' matches no matrix; names are those of 'pipit quantize --dry-run'"
  }
}
