import Glibc
import Testing

/// `pipit quantize` as a user types it: what is made, and one clear line, with nothing left, for what cannot be.
@Suite(.serialized) struct QuantizeCommandTests {
  /// A small model with one matrix of 64 x 64, all of one value but for the last.
  private func model(_ folder: String, last: Float = 0.5, name: String = "in") {
    mkdir(folder + "/" + name, 0o755)
    Command.write(Array("{}\n".utf8), to: "\(folder)/\(name)/config.json")
    let shape = #""shape":[64,64],"data_offsets":[0,16384]"#
    var header = Array((#"{"a.weight":{"dtype":"F32","# + shape + "}}").utf8)
    while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
    var bytes = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header
    let values = [Float](repeating: 0.25, count: 4095) + [last]
    bytes += values.withUnsafeBytes { Array($0) }
    Command.write(bytes, to: "\(folder)/\(name)/model.safetensors")
  }

  private func expectFailure(
    _ outcome: Outcome, _ folder: String, code: Int32, mentions word: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let errors = outcome.errors
    #expect(outcome.code == code, "\(errors)", sourceLocation: sourceLocation)
    #expect(errors.hasPrefix("pipit: ") && errors.contains(word), "\(errors)", sourceLocation: sourceLocation)
    #expect(errors.split(separator: "\n").count == 1, "\(errors)", sourceLocation: sourceLocation)
    #expect(Command.files(in: folder).filter { $0.hasPrefix("out") }.isEmpty, sourceLocation: sourceLocation)
  }

  @Test(arguments: [
    (["--scheme", "w5"], "w5"), (["--group", "33"], "--group"), (["--clip", "no"], "--clip"),
    (["--rule", "a=x"], "'x'"), (["--rule", "a"], "REGEX=SCHEME"), (["--rule", "(=w8"], "regular"),
    (["--rule", "nothing=w8"], "nothing=w8"), (["--keep", "nothing"], "nothing"),
    (["--target", "beauty=1"], "beauty=1"), (["--target", "psnr=30", "--dry-run"], "--target"),
    (["--report", "page"], ".html"),
  ])
  func badOptionsAreNamed(options: [String], word: String) {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    model(folder)
    let outcome = Command.run(["quantize", folder + "/in", folder + "/out"] + options)
    expectFailure(outcome, folder, code: 64, mentions: word)
  }

  @Test func badModelsAreNamed() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    model(folder)
    model(folder, last: .nan, name: "nan")
    model(folder, last: .infinity, name: "infinite")
    #expect(Command.run(["quantize", folder + "/in", folder + "/once"]).code == 0)
    for (name, word) in [
      ("nan", "element 4095"), ("infinite", "element 4095"), ("once", "quantized"),
      ("missing", "missing"),
    ] {
      let outcome = Command.run(["quantize", "\(folder)/\(name)", folder + "/out"])
      expectFailure(outcome, folder, code: name == "missing" ? 66 : 65, mentions: word)
    }
  }

  @Test func filesBecomeFiles() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    model(folder)
    let (input, output) = (folder + "/in/model.safetensors", folder + "/out.safetensors")
    expectFailure(Command.run(["quantize", input, folder + "/out"]), folder, code: 64, mentions: ".safetensors")
    for options in [["--report", "r.html"], ["--target", "psnr=30"], ["--prediction", "x"]] {
      let outcome = Command.run(["quantize", input, output] + options)
      expectFailure(outcome, folder, code: 64, mentions: options[0])
    }
    let disk = Command.runOnFullDisk(["quantize", input, output, "--scheme", "keep"])
    expectFailure(disk, folder, code: 73, mentions: "out.safetensors")
    let outcome = Command.run(["quantize", input, output])
    #expect(outcome.code == 0 && outcome.output.contains("a.weight"))
    #expect(Command.files(in: folder) == ["in", "out.safetensors"])
    rename(output, folder + "/alone.safetensors")
    // Without its folder it cannot be run, and is not calibrated.
    rename(input, folder + "/in.safetensors")
    let alone = Command.run(["quantize", folder + "/in.safetensors", output, "--calibrate", "default"])
    expectFailure(alone, folder, code: 64, mentions: "--calibrate")
    let twice = Command.run(["quantize", folder + "/alone.safetensors", output])
    expectFailure(twice, folder, code: 65, mentions: "quantized")
  }

  @Test func badMaterialIsNamed() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    model(folder)
    Command.write([], to: folder + "/empty.txt")
    for flag in ["--calibrate", "--evaluate"] {
      let options = [flag, folder + "/empty.txt"]
      let outcome = Command.run(["quantize", folder + "/in", folder + "/out"] + options)
      expectFailure(outcome, folder, code: 65, mentions: "empty.txt")
    }
    let page = ["--report", folder + "/no/page.html"]
    let unwritten = Command.run(["quantize", folder + "/in", folder + "/out"] + page)
    expectFailure(unwritten, folder, code: 73, mentions: "no/page.html")
    // Pictures say nothing of a model that reads texts.
    let goldens = Command.root + "/Tests/PipelineTests/Goldens"
    let picture = ["--calibrate", goldens + "/sd-image/start.png"]
    let unread = Command.run(["quantize", goldens + "/sentences-mean", folder + "/out"] + picture)
    expectFailure(unread, folder, code: 65, mentions: "texts")
    // A model that nothing here runs cannot be calibrated, but quantized.
    let options = ["--calibrate", "default"]
    let outcome = Command.run(["quantize", folder + "/in", folder + "/out"] + options)
    expectFailure(outcome, folder, code: 65, mentions: "architectures")
    #expect(Command.run(["quantize", folder + "/in", folder + "/done"]).code == 0)
  }

  @Test func aFullDiskLeavesNothing() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    model(folder)
    let arguments = ["quantize", folder + "/in", folder + "/out", "--scheme", "keep"]
    expectFailure(Command.runOnFullDisk(arguments), folder, code: 73, mentions: "model.safetensors")
    #expect(Command.files(in: folder) == ["in"])
    // The same where it fits: the limit was the reason.
    #expect(Command.run(arguments).code == 0)
  }

  @Test func tellsWhatItDoes() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    model(folder)
    let dry = Command.run(["quantize", folder + "/in", folder + "/out", "--dry-run"])
    #expect(dry.code == 0 && dry.output.contains("a.weight") && dry.output.contains("nothing was written"))
    #expect(Command.files(in: folder) == ["in"])
    let outcome = Command.run(["quantize", folder + "/in", folder + "/out", "--json"])
    #expect(outcome.output.hasPrefix("{") && outcome.output.contains(#""scheme":"w8a8""#))
    let again = Command.run(["quantize", folder + "/in", folder + "/out"])
    #expect(again.code == 73 && again.errors.contains("--force"))
  }
}
