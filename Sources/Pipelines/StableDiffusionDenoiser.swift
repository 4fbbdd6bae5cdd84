import PipitFormats
import PipitModels
import PipitRuntime
import PipitTensors

/// The denoiser of one request: the text's keys and values are there before the first step.
final class StableDiffusionDenoiser {
  let sampleCount: Int
  private let component: Component
  private let program: Program
  private let keysAndValues: [(name: String, values: [Float])]
  private let batch: Int
  private let guidance: Float
  private let guidanceEmbedding: [Float]

  /// - Parameter context: The states of the request's texts, `[texts, tokens, width]`.
  init(
    _ denoiser: (part: ModelPart, architecture: UNet2DCondition), _ machine: Machine,
    _ request: StableDiffusionRequest, context: [Float], tokens: Int
  ) throws {
    let (part, model) = denoiser
    guard model.configuration.channels == model.configuration.outChannels else {
      throw FormatError(
        path: part.configuration.file, part: "'in_channels'",
        expected: "out_channels \(model.configuration.outChannels) (no inpainting or other inputs)",
        found: "\(model.configuration.channels)")
    }
    batch = request.texts.count
    keysAndValues = try StableDiffusionDenoiser.keysAndValues(
      denoiser, machine, context: context, batch: batch, tokens: tokens)
    let component = Component(part, machine: machine)
    self.component = component
    let extents = model.extents(request, tokens: tokens)
    program = try component.program("step") { try model.graph(weights: component.weights, extents) }
    guidance = request.guidance
    guidanceEmbedding =
      model.configuration.guidanceWidth.map {
        StableDiffusionDenoiser.embedding(guidance: request.guidance, width: $0)
      } ?? []
    sampleCount = try program.input("sample").count / batch
  }

  /// What every cross-attention makes of the texts. The weights for it are not needed after that.
  private static func keysAndValues(
    _ denoiser: (part: ModelPart, architecture: UNet2DCondition), _ machine: Machine,
    context: [Float], batch: Int, tokens: Int
  ) throws -> [(name: String, values: [Float])] {
    let component = Component(denoiser.part, machine: machine)
    let program = try component.program("context") {
      try denoiser.architecture.contextGraph(
        weights: component.weights, batch: batch, tokens: tokens)
    }
    let states = try program.input("encoder_hidden_states")
    guard states.count == context.count else {
      throw FormatError(
        path: component.configuration.file, part: "'cross_attention_dim'",
        expected: "the text encoder's width", found: "\(states.count / batch / tokens)")
    }
    _ = states.update(fromContentsOf: context)
    try program.run()
    return try program.graph.outputs.map { ($0.name, Array(try program.output($0.name))) }
  }

  /// The network's output for one sample, guided: u + g (c - u).
  func output(_ sample: [Float], timestep: Float) throws -> [Float] {
    let input = try program.input("sample")
    for index in input.indices { input[index] = sample[index % sample.count] }
    let time = try program.input("timestep")
    for index in time.indices { time[index] = timestep }
    for (name, values) in keysAndValues {
      _ = try program.input(name).update(fromContentsOf: values)
    }
    if !guidanceEmbedding.isEmpty {
      let target = try program.input("timestep_cond")
      for index in target.indices {
        target[index] = guidanceEmbedding[index % guidanceEmbedding.count]
      }
    }
    try program.run()
    let out = try component.finite("out_sample", of: program)
    guard batch == 2 else { return Array(out) }
    let count = sample.count
    return (0..<count).map { out[$0] + guidance * (out[count + $0] - out[$0]) }
  }

  /// Sines and cosines of the guidance, as `get_guidance_scale_embedding` of diffusers.
  private static func embedding(guidance: Float, width: Int) -> [Float] {
    let half = width / 2
    let step = 10000.0.logarithm / Double(max(half - 1, 1))
    let angles = (0..<half).map { index in
      Double(guidance - 1) * 1000 * (-step * Double(index)).exponential
    }
    let values = angles.map { Float($0.sine) } + angles.map { Float($0.cosine) }
    return values + [Float](repeating: 0, count: width - 2 * half)
  }
}

extension UNet2DCondition {
  /// The extents of a step of a request.
  func extents(_ request: StableDiffusionRequest, tokens: Int) -> Extents {
    var extents = Extents(
      batch: request.texts.count, height: request.height / 8, width: request.width / 8,
      tokens: tokens, timesteps: [1])
    extents.hasKeysAndValues = true
    extents.hasGuidance = configuration.guidanceWidth != nil
    return extents
  }
}
