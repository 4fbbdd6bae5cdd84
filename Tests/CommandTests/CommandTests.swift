import Testing

/// Commands as a user types them: results, and one clear line for what cannot be done.
@Suite(.serialized) struct CommandTests {
  /// A failure: its exit code, one line on stderr that begins with the program's name, nothing on stdout.
  private func expectFailure(
    _ outcome: Outcome, code: Int32, mentions word: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(outcome.code == code, "\(outcome.errors)", sourceLocation: sourceLocation)
    #expect(outcome.errors.hasPrefix("pipit: "), sourceLocation: sourceLocation)
    #expect(
      outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)",
      sourceLocation: sourceLocation)
    #expect(outcome.errors.contains(word), "\(outcome.errors)", sourceLocation: sourceLocation)
    #expect(outcome.output.isEmpty, "\(outcome.output)", sourceLocation: sourceLocation)
  }

  @Test func helpShowsExamples() {
    for command in ["generate", "sentiment", "classify", "encode", "run", "info", "quantize"] {
      let outcome = Command.run([command, "--help"])
      #expect(outcome.code == 0)
      #expect(outcome.output.contains("pipit \(command)"), "\(command)")
    }
    #expect(Command.run(["--version"]).output.hasPrefix("0."))
  }

  /// Lines that are too long for a terminal are broken where no example may be.
  @Test(arguments: [
    "generate", "sentiment", "classify", "encode", "run", "info", "bench", "quantize",
  ])
  func examplesKeepTheirLines(command: String) {
    let lines = Command.run([command, "--help"]).output.split(separator: "\n")
    let text = lines.prefix { !$0.hasPrefix("USAGE:") }.dropFirst(2)
    // A line that was broken goes on without the example's indentation, in the middle of a sentence.
    for (line, next) in zip(text, text.dropFirst()) where line.hasPrefix("  pipit") {
      #expect(next.hasPrefix("  ") || next.first?.isUppercase == true, "\(line) | \(next)")
    }
  }

  @Test func kernelsAreTimedAtShapesThatFit() {
    func bench(_ kernel: String, _ shape: String) -> Outcome {
      Command.run(["bench", "--kernel", kernel, "--shape", shape, "-r", "1", "-t", "1"])
    }
    expectFailure(bench("gemm_f32", "1048576x1048576x1"), code: 71, mentions: "memory")
    expectFailure(bench("gemm_f32", "8x8"), code: 64, mentions: "ROWSxCOLUMNSxDEPTH")
    expectFailure(bench("gemm_f32", "1048576x1048576x1048576"), code: 64, mentions: "2^40")
    expectFailure(bench("winograd_f32", "8x8x8x8x3"), code: 64, mentions: "UPSAMPLE")
    expectFailure(bench("winograd_i8", "8x8x64x64"), code: 64, mentions: "does not compute")
    for (kernel, shape) in [
      ("gemm_i8", "8x8x65537"), ("conv2d_i8", "8x8x8192x8x3x1"), ("winograd_i8", "32x32x7296x64"),
    ] {
      expectFailure(bench(kernel, shape), code: 64, mentions: "does not compute")
    }
    // Deep, but not too deep for a level that has it.
    let deep = bench("winograd_i8", "16x16x1024x32")
    #expect(deep.code == 0 || deep.errors.contains("does not compute"), "\(deep)")
    expectFailure(bench("attention_f32", "8x8x2x513"), code: 64, mentions: "DIMENSION")
    expectFailure(bench("add_f32", "0x4"), code: 64, mentions: "1 to 1048576")
  }

  @Test func usageErrorsExitWith64() {
    #expect(Command.run(["generate"]).code == 64)
    #expect(Command.run(["sentiment"]).code == 64)
    #expect(Command.run(["nonsense"]).code == 64)
    #expect(Command.run(["sentiment", "a", "--image", "b.png"]).code == 64)
  }

  @Test(arguments: [
    (["--steps", "0"], "--steps"), (["--steps", "100000"], "--steps"),
    (["--count", "0"], "--count"),
    (["--guidance", "-1"], "--guidance"), (["--guidance", "nan"], "--guidance"),
    (["--mood", "angry"], "--mood"), (["--size", "100000x100000"], "--size"),
    (["--threads", "0"], "--threads"), (["--sampler", "x"], "--sampler"), (["--rng", "x"], "--rng"),
    (["--decoder", "x"], "--decoder"), (["--strength", "0.5"], "--image"),
    (["--strength", "0"], "--strength"), (["--tokenizer", "x"], "--tokenizer"),
    (["--config", "x"], "--config"), (["--prediction", "v"], "--prediction"),
    (["--prediction", "x"], "--prediction"),
  ])
  func badOptionsAreNamed(options: [String], word: String) {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let options =
      options.count == 2 && options[1].hasPrefix("-") ? ["\(options[0])=\(options[1])"] : options
    let outcome = Command.run(["generate", "a cat", "-o", folder + "/x.png"] + options)
    expectFailure(outcome, code: 64, mentions: word)
    #expect(Command.files(in: folder).isEmpty)
  }

  @Test func badPromptsAreRefused() {
    expectFailure(Command.run(["generate", "  \t "]), code: 65, mentions: "empty")
    let enormous = String(repeating: "cat ", count: 20_000)
    expectFailure(Command.run(["generate", enormous]), code: 65, mentions: "bytes")
    let notText = Array("generate".utf8)
    expectFailure(Command.run(bytes: [notText, [0x63, 0xFF, 0xC3]]), code: 65, mentions: "UTF-8")
  }

  @Test func outputsThatCannotBeWrittenAreToldFirst() {
    expectFailure(
      Command.run(["generate", "a cat", "-o", "/nonexistent/folder/x.png"]), code: 73,
      mentions: "/nonexistent/folder/x.png")
    expectFailure(
      Command.run(["generate", "a cat", "-o", "/tmp"]), code: 73, mentions: "the folder '/tmp'")
    let bench = ["bench", Command.bundle + "/image_sentiment"]
    expectFailure(
      Command.run(bench + ["--html", "/nonexistent/x.html"]), code: 73, mentions: "/nonexistent/x.html")
    expectFailure(Command.run(bench + ["--trace", "/tmp"]), code: 73, mentions: "--trace")
  }

  @Test func optionsThatWouldDoNothingAreRefused() {
    let part = Command.bundle + "/image_sentiment"
    expectFailure(Command.run(["info", part, "--graph", "--json"]), code: 64, mentions: "--json")
    expectFailure(Command.run(["bench", part, "--shape", "4x4"]), code: 64, mentions: "--kernel")
    expectFailure(
      Command.run(["bench", "--kernel", "add_f32", "--per-layer"]), code: 64, mentions: "--kernel")
    expectFailure(Command.run(["bench", part, "-r", "0"]), code: 64, mentions: "-r")
    let project = ["bench", "--project", "pi5", part, "--in"]
    expectFailure(Command.run(project + ["pixel_values=1x0x4x4"]), code: 64, mentions: "extents")
    expectFailure(
      Command.run(["quantize", part, "/tmp/never", "--tokenizer", "x", "--dry-run"]), code: 64,
      mentions: "--tokenizer")
  }

  @Test func unknownModelsAreNamed() {
    let outcome = Command.run(["generate", "a cat", "--model", "/nonexistent", "-o", "/tmp/x.png"])
    expectFailure(outcome, code: 66, mentions: "/nonexistent")
    expectFailure(Command.run(["info", "no-such"]), code: 66, mentions: "$PIPIT_MODELS")
    // A name that would clear the terminal does not get there.
    let odd = Command.run(["info", "a\u{1B}[2Jb"])
    expectFailure(odd, code: 66, mentions: "a\u{FFFD}[2Jb")
    #expect(!odd.errors.contains("\u{1B}"))
    expectFailure(Command.run(["info", "/etc"]), code: 65, mentions: "model_index.json")
  }

  /// Folders of text models as they lie in PipelineTests.
  private static let folders = Command.root + "/Tests/PipelineTests/Goldens"

  @Test func classifiersOfOthersTellMoods() {
    let model = ["--model", Self.folders + "/classifier-numbers"]
    let one = Command.run(["sentiment", "a bad day", "--json"] + model)
    #expect(one.code == 0, "\(one.errors)")
    let words = ["negative", "neutral", "positive"]
    #expect(words.contains { one.output.contains("\"label\":\"\($0)\"") }, "\(one.output)")
    let file = Self.folders + "/classifier-stars/vocab.txt"
    let lines = Command.run(["sentiment", "--file", file] + model)
    #expect(lines.output.split(separator: "\n").count == 80, "\(lines.errors)")
    expectFailure(
      Command.run(["sentiment", "x", "--model", Self.folders + "/sentences-mean"]), code: 65,
      mentions: "classifier")
  }

  @Test func sentenceEncodersOfOthersEncodeFiles() {
    let model = ["--model", Self.folders + "/sentences-mean"]
    let file = Self.folders + "/classifier-stars/vocab.txt"
    let lines = Command.run(["encode", "--file", file, "--json"] + model)
    #expect(lines.code == 0, "\(lines.errors)")
    #expect(lines.output.split(separator: "\n").count == 80)
    let raw = Command.run(["encode", "one text", "--raw"] + model)
    #expect(raw.code == 0)
    #expect(Command.run(["encode", "x", "--file", file]).code == 64)
    #expect(Command.run(["encode"]).code == 64)
  }

  @Test func unknownLevelsAreNamed() {
    let outcome = Command.run(["encode", "x"], environment: ["PIPIT_ISA=mmx"])
    expectFailure(outcome, code: 64, mentions: "scalar")
  }

  @Test func halfPrecisionIsRefusedWhereThereIsNone() {
    let wrong = Command.run(["encode", "x"], environment: ["PIPIT_F16=yes"])
    expectFailure(wrong, code: 64, mentions: "expected 0 or 1")
    #if arch(x86_64)
      let missing = Command.run(["info"], environment: ["PIPIT_F16=1"])
      expectFailure(missing, code: 64, mentions: "no half-precision arithmetic on this processor")
    #endif
    let board = Command.run(["bench", "--project", "pi4"], environment: ["PIPIT_F16=1"])
    expectFailure(board, code: 64, mentions: "the board 'pi4' has no half-precision arithmetic")
  }

  @Test func picturesThatAreNoneAreRefused() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    Command.write(Array("this is no picture".utf8), to: folder + "/x.png")
    expectFailure(Command.run(["info", folder + "/x.png"]), code: 65, mentions: "PNG")
    expectFailure(
      Command.run([
        "run", Command.bundle + "/vae", "--in", "sample=" + folder + "/x.png", "--out", "y=z",
      ]),
      code: 65, mentions: ".npy")
  }
}

/// What needs the whole default bundle.
@Suite(.serialized, .enabled(if: Command.hasBundle, "the default bundle is not complete"))
struct BundleCommandTests {
  @Test func theSameSeedGivesTheSameBytes() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    for (name, threads) in [("a", "1"), ("b", "2"), ("c", "3")] {
      let outcome = Command.run([
        "generate", "a smiling cat", "--seed", "5", "-o", "\(folder)/\(name).png", "--threads",
        threads, "--quiet",
      ])
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
    let first = Command.bytes(folder + "/a.png")
    #expect(first.count > 500)
    #expect(first == Command.bytes(folder + "/b.png"))
    #expect(first == Command.bytes(folder + "/c.png"))
    #expect(Command.files(in: folder) == ["a.png", "b.png", "c.png"])
  }

  @Test func previewsAreDrawnAfterEachStep() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let outcome = Command.run([
      "generate", "a smiling cat", "--seed", "5", "--preview", folder + "/p.png", "-o",
      folder + "/x.png",
    ])
    #expect(outcome.code == 0 && outcome.output.contains("previews "), "\(outcome.errors)")
    let info = Command.run(["info", folder + "/p.png"])
    #expect(info.output.contains("state: preview"), "\(info.output)")
  }

  @Test func thePictureRemembersItsRequest() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let path = folder + "/x.png"
    let made = Command.run([
      "generate", "一只微笑的猫", "--seed", "9", "--steps", "4", "--mood", "auto", "-o", path, "--json",
    ])
    #expect(made.code == 0, "\(made.errors)")
    #expect(made.output.contains("\"seed\":9") && made.output.contains("textSentiment"))
    let told = Command.run(["info", path])
    #expect(told.output.contains("prompt: 一只微笑的猫"))
    #expect(told.output.contains("seed: 9") && told.output.contains("steps: 4"))
  }

  @Test func countMakesAGridOrFiles() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let files = Command.run([
      "generate", "a tree", "--count", "2", "--steps", "2", "-o", folder + "/t-%d.png", "--quiet",
    ])
    #expect(files.code == 0, "\(files.errors)")
    let grid = Command.run([
      "generate", "a tree", "--count", "2", "--steps", "2", "-o", folder + "/grid.png", "--json",
    ])
    #expect(grid.code == 0)
    #expect(Command.files(in: folder) == ["grid.png", "t-1.png", "t-2.png"])
  }

  @Test func sentimentReadsTextsPicturesAndFiles() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    #expect(Command.run(["sentiment", "I love this wonderful day"]).output.hasPrefix("positive +"))
    #expect(Command.run(["sentiment", "这家餐厅太差了，非常失望"]).output.hasPrefix("negative -"))
    var lines = Array("great\nawful\r\n\n".utf8)
    lines += [0xFF, 0xFE] + Array(String(repeating: "long ", count: 5000).utf8)
    Command.write(lines, to: folder + "/lines.txt")
    let read = Command.run(["sentiment", "--file", folder + "/lines.txt"])
    #expect(read.code == 0, "\(read.errors)")
    let results = read.output.split(separator: "\n", omittingEmptySubsequences: true)
    #expect(results.count == 4)
    #expect(results[0].hasPrefix("+") && results[0].hasSuffix("great"))
    #expect(results[1].hasPrefix("-") && results[1].hasSuffix("awful"))
    let missing = Command.run(["sentiment", "--image", folder + "/none.png"])
    #expect(missing.code == 66)
  }

  @Test func encodeGivesUnitVectors() {
    let raw = Command.run(["encode", "a cat", "--json"])
    let numbers = raw.output.dropFirst().split(separator: ",").compactMap {
      Double($0.filter { "0123456789.-e".contains($0) })
    }
    #expect(numbers.count == 384)
    #expect(abs(numbers.reduce(0) { $0 + $1 * $1 } - 1) < 1e-4)
  }

  @Test func damagedWeightsAreRefused() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    Command.write(Command.bytes(Command.bundle + "/vae/config.json"), to: folder + "/config.json")
    let name = "/diffusion_pytorch_model.safetensors"
    let whole = Command.bytes(Command.bundle + "/vae" + name)
    for count in [0, 7, 100, whole.count / 2, whole.count - 1] {
      Command.write(Array(whole[..<count]), to: folder + name)
      let outcome = Command.run(["info", folder])
      #expect(outcome.code == 65, "\(count) bytes: \(outcome.errors)")
      #expect(outcome.errors.contains("safetensors"))
    }
  }

  @Test func infoTellsTheMachineAndTheModel() {
    let outcome = Command.run(["info"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    for word in ["isa", "threads", "PipitFlowMLP", "BertModel", "arena"] {
      #expect(outcome.output.contains(word), "\(word)")
    }
  }
}
