package import PipitTensors

/// The samplers of `--sampler`.
package enum SamplerName: String, CaseIterable, Sendable {
  case ddim
  case euler
  case eulerAncestral = "euler-a"
  case dpmPlusPlus2M = "dpm++2m"
  case dpmPlusPlus2MKarras = "dpm++2m-karras"
  case lcm
}

/// How many of the steps are done, and from where.
struct SamplerRequest {
  let steps: Int
  let strength: Double

  init(steps: Int, strength: Double) throws(SamplerError) {
    precondition(steps > 0)
    guard (0...1).contains(strength) else {
      throw SamplerError(part: "strength", expected: "0 to 1", found: "\(strength)")
    }
    self.steps = steps
    self.strength = strength
  }

  /// The first step of image to image, as diffusers' `StableDiffusionImg2ImgPipeline` counts it.
  func first() throws(SamplerError) -> Int {
    let kept = min(Int((Double(steps) * strength).rounded(.towardZero)), steps)
    guard kept > 0 else {
      throw SamplerError(
        part: "strength", expected: "at least 1/\(steps) (one of the steps)", found: "\(strength)")
    }
    return steps - kept
  }
}

extension Sampler {
  /// The sampler that `scheduler_config.json` names, or another on the same noise schedule.
  ///
  /// `strength` below 1 starts at a picture with noise (`start(_:from:)`) and leaves the first steps out;
  /// LCM instead takes all its steps below that noise level, as `LatentConsistencyModelImg2ImgPipeline`.
  ///
  /// Settings mean what they do in diffusers' class of that name; absent ones have its defaults. Solvers of
  /// the same differential equation that are not here (`PNDMScheduler`, …) are replaced by DPM++ 2M.
  package init(
    _ configuration: Configuration, name: SamplerName? = nil, steps: Int, strength: Double = 1
  ) throws {
    let request = try SamplerRequest(steps: steps, strength: strength)
    let ownClass = try configuration.string("_class_name")
    if ownClass == "FlowMatchEulerDiscreteScheduler" {
      if let name {
        throw configuration.error(
          "_class_name", "a sampler that '\(name.rawValue)' can replace", ownClass)
      }
      let levels = try FlowMatchEuler(configuration, steps: steps)
      self.init(levels.plan(first: try request.first()), standsInFor: nil)
      return
    }
    guard let own = Sampler.ownName(ownClass) else {
      throw configuration.error(
        "_class_name", "one of \(Sampler.classes.keys.sorted().joined(separator: ", "))", ownClass)
    }
    let plan: SamplerPlan
    switch name ?? own {
    case .ddim: plan = try Sampler.ddim(configuration, request)
    case .euler: plan = try Sampler.euler(configuration, request)
    case .eulerAncestral: plan = try Sampler.eulerAncestral(configuration, request)
    case .dpmPlusPlus2M, .dpmPlusPlus2MKarras:
      let karras = name.map { $0 == .dpmPlusPlus2MKarras }
      plan = try Sampler.dpmPlusPlus(configuration, request, karras: karras)
    case .lcm: plan = try Sampler.lcm(configuration, request)
    }
    let isReplaced = name == nil && Sampler.replaced.contains(ownClass)
    self.init(plan, standsInFor: isReplaced ? ownClass : nil)
  }

  private static let classes: [String: SamplerName] = [
    "DDIMScheduler": .ddim, "EulerDiscreteScheduler": .euler,
    "EulerAncestralDiscreteScheduler": .eulerAncestral,
    "DPMSolverMultistepScheduler": .dpmPlusPlus2M, "LCMScheduler": .lcm,
  ]

  /// Deterministic solvers of the same equation on the same noise schedule.
  private static let replaced: Set<String> = [
    "DEISMultistepScheduler", "DPMSolverSinglestepScheduler", "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler", "LMSDiscreteScheduler", "PNDMScheduler", "UniPCMultistepScheduler",
  ]

  private static func ownName(_ ownClass: String) -> SamplerName? {
    replaced.contains(ownClass) ? .dpmPlusPlus2M : classes[ownClass]
  }
}

extension Configuration {
  /// Scheduler settings as diffusers' Stable Diffusion pipelines correct them, for checkpoints older than
  /// these settings: they have one step of offset and do not clip latents.
  package func correctedForStableDiffusion() -> Configuration {
    var values = values
    values["steps_offset"] = .integer(1)
    values["clip_sample"] = .bool(false)
    return Configuration(file: file, values: values)
  }

  /// A setting that is one of an enumeration's names.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, fallback: Choice
  ) throws(ConfigurationError) -> Choice where Choice.RawValue == String {
    let name = try string(key, fallback: fallback.rawValue)
    guard let choice = Choice(rawValue: name) else {
      let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw error(key, "one of \(names)", "'\(name.prefix(60))'")
    }
    return choice
  }
}
