import Glibc
import PipitEngine

extension GenerateCommand {
  /// Stops if drawing takes more memory than there is, with what would fit.
  func checkMemory(_ pipit: Pipit, _ request: GenerationRequest) throws {
    guard !machine.force, let shortage = try pipit.memoryShortage(for: request) else { return }
    throw Failure(
      code: EX_OSERR,
      "this takes \(Console.bytes(shortage.estimate.peakByteCount)) of memory, "
        + "\(Console.bytes(shortage.freeByteCount)) are free (\(shortage.reason)); "
        + "\(advice(shortage.change)); --force tries it all the same")
  }

  private func advice(_ change: MemoryShortage.Change?) -> String {
    guard let change else { return "nothing smaller fits" }
    var options: [String] = []
    if change.isSmaller { options.append("--size \(change.width)x\(change.height)") }
    if change.usesTinyDecoder { options.append("--decoder tiny") }
    var advice = options.isEmpty ? "" : "'\(options.joined(separator: " "))'"
    if change.usesInt8Weights {
      advice =
        "int8 weights ('pipit quantize \(machine.model) FOLDER')"
        + (advice.isEmpty ? "" : " with \(advice)")
    }
    return "\(advice) would take \(Console.bytes(change.peakByteCount))"
  }

  /// Prints the memory that a request takes, stage by stage.
  func showMemory(_ pipit: Pipit, _ request: GenerationRequest) throws {
    let report = MemoryReport(try pipit.memory(for: request))
    if json {
      try Console.printJSON(report)
    } else {
      report.print()
    }
  }
}
