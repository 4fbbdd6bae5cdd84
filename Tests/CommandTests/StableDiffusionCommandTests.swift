import Glibc
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

  // MARK: Folders that are not whole

  /// A folder whose parts are those of a golden but for `without`, which is empty; with an index as diffusers
  /// writes it.
  private func incomplete(_ golden: String, without: String) -> String {
    let folder = Command.temporaryFolder()
    let parts = ["text_encoder", "tokenizer", "unet", "vae", "scheduler"]
    for name in parts + ["model_index.json"] where name != without {
      symlink("\(Self.folders)/\(golden)/\(name)", "\(folder)/\(name)")
    }
    mkdir("\(folder)/\(without)", 0o700)
    return folder
  }

  @Test(arguments: ["text_encoder", "unet", "vae", "scheduler"])
  func whatIsMissingIsNamed(part: String) {
    let folder = incomplete("sd-ddim", without: part)
    defer { Command.remove(folder) }
    let outcome = Command.run(
      ["generate", "the sea", "--model", folder, "--size", "64x64", "-o", folder + "/x.png"])
    #expect([65, 66].contains(outcome.code), "\(outcome.errors)")
    #expect(outcome.errors.contains("\(folder)/\(part)"), "\(outcome.errors)")
    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    #expect(!Command.files(in: folder).contains("x.png"))
  }

  @Test func aMissingTensorIsNamedWithItsFile() {
    let folder = incomplete("sd-ddim", without: "unet")
    defer { Command.remove(folder) }
    // The settings of one model with the weights of another.
    symlink(Self.folders + "/sd-ddim/unet/config.json", folder + "/unet/config.json")
    symlink(
      Self.folders + "/sd-ddim/vae/diffusion_pytorch_model.safetensors",
      folder + "/unet/diffusion_pytorch_model.safetensors")
    let outcome = Command.run(
      ["generate", "the sea", "--model", folder, "--size", "64x64", "-o", folder + "/x.png"])
    #expect(outcome.code == 65, "\(outcome.errors)")
    #expect(outcome.errors.contains("'\(folder)/unet'"), "\(outcome.errors)")
    #expect(outcome.errors.contains("tensor '"), "\(outcome.errors)")
  }

  @Test func aSamplerThatTakesAnothersPlaceIsTold() {
    let folder = incomplete("sd-ddim", without: "scheduler")
    defer { Command.remove(folder) }
    let settings = "{\"_class_name\": \"PNDMScheduler\", \"beta_schedule\": \"scaled_linear\"}"
    Command.write(Array(settings.utf8), to: folder + "/scheduler/scheduler_config.json")
    let words = [
      "generate", "the sea", "--model", folder, "--size", "64x64", "--steps", "2", "-o",
      folder + "/x.png",
    ]
    let outcome = Command.run(words)
    #expect(outcome.code == 0 && outcome.errors.contains("PNDMScheduler"), "\(outcome.errors)")
    let chosen = Command.run(words + ["--sampler", "ddim"])
    #expect(chosen.code == 0 && !chosen.errors.contains("PNDMScheduler"), "\(chosen.errors)")
  }

  // MARK: Start pictures

  @Test func aStartPictureIsMadeAsLargeAsAskedFor() {
    let folder = Command.temporaryFolder()
    defer { Command.remove(folder) }
    let words = ["--image", Self.folders + "/sd-image/start.png", "-o", folder + "/x.png"]
    let outcome = generate("sd-image", words + ["--size", "64x72", "--strength", "0.5"])
    #expect(outcome.code == 0 && outcome.output.contains("64x72"), "\(outcome.errors)")
    let info = Command.run(["info", folder + "/x.png"]).output
    #expect(info.contains("strength: 0.5"), "\(info)")
    let small = generate("sd-image", words)
    #expect(small.code == 65 && small.errors.contains("multiples of 8 from 64"), "\(small.errors)")
  }
}
