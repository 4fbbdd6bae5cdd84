package import PipitFormats
import PipitGraph
import PipitModels
import PipitTensors

extension MemoryPlan {
  /// What one use of a model takes: a picture of a pipeline at its own size, or a pass of one component over
  /// the inputs that a pipeline would give it.
  package init(_ folder: ModelFolder, machine: Machine) throws {
    self.init()
    if let model = DiffusersFolder(folder) {
      self = try StableDiffusion(model, machine: machine).memoryPlan()
    } else if folder.layout == .pipeline {
      try addBundle(folder, machine)
    } else {
      for graph in try ComponentReport.graphs(folder) {
        add(graph.inputs[0].name, [graph], machine: machine)
      }
    }
  }

  /// The stages of `TextToImage` and of the moods of sentence and picture.
  private mutating func addBundle(_ folder: ModelFolder, _ machine: Machine) throws {
    func graphs(_ name: String) throws -> [Graph] {
      folder.has(name + "/config.json")
        ? try ComponentReport.graphs(try folder.component(name)) : []
    }
    add("text encoder", try graphs("text_encoder") + graphs("text_sentiment"), machine: machine)
    let denoiser = try ModelPart(try folder.component("denoiser"))
    guard case .flowMLP(let flow) = denoiser.architecture else {
      throw denoiser.wrongArchitecture("PipitFlowMLP")
    }
    let caption = try flow.captionGraph(
      weights: denoiser.weights, batch: 2, tokens: TextToImage.captionTokens)
    let step = try flow.stepGraph(weights: denoiser.weights, batch: 2)
    add("caption", [caption], machine: machine)
    add("denoiser", [step], machine: machine)
    let decoder = try graphs("vae").filter { $0.inputs.contains { $0.name == "latent_sample" } }
    add("decoder", decoder, machine: machine)
    let judge = try graphs("image_sentiment")
    if !judge.isEmpty { add("mood of the picture", judge, machine: machine) }
  }
}
