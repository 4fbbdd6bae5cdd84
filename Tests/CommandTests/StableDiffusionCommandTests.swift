import Testing

/// `pipit generate` with Stable Diffusion folders: the small ones of PipelineTests.
@Suite(.serialized) struct StableDiffusionCommandTests {
  private static let folders = Command.root + "/Tests/PipelineTests/Goldens"

  private func generate(_ folder: String, _ options: [String]) -> Outcome {
    Command.run(["generate", "the sea", "--model", Self.folders + "/" + folder] + options)
  }

  @Test func aDryRunTellsTheMemoryAndWritesNothing() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let outcome = generate("sd-turbo", ["--dry-run", "-o", folder + "/x.png"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    for stage in ["text encoder: ", "denoiser: ", "decoder: ", "at most "] {
      #expect(outcome.output.contains(stage), "\(outcome.output)")
    }
    #expect(Command.files(in: folder).isEmpty)
    let json = generate("sd-turbo", ["--dry-run", "--json"])
    #expect(json.output.contains("\"peakBytes\":"), "\(json.output)")
    let info = Command.run(["info", Self.folders + "/sd-turbo"])
    #expect(info.output.contains("at most "), "\(info.errors)")
  }

  /// A run that is interrupted after its first preview.
  private func interrupted(_ folder: String, _ options: [String]) -> Outcome {
    let words =
      [
        "generate", "the sea", "--model", Self.folders + "/sd-ddim", "--no-cache", "--size",
        "512x512", "--steps", "900", "-o", folder + "/x.png", "--preview", folder + "/p.png",
      ] + options
    return Command.run(bytes: words.map { Array($0.utf8) }, interruptWhen: folder + "/p.png")
  }

  @Test func interruptionLeavesNoPicture() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let outcome = interrupted(folder, [])
    #expect(outcome.code == 130, "\(outcome.errors)")
    #expect(outcome.errors.contains("of 900; nothing was written"), "\(outcome.errors)")
    #expect(Command.files(in: folder) == ["p.png"])
  }

  @Test func interruptionCanSaveHowFarItCame() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let outcome = interrupted(folder, ["--save-on-cancel"])
    #expect(outcome.code == 130, "\(outcome.errors)")
    #expect(outcome.errors.contains("of 900; \(folder)/x.png"), "\(outcome.errors)")
    #expect(Command.files(in: folder) == ["p.png", "x.png"])
    #expect(Command.run(["info", folder + "/x.png"]).output.contains("seed: "))
  }

  @Test func promptsAreCachedUnlessTheyAreNotToBe() {
    let folder = Command.temporaryFolder()
    let cache = folder + "/cache"
    defer {
      Command.remove(cache + "/pipit/prompts")
      Command.remove(cache + "/pipit")
      Command.remove(cache)
      Command.remove(folder)
    }
    let words = [
      "generate", "the sea", "--model", Self.folders + "/sd-turbo", "--quiet", "--seed", "1",
    ]
    let environment = ["XDG_CACHE_HOME=" + cache]
    let none = Command.run(
      words + ["--no-cache", "-o", folder + "/a.png"], environment: environment)
    #expect(none.code == 0, "\(none.errors)")
    #expect(Command.files(in: cache).isEmpty)
    for name in ["b", "c"] {
      let outcome = Command.run(words + ["-o", "\(folder)/\(name).png"], environment: environment)
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(Command.files(in: cache + "/pipit/prompts").count == 1)
    }
    let first = Command.bytes(folder + "/a.png")
    #expect(!first.isEmpty && first == Command.bytes(folder + "/b.png"))
    #expect(first == Command.bytes(folder + "/c.png"))
  }

  @Test func singleFilesDraw() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let model = Self.folders + "/original-1.safetensors"
    let words = ["generate", "the sea", "--model", model, "--no-cache", "--size", "64x64"]
    let output = ["-o", folder + "/x.png", "--steps", "2", "--quiet"]
    let outcome = Command.run(words + output + ["--config", Self.folders + "/sd-ddim"])
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(Command.files(in: folder) == ["x.png"])
    let none = Command.run(words + ["--steps", "2", "-o", folder + "/y.png", "--prediction", "x"])
    #expect(none.code == 64 && none.errors.contains("--prediction"), "\(none.errors)")
    let pickle = Command.run(["generate", "x", "--model", folder + "/x.png", "-o", folder + "/z.png"])
    #expect(pickle.code == 65, "\(pickle.errors)")
    #expect(Command.files(in: folder) == ["x.png"])
  }
}
