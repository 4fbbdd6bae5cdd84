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
        pipit encode "一只微笑的猫" --raw > cat.f32   (little-endian 32-bit floats)
        pipit encode --file lines.txt --model all-MiniLM-L6-v2/ > embeddings.txt

      A model is a text encoder's folder as sentence-transformers or transformers
      saves it (BERT, DistilBERT, RoBERTa, XLM-R, MPNet, CLIP text), or a pipeline
      with a text_encoder. How the tokens become one embedding is read from its
      modules.json; without one it is their mean.
      """)

  @Argument(help: "The text.")
  var text: String?

  @Option(help: "A text file with one text a line, one embedding a line; - for standard input.")
  var file: String?

  @OptionGroup var machine: MachineOptions

  @Flag(help: "Print a JSON array.")
  var json = false

  @Flag(help: "Write the numbers as raw 32-bit floats.")
  var raw = false

  mutating func validate() throws {
    if json && raw { throw ValidationError("Give --json or --raw, not both.") }
    if (text == nil) == (file == nil) { throw ValidationError("Give a text or --file FILE.") }
  }

  mutating func run() throws {
    let pipit = try machine.pipit()
    if let file {
      try LineReader.forEachWindow(of: file) { lines in
        for embedding in try pipit.embeddings(of: lines) { try show(embedding) }
      }
    } else if let text {
      try show(try pipit.embedding(of: text))
    }
  }

  private func show(_ embedding: [Float]) throws {
    if raw {
      try Console.write(embedding.withUnsafeBytes { Array($0) }, to: STDOUT_FILENO)
    } else if json {
      try Console.printJSON(embedding)
    } else {
      print(embedding.map { "\($0)" }.joined(separator: " "))
    }
  }
}
