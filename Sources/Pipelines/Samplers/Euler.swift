import PipitTensors

extension Sampler {
  /// Euler's method on the probability flow (Karras et al. 2022, algorithm 2 without churn): diffusers'
  /// `EulerDiscreteScheduler`. With trailing timesteps and one step it is SD-Turbo's sampler.
  static func euler(
    _ configuration: Configuration, _ request: SamplerRequest
  ) throws -> SamplerPlan {
    for key in ["use_exponential_sigmas", "use_beta_sigmas"] {
      try configuration.require(key, .bool(false))
    }
    try configuration.require("interpolation_type", .string("linear"))
    try configuration.require("timestep_type", .string("discrete"))
    let schedule = try NoiseSchedule(configuration, request, spacing: .linspace)
    let trained = schedule.sigmas
    var timesteps = try schedule.timesteps(request, isWhole: false)
    var sigmas = timesteps.map { NoiseSchedule.interpolate(trained, at: $0) }
    if try configuration.bool("use_karras_sigmas", fallback: false) {
      sigmas = NoiseSchedule.karras(
        from: try configuration.level("sigma_max", fallback: sigmas[0]),
        to: try configuration.level("sigma_min", fallback: sigmas[sigmas.count - 1]),
        steps: request.steps)
      let logarithms = LogarithmicLevels(trained)
      timesteps = sigmas.map { logarithms.timestep(of: $0) }
    }
    let last = try configuration.finalSigma(trained)
    let levels = sigmas.map { Float($0) } + [last]
    return try eulerPlan(schedule, request, timesteps, levels) { now, next in
      // x + (next - now) (x - picture) / now
      Update(sample: Float(next / now), denoised: Float(1 - next / now))
    }
  }

  /// Euler's method with noise added at every step: diffusers' `EulerAncestralDiscreteScheduler`.
  static func eulerAncestral(
    _ configuration: Configuration, _ request: SamplerRequest
  ) throws -> SamplerPlan {
    let schedule = try NoiseSchedule(configuration, request, spacing: .linspace)
    guard schedule.prediction != .sample else {
      throw configuration.error("prediction_type", "epsilon or v_prediction", "sample")
    }
    let trained = schedule.sigmas
    let timesteps = try schedule.timesteps(request, isWhole: false)
    let levels = timesteps.map { Float(NoiseSchedule.interpolate(trained, at: $0)) } + [0]
    return try eulerPlan(schedule, request, timesteps, levels) { now, next in
      // Down to less noise than the next level has, then up to it by fresh noise.
      let up = next * (now * now - next * next).squareRoot() / now
      let down = next * next / now
      return Update(
        sample: Float(down / now), denoised: Float(1 - down / now), noise: Float(up))
    }
  }

  /// What both share: samples are the picture plus sigma times noise, and the denoiser sees them scaled to
  /// the variance it was trained with. `levels` is one longer than `timesteps`.
  private static func eulerPlan(
    _ schedule: NoiseSchedule, _ request: SamplerRequest, _ timesteps: [Double], _ levels: [Float],
    update: (_ now: Double, _ next: Double) -> Update
  ) throws -> SamplerPlan {
    let steps = (try request.first()..<timesteps.count).map { index -> Step in
      let (now, next) = (Double(levels[index]), Double(levels[index + 1]))
      let signal = 1 / (now * now + 1).squareRoot()
      return Step(
        timestep: Float(timesteps[index]), inputScale: Float(signal),
        level: NoiseLevel(signal: 1, noise: now),
        estimate: schedule.prediction.estimate(signal: signal, noise: now * signal, scale: signal),
        update: update(now, next))
    }
    let highest = levels.max() ?? 0
    return SamplerPlan(
      steps: steps,
      initialNoiseScale: schedule.spacing == .leading
        ? (highest * highest + 1).squareRoot() : highest)
  }
}

extension Configuration {
  /// Where the last step ends.
  func finalSigma(_ trained: [Float]) throws(ConfigurationError) -> Float {
    let kind: FinalSigma = try choice("final_sigmas_type", fallback: .zero)
    return kind == .zero ? 0 : trained[0]
  }

  /// A noise level that bounds the others.
  fileprivate func level(_ key: String, fallback: Double) throws(ConfigurationError) -> Double {
    let value = try number(key, fallback: fallback)
    guard value > 0 else { throw error(key, "a positive number", "\(value)") }
    return value
  }
}

/// What the last step ends in.
enum FinalSigma: String, CaseIterable, Sendable {
  case zero
  case lowest = "sigma_min"
}
