import CKernels
import Glibc

/// The kernels of one instruction-set level.
package struct KernelTable: Sendable {
  // SAFETY: points into a C array that is filled once, before the first pointer is handed out, and
  // never written again.
  nonisolated(unsafe) let raw: UnsafePointer<kernel_table>

  private init(level: Int) {
    guard let table = kernel_level(level) else { preconditionFailure("no level \(level)") }
    raw = table
  }

  /// The specification: plain C loops.
  package static var scalar: KernelTable { KernelTable(level: 0) }

  /// The levels that this processor runs, weakest first.
  package static var available: [KernelTable] {
    (0..<kernel_level_count()).filter { kernel_level_runs($0) }.map { KernelTable(level: $0) }
  }

  /// The strongest level that this processor runs.
  package static var best: KernelTable { available.last ?? scalar }

  /// Levels compiled in that this processor lacks, with the feature that is missing.
  package static var unavailable: [(name: String, missing: String)] {
    (0..<kernel_level_count()).compactMap { level in
      guard let missing = kernel_level_missing(level), let table = kernel_level(level) else {
        return nil
      }
      return (String(cString: table.pointee.name), String(cString: missing))
    }
  }

  /// The processor as detected, in one line.
  package static var processorSummary: String { String(cString: kernel_cpu_summary()) }

  /// The level of that name.
  package static func named(_ name: String) throws(KernelTableError) -> KernelTable {
    if let table = available.first(where: { $0.name == name }) { return table }
    throw KernelTableError(
      name: name, missing: unavailable.first { $0.name == name }?.missing,
      available: available.map(\.name))
  }

  /// The level that `PIPIT_ISA` names, or the best one when it is not set or empty.
  package static func chosen() throws(KernelTableError) -> KernelTable {
    guard let value = getenv("PIPIT_ISA"), value.pointee != 0 else { return best }
    return try named(String(cString: value))
  }

  package var name: String { String(cString: raw.pointee.name) }

  /// Whether one instruction multiplies bytes and adds four products to a sum.
  package var hasDotProducts: Bool { raw.pointee.gemm_i8.has_dot_products }
}

/// `PIPIT_ISA` asks for a level that is not to be had.
package struct KernelTableError: Error, Hashable, CustomStringConvertible {
  package let name: String
  /// The feature that the processor lacks; `nil` if no level has that name.
  package let missing: String?
  package let available: [String]

  package var description: String {
    let reason = missing.map { "this processor has no \($0)" } ?? "there is no such level"
    return "PIPIT_ISA=\(name): \(reason); available here: \(available.joined(separator: ", "))"
  }
}

/// Tells the core that the caller spins on a variable.
package func spinPause() { kernel_spin_pause() }
