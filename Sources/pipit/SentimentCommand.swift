import ArgumentParser
import Glibc
import PipitEngine
import PipitFormats

struct SentimentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sentiment",
    abstract: "Tell the mood of a text, a picture, or every line of a file.",
    discussion: """
      Examples:
        pipit sentiment "what a lovely day"
        pipit sentiment "这家餐厅太差了" --json
        pipit sentiment --image cat.png
        pipit sentiment --file reviews.txt > moods.tsv   ('-' reads standard input)

      A score of -1 is negative, 1 positive. With --file each line gives one line:
      score, label, confidence and the text, separated by tabs (with --json, one
      object a line). Of a text, 128 tokens are read (about 90 English words).

      With --model FOLDER, a text classifier of transformers (BERT, DistilBERT,
      RoBERTa, XLM-R, MPNet ...ForSequenceClassification) is used instead: the label
      is the one it names, of as many tokens as it takes. The score is the mean of
      its classes by their probabilities:
        negative, neutral, positive   -1, 0, 1 (with "very ...": -1, -0.5, 0, 0.5, 1)
        1 star ... 5 stars            -1, -0.5, 0, 0.5, 1
        LABEL_0 ... (2, 3 or 5)       evenly from -1 to 1, in that order
        emotions                      1 for joy, love ...; -1 for anger, fear ...;
                                      0 for others
      """)

  @Argument(help: "The text.")
  var text: String?

  @Option(help: "A PNG file.")
  var image: String?

  @Option(help: "A text file with one text a line; - for standard input.")
  var file: String?

  @OptionGroup var machine: MachineOptions

  @Flag(help: "Print JSON.")
  var json = false

  mutating func validate() throws {
    let given = [text, image, file].compactMap { $0 }.count
    guard given == 1 else {
      throw ValidationError("Give one of: a text, --image FILE, --file FILE.")
    }
  }

  mutating func run() throws {
    let pipit = try machine.pipit()
    if let text {
      guard text.contains(where: { !$0.isWhitespace }) else {
        throw Failure(code: EX_DATAERR, "the text is empty")
      }
      try show(try pipit.sentiment(of: text), nil)
    } else if let image {
      try show(try pipit.sentiment(ofPictureAt: image), nil)
    } else if let file {
      try stream(file, pipit)
    }
  }

  private struct Line: Encodable {
    let score: Float
    let label: String
    let confidence: Float
    let text: String?
  }

  private func show(_ mood: Sentiment, _ text: String?) throws {
    if json {
      try Console.printJSON(
        Line(score: mood.score, label: mood.label, confidence: mood.confidence, text: text))
      return
    }
    let confidence = decimal(Double(mood.confidence), 2)
    if let text {
      let flat = String(text.map { $0 == "\t" ? " " : $0 })
      print("\(Console.signed(mood.score))\t\(Console.visible(mood.label))\t\(confidence)\t\(flat)")
    } else {
      print("\(Console.visible(mood.label)) \(Console.signed(mood.score)) (confidence \(confidence))")
    }
  }

  private func stream(_ path: String, _ pipit: Pipit) throws {
    try LineReader.forEachWindow(of: path) { lines in
      for (line, mood) in zip(lines, try pipit.sentiments(of: lines)) { try show(mood, line) }
    }
  }
}
