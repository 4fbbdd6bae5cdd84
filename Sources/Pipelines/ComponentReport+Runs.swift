package import PipitFormats
package import PipitGraph
import PipitModels
package import PipitTensors

/// A graph of a model as built, and how often one use of the model runs it.
package struct GraphRun: Sendable {
  package let name: String
  package let runs: Int
  package let graph: Graph
}

extension ComponentReport {
  /// What one use of a model runs: of a pipeline a picture with `default_steps` steps and both moods; of
  /// one component a pass over `inputs`, or, where there are none, over the shapes that a pipeline gives.
  package static func runs(
    _ folder: ModelFolder, inputs: [String: Shape]
  ) throws -> [GraphRun] {
    guard folder.layout == .pipeline else {
      return try componentRuns(folder, name: folder.path, inputs: inputs, steps: 1)
    }
    let steps = try folder.configuration.integer("default_steps", in: 1...1000, fallback: 20)
    return try folder.configuration.values.keys.sorted().flatMap { name -> [GraphRun] in
      guard folder.has(name + "/config.json") else { return [] }
      return try componentRuns(
        try folder.component(name), name: name, inputs: [:], steps: steps)
    }
  }

  private static func componentRuns(
    _ folder: ModelFolder, name: String, inputs: [String: Shape], steps: Int
  ) throws -> [GraphRun] {
    let part = try ModelPart(folder)
    let (model, weights) = (part.architecture, part.weights)
    func run(_ name: String, _ runs: Int, _ graph: Graph) -> GraphRun {
      GraphRun(name: name, runs: runs, graph: graph)
    }
    if case .flowMLP(let flow) = model, inputs.isEmpty {
      let tokens = TextToImage.captionTokens
      // Two captions, with the sentence and without.
      let caption = try flow.captionGraph(weights: weights, batch: 2, tokens: tokens)
      let step = try flow.stepGraph(weights: weights, batch: 2)
      return [run(name + " (captions)", 1, caption), run(name + " (steps)", steps, step)]
    }
    let shapes = inputs.isEmpty ? (typicalInputs(model).first ?? [:]) : inputs
    return [run(name, 1, try model.graph(weights: weights, inputs: shapes))]
  }

  /// Bytes of the weight files of a model, all components together.
  package static func fileByteCount(_ folder: ModelFolder) throws -> Int {
    guard folder.layout == .pipeline else { return try folder.weights().byteCount }
    return try folder.configuration.values.keys.reduce(0) { sum, name in
      guard folder.has(name + "/config.json") else { return sum }
      return sum + (try folder.component(name).weights().byteCount)
    }
  }
}
