import PipitFormats
import PipitGraph
import PipitKernels
import PipitModels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

/// What depends on the prompt only can be computed once for all steps, with the same result.
@Suite struct UNetContextTests {
  @Test(arguments: ["unet-1", "unet-3", "unet-4", "unet-5"])
  func keysAndValuesStandForTheText(name: String) throws {
    let folder = try ModelFolder(path: GoldenPlace.goldens + "/" + name)
    let golden = try Golden(path: folder.path + "/golden.safetensors")
    let weights = try folder.weights()
    let model = UNet2DCondition(try UNet2DConditionConfiguration(folder.configuration))
    let sample = try #require(golden.inputs["sample"]).shape
    let text = try #require(golden.inputs["encoder_hidden_states"]).shape
    let prompt = try program(
      try model.contextGraph(weights: weights, batch: text[0], tokens: text[1]))
    try golden.fill(prompt, except: ["sample", "timestep", "timestep_cond"])
    try prompt.run()

    var extents = UNet2DCondition.Extents(
      batch: sample[0], height: sample[2], width: sample[3], tokens: text[1],
      timesteps: try #require(golden.inputs["timestep"]).shape)
    extents.hasGuidance = golden.inputs["timestep_cond"] != nil
    extents.hasKeysAndValues = true
    let step = try program(try model.graph(weights: weights, extents))
    try golden.fill(step, except: ["encoder_hidden_states"])
    let shared = prompt.graph.outputs.map(\.name)
    let own = step.graph.inputs.map(\.name).filter { golden.inputs[$0] == nil }
    #expect(shared.sorted() == own.sorted())
    for name in shared {
      _ = try step.input(name).update(fromContentsOf: Array(try prompt.output(name)))
    }
    try step.run()
    let expected = try #require(golden.outputs["out_sample"])
    #expect(maxError(Array(try step.output("out_sample")), expected) <= 1e-4)
  }

  private func program(_ graph: Graph) throws -> Program {
    try graph.verify()
    return Program(
      graph: Optimizer.optimize(graph), kernels: .best, pool: ThreadPool(threadCount: 2),
      weights: PackedWeights(kernels: .best))
  }
}
