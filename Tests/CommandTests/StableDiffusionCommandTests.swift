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
}
