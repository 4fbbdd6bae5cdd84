import PipitFormats
import PipitGraph
import PipitModels
import PipitPipelines
import PipitRuntime
import PipitTensors

/// Runs a component by itself on arrays: what its pipeline would give it where that can be made of pictures,
/// numbers of the same kind where it cannot.
struct ArrayRun {
  private let component: Component
  private let material: Material
  private let pictures: [Picture]
  private var noise = GaussianNoise(seed: 20, stream: 5)

  /// How often a component is run on numbers without a source.
  private static let runs = 6

  init(_ component: Component, material: Material, pictures: [Picture]) {
    self.component = component
    self.material = material
    self.pictures = pictures
  }

  mutating func outcomes(_ progress: (Int, Int) throws -> Void) throws -> [Outcome] {
    switch component.architecture {
    case .autoencoder(let vae):
      return try autoencoder(
        side: vae.sampleSize, vae.reduction, latentChannels: vae.latentChannels, progress)
    case .autoencoderTiny(let vae):
      return try autoencoder(side: 256, vae.reduction, latentChannels: vae.latentChannels, progress)
    case .autoencoderKL(let vae):
      return try autoencoder(side: 256, vae.reduction, latentChannels: vae.latentChannels, progress)
    default: return try others(progress)
    }
  }

  // MARK: Autoencoders

  /// Pictures to latents, where there is an encoder, and back.
  private mutating func autoencoder(
    side: Int, _ reduction: Int, latentChannels: Int, _ progress: (Int, Int) throws -> Void
  ) throws -> [Outcome] {
    let names = component.weights.names
    // Files of the original TAESD hold one direction each, and number their layers.
    let isOriginalEncoder = names.contains("0.weight")
    let hasEncoder = isOriginalEncoder || names.contains { $0.hasPrefix("encoder.") }
    let hasDecoder =
      !isOriginalEncoder && names.contains { $0.hasPrefix("decoder.") || $0 == "1.weight" }
    var latents = material.arrays.filter {
      $0.shape.rank == 4 && $0.shape[0] == 1 && $0.shape[1] == latentChannels
    }
    var outcomes: [Outcome] = []
    if hasEncoder {
      var codes: [NpyArray] = []
      for picture in pictures {
        let picture = Resampling.bicubic.apply(picture, width: side, height: side)
        let sample = NpyArray(shape: [1, 3, side, side], values: .floats(Image(picture).values))
        codes.append(try run(["sample": sample], "latent_parameters"))
      }
      // Means come before the logarithms of variances, where there are any.
      outcomes.append(Outcome(part: "encoder", results: .arrays(codes.map(\.floats))))
      if latents.isEmpty { latents = codes.map { $0.firstChannels(latentChannels) } }
    }
    guard hasDecoder else { return outcomes }
    if latents.isEmpty { latents = (0..<ArrayRun.runs).map { _ in smooth(latentChannels, side / reduction) } }
    var images: [Image] = []
    for (index, latent) in latents.enumerated() {
      let sample = try run(["latent_sample": latent], "sample")
      images.append(Image(width: sample.shape[3], height: sample.shape[2], values: sample.floats))
      try progress(index + 1, latents.count)
    }
    return outcomes + [Outcome(part: hasEncoder ? "decoder" : "", results: .images(images))]
  }

  /// Latents without a source: they change slowly from place to place, as those of pictures do.
  private mutating func smooth(_ channels: Int, _ side: Int) -> NpyArray {
    let coarse = max(2, side / 4)
    let (slow, fast) = (noise.next(channels * (coarse + 1) * (coarse + 1)), noise.next(channels * side * side))
    let values = (0..<channels * side * side).map { index -> Float in
      let (channel, y, x) = (index / (side * side), index / side % side, index % side)
      let place = (channel * (coarse + 1) + y * coarse / side) * (coarse + 1) + x * coarse / side
      return 0.85 * slow[place] + 0.4 * fast[index]
    }
    return NpyArray(shape: [1, channels, side, side], values: .floats(values))
  }

  // MARK: Other components

  private mutating func others(_ progress: (Int, Int) throws -> Void) throws -> [Outcome] {
    var arrays: [[Float]] = []
    let shapes = ComponentReport.typicalInputs(component.architecture)[0].mapValues(smaller)
    let program = try component.program("others") {
      try component.architecture.graph(weights: component.weights, inputs: shapes)
    }
    for index in 0..<ArrayRun.runs {
      for port in program.graph.inputs { try fill(program, port, run: index) }
      try program.run()
      for port in program.graph.outputs { arrays.append(Array(try program.output(port.name))) }
      try progress(index + 1, ArrayRun.runs)
    }
    return [Outcome(part: "", results: .arrays(arrays))]
  }

  /// Pictures of at most 32 latents a side: a network for pictures does the same everywhere.
  private func smaller(_ shape: Shape) -> Shape {
    guard case .unet2DCondition = component.architecture, shape.rank == 4 else { return shape }
    return [shape[0], shape[1], min(shape[2], 32), min(shape[3], 32)]
  }

  private mutating func fill(_ program: Program, _ port: Port, run: Int) throws {
    let info = program.graph[port.value]
    if info.elementType == .i32 {
      let target = try program.idInput(port.name)
      let limit = Int32(vocabularyCount)
      for (index, number) in noise.next(target.count).enumerated() {
        let id = Int32(min(abs(number) / 4, 0.999) * Float(limit))
        target[index] = port.name == "input_ids" ? id : port.name.hasSuffix("mask") ? 1 : 0
      }
      return
    }
    let target = try program.input(port.name)
    switch port.name {
    case "timestep":
      let time = (Float(run) + 0.5) / Float(ArrayRun.runs)
      for index in target.indices { target[index] = (time * 1000).rounded() }
    case "pixel_values" where info.shape.rank == 4 && info.shape[1] == 3:
      let picture = Resampling.bicubic.apply(
        pictures[run % pictures.count], width: info.shape[3], height: info.shape[2])
      _ = target.update(fromContentsOf: Image(picture).values.map { 2 * $0 })
    default: _ = target.update(fromContentsOf: noise.next(target.count))
    }
  }

  private var vocabularyCount: Int {
    switch component.architecture {
    case .textTransformer(let model): model.vocabularyCount
    case .textClassifier(let model): model.encoder.vocabularyCount
    case .clipText(let model): model.vocabularyCount
    default: 1
    }
  }

  private func run(_ inputs: [String: NpyArray], _ output: String) throws -> NpyArray {
    let key = inputs.map { "\($0.key) \($0.value.shape)" }.joined()
    let program = try component.program(key) {
      try component.architecture.graph(
        weights: component.weights, inputs: inputs.mapValues(\.shape))
    }
    try ComponentRun.check(inputs, for: program)
    for port in program.graph.inputs {
      if let array = inputs[port.name] { try ComponentRun.fill(program, port, array) }
    }
    try program.run()
    let values = Array(try program.output(output))
    return NpyArray(shape: program.shape(ofOutput: output) ?? [values.count], values: .floats(values))
  }
}

extension NpyArray {
  /// The numbers, whole ones too.
  fileprivate var floats: [Float] {
    switch values {
    case .floats(let floats): floats
    case .integers(let integers): integers.map { Float($0) }
    }
  }

  /// The first channels of `[1, channels, height, width]`.
  fileprivate func firstChannels(_ count: Int) -> NpyArray {
    let plane = shape[2] * shape[3]
    return NpyArray(
      shape: [1, count, shape[2], shape[3]], values: .floats(Array(floats.prefix(count * plane))))
  }
}
