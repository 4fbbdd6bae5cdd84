import ArgumentParser
import Glibc
import PipitFormats
import PipitPipelines

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run one component of a model on NumPy arrays.",
    discussion: """
      Names and axis order are those of the reference libraries (optimum's ONNX
      exports):
        text encoder      input_ids [attention_mask] [token_type_ids]
                            -> last_hidden_state
        CLIP text         input_ids [attention_mask]
                            -> last_hidden_state pooler_output | text_embeds
        text classifier   input_ids [attention_mask] [token_type_ids] -> logits
        sentiment head    layer_states attention_mask -> logits
        denoiser          sample timestep encoder_hidden_states [timestep_cond]
                            -> out_sample
        default denoiser  sample timestep encoder_hidden_states
                          encoder_attention_mask -> out_sample
        VAE decoder       latent_sample -> sample
        VAE encoder       sample -> latent_parameters
        classifier        pixel_values -> logits

      A pipeline's folder and a checkpoint in one file hold several components:
      --component names one, as the folders of a pipeline are called (of a checkpoint
      in one file: text_encoder, unet, vae).

      Examples:
        pipit run Models/Default/vae --in latent_sample=z.npy --out sample=x.npy
        pipit run model.safetensors --component vae --in latent_sample=z.npy \\
                  --out sample=x.npy
      """)

  @Argument(help: "The component's folder, or what --component is part of.")
  var model: String

  @Option(help: "Which component of a pipeline's folder or of a single-file checkpoint.")
  var component: String?

  @Option(help: "For a single-file checkpoint: a diffusers folder to take settings from.")
  var config: String?

  @Option(name: .customLong("in"), help: "NAME=FILE.npy, once for each input.")
  var inputs: [String] = []

  @Option(name: .customLong("out"), help: "NAME=FILE.npy, once for each output wanted.")
  var outputs: [String] = []

  @Option(help: "How many threads to use.")
  var threads: Int?

  @Flag(help: "Compute even what seems to take more memory than the machine has.")
  var force = false

  mutating func run() throws {
    var options = MachineOptions()
    options.threads = threads
    let machine = try Machine(threadCount: try options.threadCount(), ignoresMemory: force)
    let part = try part()
    let arrays = try npyArrays(inputs)
    let files = try namedFiles(outputs, "--out")
    guard !files.isEmpty else {
      throw Failure(code: EX_USAGE, "no output is asked for; add --out NAME=FILE.npy")
    }
    let results = try ComponentRun.run(
      part, inputs: arrays, outputs: files.map(\.name), machine: machine)
    for (name, path) in files {
      guard let result = results[name] else { continue }
      try result.values.withUnsafeBufferPointer {
        try Npy.write($0, shape: result.shape, to: path)
      }
      print("\(name) \(result.shape) -> \(path)")
    }
  }
}

extension RunCommand {
  private func part() throws -> ModelPart {
    if OriginalCheckpoint.isFile(model) {
      var options = OriginalCheckpoint.Options()
      options.settings = config
      // What the denoiser's output means is for those who draw.
      options.assumesEpsilon = true
      let checkpoint = try OriginalCheckpoint(path: model, options: options)
      return try checkpoint.part(
        named: try named(OriginalCheckpoint.partNames.joined(separator: ", ")))
    }
    let folder = try ModelFolder(path: model)
    guard folder.layout == .pipeline else {
      if let component {
        throw Failure(
          code: EX_USAGE, "--component \(component): '\(model)' is one component already")
      }
      return try ModelPart(folder)
    }
    return try ModelPart(try folder.component(try named("a folder in it")))
  }

  private func named(_ known: String) throws -> String {
    if let component { return component }
    throw Failure(
      code: EX_USAGE, "'\(model)' holds several components; say --component (\(known))")
  }
}

/// The arrays of `NAME=FILE.npy` options by name.
func npyArrays(_ options: [String]) throws -> [String: NpyArray] {
  var arrays: [String: NpyArray] = [:]
  for (name, path) in try namedFiles(options, "--in") { arrays[name] = try Npy.read(path: path) }
  return arrays
}

/// `NAME=FILE` options taken apart.
private func namedFiles(
  _ options: [String], _ flag: String
) throws -> [(name: String, path: String)] {
  try options.map { option in
    guard let equals = option.firstIndex(of: "="), equals != option.startIndex else {
      throw Failure(code: EX_USAGE, "\(flag): expected NAME=FILE.npy, found '\(option)'")
    }
    return (String(option[..<equals]), String(option[option.index(after: equals)...]))
  }
}
