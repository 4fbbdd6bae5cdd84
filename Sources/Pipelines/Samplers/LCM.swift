import PipitTensors

extension Sampler {
  /// Multistep consistency sampling (Luo et al. 2023): diffusers' `LCMScheduler`. Every step jumps to the
  /// picture and, but for the last, goes back to the next noise level with fresh noise.
  static func lcm(
    _ configuration: Configuration, _ request: SamplerRequest
  ) throws -> SamplerPlan {
    let schedule = try NoiseSchedule(
      configuration, request, betaStart: 0.00085, betaEnd: 0.012, betas: "scaled_linear",
      spacing: .leading, endsInNoise: true)
    try configuration.require("thresholding", .bool(false))
    let alphas = schedule.alphas.map(Double.init)
    let scaling = try configuration.number("timestep_scaling", fallback: 10)
    let timesteps = try lcmTimesteps(configuration, request, trainSteps: alphas.count)
    let steps = timesteps.indices.map { index -> Step in
      let now = alphas[timesteps[index]]
      let (signal, noise) = (now.squareRoot(), (1 - now).squareRoot())
      // The boundary condition of consistency models: near timestep 0 the picture is the sample.
      let time = Double(timesteps[index]) * scaling
      let square = time * time + 0.25
      let (skip, out) = (0.25 / square, time / square.squareRoot())
      var (nextSignal, nextNoise) = (1.0, 0.0)
      if index + 1 < timesteps.count {
        let next = alphas[timesteps[index + 1]]
        (nextSignal, nextNoise) = (next.squareRoot(), (1 - next).squareRoot())
      }
      return Step(
        timestep: Float(timesteps[index]), inputScale: 1,
        level: NoiseLevel(signal: signal, noise: noise),
        estimate: schedule.prediction.estimate(signal: signal, noise: noise),
        update: Update(
          sample: Float(nextSignal * skip), denoised: Float(nextSignal * out),
          noise: Float(nextNoise)))
    }
    return SamplerPlan(steps: steps, limit: try configuration.clipping(fallback: false))
  }

  /// Some of the timesteps that distillation used, from the noise level of `strength` down.
  private static func lcmTimesteps(
    _ configuration: Configuration, _ request: SamplerRequest, trainSteps: Int
  ) throws -> [Int] {
    let original = try configuration.integer(
      "original_inference_steps", in: 1...trainSteps, fallback: 50)
    let count = Int((Double(original) * request.strength).rounded(.towardZero))
    guard request.steps <= count else {
      throw SamplerError(
        part: request.strength < 1 ? "steps at strength \(request.strength)" : "steps",
        expected: "at most \(count) ('original_inference_steps' times strength)",
        found: "\(request.steps)")
    }
    let interval = trainSteps / original
    let jump = Double(count) / Double(request.steps)
    return (0..<request.steps).map { index in
      (count - Int((Double(index) * jump).rounded(.down))) * interval - 1
    }
  }
}
