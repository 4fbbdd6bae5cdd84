import ArgumentParser
import Glibc
import PipitEngine

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Draw a picture of a sentence, English or Chinese.",
    discussion: """
      Examples:
        pipit generate "a smiling cat" -o cat.png
        pipit generate "a cake" --count 6 --seed 1 -o cakes.png   (a grid)
        pipit generate "a cake" --count 6 -o cake-%d.png   (cake-1.png to 6)
        pipit generate "a house" --mood negative -o gloomy.png
        pipit generate "a house" --model sd-turbo/ --size 512x384 -o house.png
        pipit generate "a house" --model sd15/ --size 512x512 --dry-run
        pipit generate "a house" --model sd15/ --preview so-far.png --save-on-cancel
        pipit generate "a house" --model model.safetensors --tokenizer sd15/tokenizer
        pipit generate "snow" --model sd15/ --image house.png --strength 0.6

      The PNG keeps the prompt, seed and settings; 'pipit info cat.png' shows them.
      The same seed gives the same bytes on every run and number of threads.

      Before anything is loaded the memory that it takes is worked out (--dry-run
      shows it, stage by stage); where the machine or its control group has less,
      nothing is done unless --force.

      Ctrl-C stops before the next step: exit code 130, no picture. With
      --save-on-cancel what the last step says the picture will be is decoded and
      saved. A prompt that a Stable Diffusion text encoder has read is kept in
      $XDG_CACHE_HOME/pipit (or ~/.cache/pipit; 64 MB at most).
      """)

  @Argument(help: "What the picture shows.")
  var prompt: String

  @Option(name: .shortAndLong, help: "The PNG to write; with %d in it, one file a picture.")
  var output = "picture.png"

  @Option(help: "The noise to start from (default: random, and told).")
  var seed: UInt64?

  @Option(help: "Denoising steps, 1 to 1000 (default: the model's).")
  var steps: Int?

  @Option(help: "How strictly the prompt is followed, 0 to 50 (default: the model's).")
  var guidance: Float?

  @Option(help: "What the picture should not show.")
  var negative = ""

  @Option(help: "How many pictures, 1 to 64.")
  var count = 1

  @Option(
    help: "A mood to give the picture: positive, neutral, negative, or auto (the sentence's).")
  var mood = "neutral"

  @Option(help: "Width and height, e.g. 512x384, multiples of 8 (default: the model's own).")
  var size: String?

  @Option(
    help: "\(GenerationRequest.samplers.joined(separator: ", ")) (default: the model's own).")
  var sampler: String?

  @Option(help: "Whose noise a seed gives: \(GenerationRequest.noiseGenerators.joined(separator: ", ")).")
  var rng = "torch"

  @Option(help: "Which decoder draws: \(GenerationRequest.decoders.joined(separator: ", ")).")
  var decoder = "auto"

  @Option(help: "For a single-file checkpoint: the folder of the tokenizer's files.")
  var tokenizer: String?

  @Option(help: "For a single-file checkpoint: a diffusers folder to take settings and tokenizer from.")
  var config: String?

  @Option(help: "For a single-file checkpoint: what it predicts, epsilon or v (default: its metadata).")
  var prediction: String?

  @Option(help: "A PNG to start from; with --size it is made that large.")
  var image: String?

  @Option(help: "How much of --image may change, above 0 to 1 (default: 0.8).")
  var strength: Double?

  @OptionGroup var machine: MachineOptions

  @Option(help: "A PNG that shows roughly how far it has come, written anew after each step.")
  var preview: String?

  @Flag(help: "On Ctrl-C, save the picture as far as it has come.")
  var saveOnCancel = false

  @Flag(name: .customLong("no-cache"), help: "Neither look for the prompt in the cache nor keep it there.")
  var avoidsCache = false

  @Flag(help: "Only tell how much memory it takes.")
  var dryRun = false

  @Flag(help: "Print one line of JSON instead of text.")
  var json = false

  @Flag(help: "Print nothing but errors.")
  var quiet = false

  private static let promptLimit = 20_000

  mutating func run() throws {
    try checkOptions()
    let start = Console.now()
    let pipit = try machine.pipit(checkpoint: try checkpoint())
    if !pipit.isSingleFile { try refuseCheckpointOptions(tokenizer, config, prediction, machine.model) }
    pipit.releasesTextEncoder = true
    pipit.cachesPrompts = !avoidsCache
    var request = try request(pipit)
    if dryRun { return try showMemory(pipit, request) }
    try checkMemory(pipit, request)
    let judge = try judge(pipit)
    judge?.releasesTextEncoder = true
    let textMood = try judge?.sentiment(of: prompt)
    if judge !== pipit { judge?.releaseModels() }
    if !quiet, let sampler = try pipit.replacedSampler(request) {
      Console.writeError(
        "pipit: note: the model's own \(sampler) is not here; dpm++2m solves the same equation\n")
    }
    if !quiet, try pipit.isCut(prompt) {
      Console.writeError(
        "pipit: note: the prompt is long; the picture follows its first words only\n")
    }
    request.mood =
      mood == "auto"
      ? textMood.flatMap { PictureMood(rawValue: $0.label) } : PictureMood(rawValue: mood)

    let (pictures, cancellation) = try draw(request, pipit)
    let moods = try judge.map { judge in try pictures.map { try judge.sentiment(of: $0) } } ?? []
    let files = try write(pictures, request, cancellation)
    if let cancellation {
      let names = files.joined(separator: ", ")
      throw Failure(code: Interrupt.exitCode, "\(cancellation); \(names) shows how far it came")
    }
    let report = GenerateReport(
      files: files, pictures: pictures, request: request, textMood: textMood, moods: moods,
      pipit: pipit, seconds: Console.now() - start)
    if json {
      try Console.printJSON(report)
    } else if !quiet {
      report.print()
    }
  }

  /// Who tells moods: the model or, where it tells none, the default bundle; `nil` where that is not there and
  /// nothing depends on it.
  private func judge(_ pipit: Pipit) throws -> Pipit? {
    if pipit.tellsMoods { return pipit }
    return Pipit.hasDefaultModel || mood == "auto" ? try machine.pipit(model: "Default") : nil
  }

  private func request(_ pipit: Pipit) throws -> GenerationRequest {
    var request = GenerationRequest(prompt: prompt)
    request.negativePrompt = negative
    request.seed = seed ?? UInt64(UInt32.random(in: 0...UInt32.max))
    request.count = count
    request.steps = try steps ?? pipit.defaultSteps()
    request.guidance = try guidance ?? pipit.defaultGuidance()
    if let size { (request.width, request.height) = try Self.extents(size) }
    request.sampler = sampler
    request.noiseGenerator = rng
    request.decoder = decoder
    if let strength { request.strength = strength }
    if let image {
      let picture = try GeneratedPicture(pngAt: image)
      request.startPicture = picture.resized(width: request.width, height: request.height)
    }
    return request
  }

  private func checkpoint() throws -> CheckpointOptions {
    var options = CheckpointOptions()
    options.tokenizer = tokenizer
    options.settings = config
    if let prediction {
      guard let known = CheckpointOptions.Prediction(rawValue: prediction) else {
        throw Failure(
          code: EX_USAGE, "--prediction: expected epsilon or v, found '\(prediction)'")
      }
      options.prediction = known
    }
    return options
  }

  private func checkOptions() throws {
    guard prompt.contains(where: { !$0.isWhitespace }) else {
      throw Failure(code: EX_DATAERR, "the prompt is empty; say what the picture shows")
    }
    guard prompt.utf8.count <= Self.promptLimit, negative.utf8.count <= Self.promptLimit else {
      throw Failure(
        code: EX_DATAERR,
        "the prompt has \(max(prompt.utf8.count, negative.utf8.count)) bytes; at most \(Self.promptLimit) are read"
      )
    }
    if let steps, !(1...1000).contains(steps) {
      throw Failure(code: EX_USAGE, "--steps: expected 1 to 1000, found \(steps)")
    }
    guard (1...64).contains(count) else {
      throw Failure(code: EX_USAGE, "--count: expected 1 to 64, found \(count)")
    }
    if let guidance, !(guidance >= 0 && guidance <= 50) {
      throw Failure(code: EX_USAGE, "--guidance: expected 0 to 50, found \(guidance)")
    }
    guard mood == "auto" || PictureMood(rawValue: mood) != nil else {
      throw Failure(
        code: EX_USAGE, "--mood: expected positive, neutral, negative or auto, found '\(mood)'")
    }
    if let size { _ = try Self.extents(size) }
    if let strength, !(strength > 0 && strength <= 1) {
      throw Failure(code: EX_USAGE, "--strength: expected above 0 to 1, found \(strength)")
    }
    try OutputFile.check(output, "--output")
    if let preview { try OutputFile.check(preview, "--preview") }
    try checkNames()
  }

  /// Names that are one of a few, and options that go with another.
  private func checkNames() throws {
    let choices: [(String, String?, [String])] = [
      ("--sampler", sampler, GenerationRequest.samplers),
      ("--rng", rng, GenerationRequest.noiseGenerators),
      ("--decoder", decoder, GenerationRequest.decoders),
    ]
    for (option, name, known) in choices {
      guard let name, !known.contains(name) else { continue }
      throw Failure(
        code: EX_USAGE,
        "\(option): expected one of \(known.joined(separator: ", ")), found '\(name)'")
    }
    guard strength == nil || image != nil else {
      throw Failure(code: EX_USAGE, "--strength goes with --image, which it says how much to change of")
    }
  }

  private static func extents(_ size: String) throws -> (width: Int, height: Int) {
    let parts = size.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard parts.count == 2, parts.allSatisfy({ (64...4096).contains($0) && $0 % 8 == 0 }) else {
      throw Failure(
        code: EX_USAGE,
        "--size: expected WIDTHxHEIGHT, multiples of 8 from 64 to 4096, found '\(size)'")
    }
    return (parts[0], parts[1])
  }

  /// Writes one file a picture where the name has %d, else one file with one picture or a grid.
  private func write(
    _ pictures: [GeneratedPicture], _ request: GenerationRequest,
    _ cancellation: GenerationCancelled?
  ) throws -> [String] {
    let texts = texts(request) + (cancellation.map { [("state", "\($0)")] } ?? [])
    if output.contains("%d") {
      return try pictures.enumerated().map { index, picture in
        let parts = output.split(separator: "%d", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts.joined(separator: String(index + 1))
        try picture.writePNG(to: path, texts: texts + [("picture", String(index + 1))])
        return path
      }
    }
    var columns = 1
    while columns * columns < pictures.count { columns += 1 }
    let picture =
      pictures.count == 1 ? pictures[0] : GeneratedPicture(grid: pictures, columns: columns)
    try picture.writePNG(to: output, texts: texts)
    return [output]
  }

  private func texts(_ request: GenerationRequest) -> [(key: String, value: String)] {
    [
      ("prompt", request.prompt), ("negative prompt", request.negativePrompt),
      ("seed", String(request.seed)), ("steps", String(request.steps ?? 0)),
      ("guidance", String(request.guidance ?? 0)),
      ("mood", request.mood?.rawValue ?? "neutral"), ("count", String(request.count)),
      ("model", machine.model), ("Software", "pipit \(pipitVersion)"),
    ] + unusualTexts(request)
  }

  /// Settings that a picture can be made again with only if they are known, where they are not the usual ones.
  private func unusualTexts(_ request: GenerationRequest) -> [(key: String, value: String)] {
    let usual = GenerationRequest(prompt: "")
    var texts: [(key: String, value: String)] = []
    if let sampler = request.sampler { texts.append(("sampler", sampler)) }
    if request.noiseGenerator != usual.noiseGenerator {
      texts.append(("rng", request.noiseGenerator))
    }
    if request.decoder != usual.decoder { texts.append(("decoder", request.decoder)) }
    if let image {
      texts += [("image", image), ("strength", String(request.strength))]
    }
    return texts
  }
}
