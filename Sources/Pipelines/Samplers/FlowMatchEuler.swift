package import PipitTensors

/// Euler's method along a rectified flow, with the noise levels of diffusers'
/// `FlowMatchEulerDiscreteScheduler`.
package struct FlowMatchEuler: Sendable {
  /// Noise levels from 1 down to 0, one more than steps.
  package let sigmas: [Float]
  private let trainSteps: Float

  /// The levels for a number of steps, with the settings of `scheduler_config.json`.
  package init(_ configuration: Configuration, steps: Int) throws {
    precondition(steps > 0)
    for key in [
      "use_dynamic_shifting", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
      "invert_sigmas", "stochastic_sampling",
    ] {
      try configuration.require(key, .bool(false))
    }
    try configuration.require("shift_terminal", .null)
    let count = Double(
      try configuration.integer("num_train_timesteps", in: 1...1_000_000, fallback: 1000))
    let shift = try configuration.number("shift", fallback: 1)
    guard shift > 0 else { throw configuration.error("shift", "a positive number", "\(shift)") }
    // The library shifts when it is made (which gives the first and last level) and again for the
    // levels in between, evenly spaced from the first to the last.
    func shifted(_ sigma: Double) -> Double { shift * sigma / (1 + (shift - 1) * sigma) }
    let first = shifted(1)
    let last = shifted(1 / count)
    var sigmas = (0..<steps).map { index -> Float in
      let part = steps == 1 ? 0 : Double(index) / Double(steps - 1)
      return Float(shifted(first + (last - first) * part))
    }
    sigmas.append(0)
    self.sigmas = sigmas
    trainSteps = Float(count)
  }

  /// What the network is told of the noise level at a step.
  package func timestep(_ step: Int) -> Float { sigmas[step] * trainSteps }

  /// The steps from `first` on: x += (next level - level) * velocity, where the velocity points from the
  /// picture to the noise.
  func plan(first: Int) -> SamplerPlan {
    let steps = (first..<sigmas.count - 1).map { index -> Sampler.Step in
      let sigma = Double(sigmas[index])
      return Sampler.Step(
        timestep: timestep(index), inputScale: 1,
        level: NoiseLevel(signal: 1 - sigma, noise: sigma),
        estimate: Estimate(sample: 1, output: -sigma),
        update: Update(sample: 1, output: sigmas[index + 1] - sigmas[index]))
    }
    return SamplerPlan(steps: steps)
  }
}
