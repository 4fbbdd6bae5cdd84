import PipitTensors

extension Sampler {
  /// DPM-Solver++(2M) (Lu et al. 2022): diffusers' `DPMSolverMultistepScheduler` with algorithm
  /// `dpmsolver++`, the midpoint rule and order 1 or 2. `karras` overrides `use_karras_sigmas`.
  static func dpmPlusPlus(
    _ configuration: Configuration, _ request: SamplerRequest, karras: Bool?
  ) throws -> SamplerPlan {
    let order = try dpmOrder(configuration)
    let schedule = try NoiseSchedule(configuration, request, spacing: .linspace)
    let isKarras = try karras ?? configuration.bool("use_karras_sigmas", fallback: false)
    let (timesteps, levels) = try dpmLevels(schedule, request, isKarras: isKarras)
    let first = try request.first()
    let rule = try DPMOrderRule(configuration, levels, order: order, first: first)
    let steps = (first..<timesteps.count).map { index -> Step in
      let now = Double(levels[index])
      let signal = 1 / (now * now + 1).squareRoot()
      return Step(
        timestep: Float(timesteps[index]), inputScale: 1,
        level: NoiseLevel(signal: signal, noise: now * signal),
        estimate: schedule.prediction.estimate(signal: signal, noise: now * signal),
        update: dpmUpdate(levels, index, isSecondOrder: rule.isSecond(index)))
    }
    return SamplerPlan(steps: steps)
  }

  /// The solver's order, once it is the solver that is implemented. Another class's settings of these
  /// names are about that class.
  private static func dpmOrder(_ configuration: Configuration) throws -> Int {
    guard try configuration.string("_class_name") == "DPMSolverMultistepScheduler" else { return 2 }
    for key in [
      "thresholding", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas",
      "use_flow_sigmas", "use_dynamic_shifting",
    ] {
      try configuration.require(key, .bool(false))
    }
    try configuration.require("algorithm_type", .string("dpmsolver++"))
    try configuration.require("solver_type", .string("midpoint"))
    try configuration.require("variance_type", .null)
    // What Python's JSON makes of the default, minus infinity: no clipping.
    try configuration.require("lambda_min_clipped", .string("-Infinity"))
    return try configuration.integer("solver_order", in: 1...2, fallback: 2)
  }

  /// Timesteps, and noise levels, of which there is one more.
  private static func dpmLevels(
    _ schedule: NoiseSchedule, _ request: SamplerRequest, isKarras: Bool
  ) throws -> ([Double], [Float]) {
    let trained = schedule.sigmas
    let last = try schedule.configuration.finalSigma(trained)
    guard isKarras else {
      let timesteps = try schedule.timesteps(request, isWhole: true, extra: 1)
      let sigmas = timesteps.map { Float(NoiseSchedule.interpolate(trained, at: $0)) }
      return (timesteps, sigmas + [last])
    }
    let sigmas = NoiseSchedule.karras(
      from: Double(trained[trained.count - 1]), to: Double(trained[0]), steps: request.steps)
    let logarithms = LogarithmicLevels(trained)
    let timesteps = sigmas.map { sigma -> Double in
      let timestep = logarithms.timestep(of: sigma)
      return timestep.rounded(schedule.isCosine ? .towardZero : .toNearestOrEven)
    }
    return (timesteps, sigmas.map { Float($0) } + [last])
  }

  /// The exponential integrator's step from level to level: with h the growth of the logarithm of signal
  /// over noise, x' = (n'/n) x - s' (exp(-h) - 1) D, where D is the picture, or for the second order the
  /// picture carried on half a step by its change since the step before.
  private static func dpmUpdate(_ levels: [Float], _ index: Int, isSecondOrder: Bool) -> Update {
    let (now, next) = (Double(levels[index]), Double(levels[index + 1]))
    let signal = 1 / (now * now + 1).squareRoot()
    let nextSignal = 1 / (next * next + 1).squareRoot()
    let sample = next * nextSignal / (now * signal)
    let weight = nextSignal * (1 - next / now)
    // (Between equal levels, which very many steps have, there is no change to go by.)
    guard isSecondOrder, levels[index - 1] > levels[index] else {
      return Update(sample: Float(sample), denoised: Float(weight))
    }
    let lastGrowth = (Double(levels[index - 1]) / now).logarithm
    let carried = weight * 0.5 * (now / next).logarithm / lastGrowth
    return Update(
      sample: Float(sample), denoised: Float(weight + carried), previous: Float(-carried))
  }
}

/// Which steps are of the second order: those that have a step before them, but not the last where that
/// would shake a short run.
private struct DPMOrderRule {
  private let order: Int
  private let first: Int
  private let last: Int
  private let isLastLower: Bool

  /// `levels` is one longer than the steps; `first` is the first step that is done.
  init(_ configuration: Configuration, _ levels: [Float], order: Int, first: Int) throws {
    self.order = order
    self.first = first
    last = levels.count - 2
    let isEuler = try configuration.bool("euler_at_final", fallback: false)
    let isLower = try configuration.bool("lower_order_final", fallback: true)
    isLastLower = isEuler || (isLower && last + 1 < 15) || levels[last + 1] == 0
  }

  func isSecond(_ index: Int) -> Bool {
    order == 2 && index > first && !(index == last && isLastLower)
  }
}
