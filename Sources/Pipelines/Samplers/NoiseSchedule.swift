import PipitTensors

/// What the denoiser was trained to say.
enum Prediction: String, CaseIterable, Sendable {
  case epsilon
  case velocity = "v_prediction"
  case sample

  /// The picture that an output means, where scale * sample = signal * picture + noise * epsilon and
  /// signal² + noise² = 1.
  func estimate(signal: Double, noise: Double, scale: Double = 1) -> Estimate {
    switch self {
    case .epsilon: Estimate(sample: scale / signal, output: -noise / signal)
    case .velocity: Estimate(sample: signal * scale, output: -noise)
    case .sample: Estimate(sample: 0, output: 1)
    }
  }
}

/// How timesteps are spread (Lin et al. 2024, table 2).
enum TimestepSpacing: String, CaseIterable, Sendable { case linspace, leading, trailing }

/// The noise schedule of training, and where sampling visits it. Rounded where diffusers rounds: it keeps
/// the schedule in single precision.
struct NoiseSchedule {
  private enum Betas: String, CaseIterable {
    case linear
    case scaledLinear = "scaled_linear"
    case cosine = "squaredcos_cap_v2"
  }

  let configuration: Configuration
  let prediction: Prediction
  let spacing: TimestepSpacing
  let isCosine: Bool
  /// Share of the picture's variance at each timestep of training, `[num_train_timesteps]`, falling.
  private(set) var alphas: [Float]

  /// Reads the settings that all samplers share. `endsInNoise` allows a schedule that is rescaled to end
  /// in pure noise to do so; otherwise a little of the picture remains, as some samplers need.
  init(
    _ configuration: Configuration, _ request: SamplerRequest, betaStart: Double = 0.0001,
    betaEnd: Double = 0.02, betas: String = "linear", spacing: TimestepSpacing,
    endsInNoise: Bool = false
  ) throws {
    self.configuration = configuration
    let count = try configuration.integer(
      "num_train_timesteps", in: 2...1_000_000, fallback: 1000)
    guard request.steps <= count else {
      throw SamplerError(
        part: "steps", expected: "1 to \(count) ('num_train_timesteps')", found: "\(request.steps)")
    }
    try configuration.require("trained_betas", .null)
    prediction = try configuration.choice("prediction_type", fallback: .epsilon)
    self.spacing = try configuration.choice("timestep_spacing", fallback: spacing)
    let start = try configuration.share("beta_start", fallback: betaStart)
    let end = try configuration.share("beta_end", fallback: betaEnd)
    let kind: Betas = try configuration.choice(
      "beta_schedule", fallback: Betas(rawValue: betas) ?? .linear)
    isCosine = kind == .cosine
    var values: [Float]
    switch kind {
    case .linear: values = NoiseSchedule.evenly(Float(start), Float(end), count)
    case .scaledLinear:
      let roots = NoiseSchedule.evenly(
        Float(start.squareRoot()), Float(end.squareRoot()), count)
      values = roots.map { $0 * $0 }
    case .cosine: values = NoiseSchedule.cosine(count)
    }
    let isRescaled = try configuration.bool("rescale_betas_zero_snr", fallback: false)
    if isRescaled { values = NoiseSchedule.rescaled(values) }
    alphas = NoiseSchedule.products(values)
    if isRescaled && !endsInNoise { alphas[count - 1] = 1 / 16_777_216 }
    guard alphas[0] < 1 else {
      throw configuration.error("beta_start", "some noise from the first timestep on", "none")
    }
    guard alphas[0] > 0, alphas[count - 1] > 0 || (isRescaled && endsInNoise) else {
      throw configuration.error("beta_end", "something of the picture to the last timestep", "none")
    }
    if isRescaled && endsInNoise && prediction == .epsilon {
      // Pure noise says nothing of the picture, and what the noise is, is then no news.
      throw configuration.error(
        "prediction_type", "v_prediction or sample with 'rescale_betas_zero_snr'", "epsilon")
    }
  }

  /// Noise over signal at each timestep of training.
  var sigmas: [Float] { alphas.map { ((1 - $0) / $0).squareRoot() } }

  // MARK: Timesteps

  /// Where `steps` samples visit the schedule, from noise to picture. `isWhole` where the sampler takes
  /// only whole timesteps; `extra` where the spacing counts one more at the end that is not visited.
  func timesteps(_ request: SamplerRequest, isWhole: Bool, extra: Int = 0) throws -> [Double] {
    let (count, steps) = (alphas.count, request.steps)
    switch spacing {
    case .linspace:
      let parts = steps + extra - 1
      let step = parts > 0 ? Double(count - 1) / Double(parts) : 0
      return (0..<steps).map { index -> Double in
        let place = parts - index
        let time = place == parts && parts > 0 ? Double(count - 1) : Double(place) * step
        return isWhole ? time.rounded(.toNearestOrEven) : Double(Float(time))
      }
    case .leading:
      let ratio = count / (steps + extra)
      let offset = try configuration.integer("steps_offset", in: 0...count, fallback: 0)
      guard ratio > 0 else {
        throw SamplerError(part: "steps", expected: "less than \(count)", found: "\(steps)")
      }
      guard (steps + extra - 1) * ratio + offset < count else {
        throw configuration.error(
          "steps_offset", "less than \(count - (steps + extra - 1) * ratio) for \(steps) steps",
          "\(offset)")
      }
      return (0..<steps).map { Double((steps + extra - 1 - $0) * ratio + offset) }
    case .trailing:
      let ratio = Double(count) / Double(steps)
      let difference = (Double(count) - ratio) - Double(count)
      return (0..<steps).map { index -> Double in
        let time = Double(count) + Double(index) * difference
        return time.rounded(.toNearestOrEven) - 1
      }
    }
  }

  /// Noise levels between two (Karras et al. 2022, equation 5, rho 7).
  static func karras(from highest: Double, to lowest: Double, steps: Int) -> [Double] {
    let (first, last) = (highest.power(1 / 7), lowest.power(1 / 7))
    return (0..<steps).map { index -> Double in
      let part = steps == 1 ? 0 : Double(index) / Double(steps - 1)
      return (first + part * (last - first)).power(7)
    }
  }

  /// A level between those of the whole timesteps.
  static func interpolate(_ sigmas: [Float], at timestep: Double) -> Double {
    let low = Int(min(max(timestep, 0), Double(sigmas.count - 1)))
    let first = Double(sigmas[low])
    guard low + 1 < sigmas.count else { return first }
    return first + (Double(sigmas[low + 1]) - first) * (timestep - Double(low))
  }

  // MARK: Betas

  /// From the first to the last, counted from both ends towards the middle.
  private static func evenly(_ first: Float, _ last: Float, _ count: Int) -> [Float] {
    let step = (last - first) / Float(count - 1)
    return (0..<count).map {
      $0 < count / 2 ? first + step * Float($0) : last - step * Float(count - 1 - $0)
    }
  }

  /// Nichol & Dhariwal 2021, equation 17.
  private static func cosine(_ count: Int) -> [Float] {
    func share(_ time: Double) -> Double {
      let cosine = ((time + 0.008) / 1.008 * Double.pi / 2).cosine
      return cosine * cosine
    }
    return (0..<count).map { index -> Float in
      let now = share(Double(index) / Double(count))
      let next = share(Double(index + 1) / Double(count))
      return Float(min(1 - next / now, 0.999))
    }
  }

  /// Products of 1 - beta up to each timestep, carried in double precision.
  private static func products(_ betas: [Float]) -> [Float] {
    var product = 1.0
    return betas.map { beta in
      product *= Double(1 - beta)
      return Float(product)
    }
  }

  /// Betas of a schedule that ends in pure noise (Lin et al. 2024, algorithm 1).
  private static func rescaled(_ betas: [Float]) -> [Float] {
    let roots = products(betas).map { $0.squareRoot() }
    let (first, last) = (roots[0], roots[roots.count - 1])
    let scale = first / (first - last)
    let shares = roots.map { root -> Float in
      let shifted = (root - last) * scale
      return shifted * shifted
    }
    return shares.indices.map { 1 - ($0 == 0 ? shares[0] : shares[$0] / shares[$0 - 1]) }
  }
}

/// The noise levels of training on the scale where timesteps are looked up, rounded as the library does:
/// where a schedule is steep, a last bit decides which timestep a level is.
struct LogarithmicLevels {
  private let values: [Double]

  init(_ sigmas: [Float]) { values = sigmas.map { Double($0.logarithm) } }

  /// The timestep of training that has a noise level, with a fraction.
  func timestep(of sigma: Double) -> Double {
    let wanted = max(sigma, 1e-10).logarithm
    let above = values.firstIndex { !($0 <= wanted) } ?? values.count
    let low = min(max(above - 1, 0), values.count - 2)
    let part = (values[low] - wanted) / (values[low] - values[low + 1])
    let weight = max(0, min(1, part))
    return (1 - weight) * Double(low) + weight * Double(low + 1)
  }
}

extension Configuration {
  /// A number between 0 and 1, neither of them.
  fileprivate func share(_ key: String, fallback: Double) throws(ConfigurationError) -> Double {
    let value = try number(key, fallback: fallback)
    guard value > 0, value < 1 else { throw error(key, "a number between 0 and 1", "\(value)") }
    return value
  }
}
