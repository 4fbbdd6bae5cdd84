/// A way from noise to a picture: which noise levels the denoiser sees, and what each of its outputs does
/// to the sample. All arithmetic that depends on settings is done once; a step is a weighted sum.
///
///     var sampler = try Sampler(settings, steps: 20)
///     var x = sampler.start(noise)
///     for step in sampler.steps.indices {
///       let input = sampler.networkInput(x, step: step)
///       let output = denoiser(input, sampler.steps[step].timestep)
///       let noise = sampler.steps[step].needsNoise ? source.next(x.count) : []
///       sampler.advance(&x, output: output, step: step, noise: noise)
///     }
///
/// Samples, outputs and noise have one count, whatever their shape: everything is elementwise, so a batch
/// is one sample.
package struct Sampler: Sendable {
  /// One call of the denoiser and what follows from it.
  package struct Step: Hashable, Sendable {
    /// What the denoiser is told of the noise level.
    package let timestep: Float
    /// The denoiser's input is the sample times this.
    package let inputScale: Float
    /// What a noised picture is made of at this level.
    let level: NoiseLevel
    /// Picture that the output means: x0 = sample * x + output * y.
    let estimate: Estimate
    /// The next sample.
    let update: Update

    /// Whether `advance` takes fresh noise.
    package var needsNoise: Bool { update.noise != 0 }
  }

  /// The calls of the denoiser, in order; those that `strength` leaves out are not among them.
  package let steps: [Step]
  /// Standard deviation of the first sample where it is nothing but noise.
  package let initialNoiseScale: Float
  /// The class of `scheduler_config.json` that another sampler stands in for; `nil` if it is that class.
  package let standsInFor: String?
  /// What the last output said the picture will be: for previews. Empty before the first step.
  package private(set) var denoised: [Float] = []
  /// Estimates are clamped to -limit ... limit.
  private let limit: Float

  init(_ plan: SamplerPlan, standsInFor: String?) {
    precondition(!plan.steps.isEmpty)
    steps = plan.steps
    initialNoiseScale = plan.initialNoiseScale
    limit = plan.limit
    self.standsInFor = standsInFor
  }

  /// The first sample, of standard normal noise.
  package func start(_ noise: [Float]) -> [Float] { noise.map { $0 * initialNoiseScale } }

  /// The first sample, of a picture's latents and standard normal noise: image to image.
  package func start(_ noise: [Float], from image: [Float]) -> [Float] {
    precondition(noise.count == image.count)
    let level = steps[0].level
    return image.indices.map { level.signal * image[$0] + level.noise * noise[$0] }
  }

  /// What the denoiser is given of a sample.
  package func networkInput(_ x: [Float], step: Int) -> [Float] {
    let scale = steps[step].inputScale
    return scale == 1 ? x : x.map { $0 * scale }
  }

  /// Takes a sample one step further. Steps come in order; `noise` is standard normal and only looked at by
  /// steps that need it.
  package mutating func advance(
    _ x: inout [Float], output: [Float], step: Int, noise: [Float] = []
  ) {
    precondition(output.count == x.count)
    let (estimate, update) = (steps[step].estimate, steps[step].update)
    precondition(update.noise == 0 || noise.count == x.count)
    if denoised.count != x.count { denoised = [Float](repeating: 0, count: x.count) }
    for index in x.indices {
      let (sample, value, previous) = (x[index], output[index], denoised[index])
      let picture = estimate.sample * sample + estimate.output * value
      let clamped = max(-limit, min(limit, picture))
      var next = update.sample * sample + update.output * value
      next += update.denoised * clamped + update.previous * previous
      denoised[index] = clamped
      x[index] = next
    }
    guard update.noise != 0 else { return }
    for index in x.indices { x[index] += update.noise * noise[index] }
  }
}

/// A picture at a noise level: signal * picture + noise * (standard normal numbers).
struct NoiseLevel: Hashable, Sendable {
  let signal: Float
  let noise: Float

  init(signal: Double, noise: Double) {
    self.signal = Float(signal)
    self.noise = Float(noise)
  }
}

/// How sample and output give the picture.
struct Estimate: Hashable, Sendable {
  let sample: Float
  let output: Float

  init(sample: Double, output: Double) {
    self.sample = Float(sample)
    self.output = Float(output)
  }
}

/// What the next sample is made of.
struct Update: Hashable, Sendable {
  var sample: Float = 0
  var output: Float = 0
  /// Of the picture that the output means, and of that of the step before.
  var denoised: Float = 0
  var previous: Float = 0
  /// Of fresh noise.
  var noise: Float = 0
}

/// What a kind of sampler makes of its settings.
struct SamplerPlan {
  var steps: [Sampler.Step]
  var initialNoiseScale: Float = 1
  var limit: Float = .infinity
}

/// Steps or strength that a sampler cannot do.
package struct SamplerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The request's part: `steps` or `strength`.
  package let part: String
  package let expected: String
  package let found: String

  package var description: String { "\(part): expected \(expected), found \(found)" }
}
