import CKernels
import Glibc

/// The kernels of one instruction-set level.
package struct KernelTable: Sendable {
  // SAFETY: points into a C array that is filled once, before the first pointer is handed out, and
  // never written again.
  nonisolated(unsafe) let raw: UnsafePointer<kernel_table>

  /// Whether products over weights of f16 are computed in half precision: faster, with other results.
  package let multipliesHalves: Bool
  private let level: Int

  private init(level: Int, multipliesHalves: Bool = false) {
    guard let table = kernel_level(level) else { preconditionFailure("no level \(level)") }
    raw = table
    self.level = level
    self.multipliesHalves = multipliesHalves
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
    let missing = unavailable.first { $0.name == name }?.missing
    let reason = missing.map { "this processor has no \($0)" } ?? "there is no such level"
    let known = available.map(\.name).joined(separator: ", ")
    throw KernelTableError(setting: "PIPIT_ISA=\(name)", problem: "\(reason); available here: \(known)")
  }

  /// The level that `PIPIT_ISA` names, or the best one when it is not set or empty; with half precision where
  /// `PIPIT_F16` asks for it.
  package static func chosen() throws(KernelTableError) -> KernelTable {
    let name = KernelTable.setting("PIPIT_ISA")
    let table = name.isEmpty ? best : try named(name)
    return try asksForHalves() ? table.multiplyingHalves() : table
  }

  /// Whether `PIPIT_F16` is 1; not set, empty or 0 says no.
  package static func asksForHalves() throws(KernelTableError) -> Bool {
    let value = KernelTable.setting("PIPIT_F16")
    guard ["", "0", "1"].contains(value) else {
      throw KernelTableError(setting: "PIPIT_F16=\(value)", problem: "expected 0 or 1")
    }
    return value == "1"
  }

  private static func setting(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }

  /// What half-precision products lack at this level or on this processor; `nil` when they run.
  package var missingForHalves: String? { kernel_halves_missing(level).map { String(cString: $0) } }

  /// The same level, with half-precision products over weights of f16.
  package func multiplyingHalves() throws(KernelTableError) -> KernelTable {
    if let missing = missingForHalves {
      throw KernelTableError(
        setting: "PIPIT_F16=1", problem: "no \(missing) on this processor at level '\(name)'")
    }
    return KernelTable(level: level, multipliesHalves: true)
  }

  /// Whether products over weights of that format are computed in half precision.
  func multipliesHalves(_ format: PackedFormat) -> Bool { multipliesHalves && format.numbers == .f16 }

  package var name: String { String(cString: raw.pointee.name) }

  /// Whether one instruction multiplies bytes and adds four products to a sum.
  package var hasDotProducts: Bool { raw.pointee.gemm_i8.has_dot_products }
}

/// `PIPIT_ISA` or `PIPIT_F16` asks for what is not to be had.
package struct KernelTableError: Error, Hashable, CustomStringConvertible {
  /// The variable and its value.
  package let setting: String
  package let problem: String

  package var description: String { "\(setting): \(problem)" }
}

/// Tells the core that the caller spins on a variable.
package func spinPause() { kernel_spin_pause() }
