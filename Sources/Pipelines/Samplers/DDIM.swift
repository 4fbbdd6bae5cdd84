import PipitTensors

extension Sampler {
  /// Denoising diffusion implicit models (Song et al. 2021) without noise (eta 0): diffusers'
  /// `DDIMScheduler`.
  static func ddim(
    _ configuration: Configuration, _ request: SamplerRequest
  ) throws -> SamplerPlan {
    let schedule = try NoiseSchedule(
      configuration, request, spacing: .leading, endsInNoise: true)
    try configuration.require("thresholding", .bool(false))
    let alphas = schedule.alphas.map(Double.init)
    let isLastOne = try configuration.bool("set_alpha_to_one", fallback: true)
    let timesteps = try schedule.timesteps(request, isWhole: true).map { Int($0) }
    let interval = alphas.count / request.steps
    let steps = timesteps[try request.first()...].map { timestep -> Step in
      let now = alphas[timestep]
      let last = isLastOne ? 1 : alphas[0]
      let next = timestep >= interval ? alphas[timestep - interval] : last
      let (signal, noise) = (now.squareRoot(), (1 - now).squareRoot())
      // Next sample: the picture with less noise, in the direction that the output gives. (The noise in
      // the output is what it says, not what a clamped picture would leave.)
      let (nextSignal, nextNoise) = (next.squareRoot(), (1 - next).squareRoot())
      var update = Update(denoised: Float(nextSignal))
      switch schedule.prediction {
      case .epsilon: update.output = Float(nextNoise)
      case .velocity:
        update.output = Float(nextNoise * signal)
        update.sample = Float(nextNoise * noise)
      case .sample:
        update.output = Float(-nextNoise * signal / noise)
        update.sample = Float(nextNoise / noise)
      }
      return Step(
        timestep: Float(timestep), inputScale: 1, level: NoiseLevel(signal: signal, noise: noise),
        estimate: schedule.prediction.estimate(signal: signal, noise: noise), update: update)
    }
    return SamplerPlan(steps: steps, limit: try configuration.clipping(fallback: true))
  }
}

extension Configuration {
  /// The range that estimates are clamped to.
  func clipping(fallback: Bool) throws(ConfigurationError) -> Float {
    let isClipped = try bool("clip_sample", fallback: fallback)
    let range = try number("clip_sample_range", fallback: 1)
    guard range > 0 else { throw error("clip_sample_range", "a positive number", "\(range)") }
    return isClipped ? Float(range) : .infinity
  }
}
