import ArgumentParser
import PipitEngine
import PipitFormats

struct ClassifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classify",
    abstract: "Tell what is in a picture with an image classifier.",
    discussion: """
      Examples:
        pipit classify cat.png                                   (its mood)
        pipit classify --model resnet-50/ cat.png
        pipit classify --model mobilenet_v2_1.0_224/ cat.png --top 1 --json

      The folder is one of ResNet, MobileNetV2 or ViT as transformers or timm save
      it: config.json, model.safetensors and preprocessor_config.json (timm has that
      in its config.json). Each line is a probability and a label, separated by a
      tab.
      """)

  @Argument(help: "A PNG file.")
  var image: String

  @Option(help: "How many labels to print, the likeliest first.")
  var top = 5

  @OptionGroup var machine: MachineOptions

  @Flag(help: "Print JSON.")
  var json = false

  mutating func validate() throws {
    guard (1...100_000).contains(top) else {
      throw ValidationError("--top: expected 1 to 100000, found \(top).")
    }
  }

  private struct Line: Encodable {
    let label: String
    let probability: Float
  }

  mutating func run() throws {
    let classifier = try PictureClassifier(
      model: machine.model, threads: try machine.threadCount(), ignoresMemory: machine.force)
    let scores = try classifier.classify(pictureAt: image, top: top)
    if json {
      try Console.printJSON(scores.map { Line(label: $0.label, probability: $0.probability) })
      return
    }
    for score in scores {
      print("\(decimal(Double(score.probability), 4))\t\(Console.visible(score.label))")
    }
  }
}
