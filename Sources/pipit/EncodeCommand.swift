import ArgumentParser
import Glibc
import PipitEngine

struct EncodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encode",
    abstract: "Print the embedding of a text: numbers whose cosine tells how alike two texts are.",
    discussion: """
      Examples:
        pipit encode "a smiling cat" --json
        pipit encode "一只微笑的猫" --raw > cat.f32           (little-endian 32-bit floats)
      """)

  @Argument(help: "The text.")
  var text: String

  @OptionGroup var machine: MachineOptions

  @Flag(help: "Print a JSON array.")
  var json = false

  @Flag(help: "Write the numbers as raw 32-bit floats.")
  var raw = false

  mutating func validate() throws {
    if json && raw { throw ValidationError("Give --json or --raw, not both.") }
  }

  mutating func run() throws {
    let pipit = try Pipit(model: machine.model, threads: try machine.threadCount())
    let embedding = try pipit.embedding(of: text)
    if raw {
      try Console.write(embedding.withUnsafeBytes { Array($0) }, to: STDOUT_FILENO)
    } else if json {
      try Console.printJSON(embedding)
    } else {
      print(embedding.map { "\($0)" }.joined(separator: " "))
    }
  }
}
