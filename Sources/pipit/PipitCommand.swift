import ArgumentParser
import Glibc
import PipitEngine

/// What `pipit --version` and the PNG's texts say.
let pipitVersion = "0.1.0"

@main
struct PipitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pipit",
    abstract: "Pictures from sentences and the mood of either, on a small CPU.",
    discussion: """
      Examples:
        pipit generate "a smiling cat" -o cat.png
        pipit generate "一辆蓝色的汽车" --seed 7 --count 4 -o cars.png
        pipit sentiment "what a lovely day"
        pipit sentiment --image cat.png
        pipit info cat.png

      Environment: PIPIT_ISA forces an instruction-set level (see 'pipit info'),
      PIPIT_F16=1 multiplies weights of f16 in half precision where the core has it,
      PIPIT_THREADS sets the number of threads, PIPIT_MODELS a folder of models.
      """,
    version: pipitVersion,
    subcommands: [
      GenerateCommand.self, SentimentCommand.self, ClassifyCommand.self, EncodeCommand.self,
      RunCommand.self, InfoCommand.self, BenchCommand.self, QuantizeCommand.self,
    ])

  /// Parses, runs, and turns every error into one line and an exit code of sysexits.
  static func main() {
    do {
      try checkArguments()
      var command = try parseAsRoot()
      try command.run()
    } catch let failure as Failure {
      failure.exit()
    } catch {
      let failure = Failure(error)
      if let failure { failure.exit() }
      // ArgumentParser's own: help, version, and usage errors (exit code 64).
      exit(withError: error)
    }
  }

  /// Arguments that are not UTF-8 would reach us silently repaired.
  private static func checkArguments() throws {
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let argument = CommandLine.unsafeArgv[index] else { continue }
      let bytes = UnsafeRawBufferPointer(start: argument, count: strlen(argument))
      guard String(validating: bytes, as: UTF8.self) != nil else {
        throw Failure(
          code: EX_DATAERR, "argument \(index) is not valid UTF-8; pass text in UTF-8")
      }
    }
  }
}

/// Refuses options that tell of a checkpoint in one file what it does not say itself, for a model that is a folder.
func refuseCheckpointOptions(
  _ tokenizer: String?, _ config: String?, _ prediction: String?, _ model: String
) throws {
  let options: [(String, String?)] = [
    ("--tokenizer", tokenizer), ("--config", config), ("--prediction", prediction),
  ]
  guard let (name, _) = options.first(where: { $0.1 != nil }) else { return }
  throw Failure(code: EX_USAGE, "\(name) goes with a checkpoint in one file; '\(model)' is a folder")
}

/// Options that every computing command has.
struct MachineOptions: ParsableArguments {
  @Option(help: "A model's folder, or its name under the places where models lie.")
  var model = "Default"

  @Option(
    help: "How many threads to use (default: $PIPIT_THREADS, or one for each processor).")
  var threads: Int?

  @Flag(help: "Compute even what seems to take more memory than the machine has.")
  var force = false

  /// The engine with the model, or with another one.
  func pipit(
    model other: String? = nil, checkpoint: CheckpointOptions = CheckpointOptions()
  ) throws -> Pipit {
    try Pipit(
      model: other ?? model, threads: try threadCount(), ignoresMemory: force,
      checkpoint: checkpoint)
  }

  /// The number of threads asked for, by flag or environment.
  func threadCount() throws -> Int? {
    if let threads { return try MachineOptions.checked(threads, "--threads") }
    guard let value = getenv("PIPIT_THREADS"), value.pointee != 0 else { return nil }
    guard let number = Int(String(cString: value)) else {
      throw Failure(
        code: EX_USAGE, "PIPIT_THREADS: expected a number, found '\(String(cString: value))'")
    }
    return try MachineOptions.checked(number, "PIPIT_THREADS")
  }

  private static func checked(_ number: Int, _ name: String) throws -> Int {
    guard (1...256).contains(number) else {
      throw Failure(code: EX_USAGE, "\(name): expected 1 to 256, found \(number)")
    }
    return number
  }
}
