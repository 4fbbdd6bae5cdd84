import PipitFormats
import PipitPipelines
import PipitTensors
import Testing

/// Tensors of a golden file.
struct GoldenFile {
  let file: Safetensors

  init(_ name: String) throws {
    var path = #filePath[...]
    path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
    file = try Safetensors(path: "\(path)/Goldens/\(name)")
  }

  func floats(_ name: String) throws -> [Float] {
    let bytes = file.bytes(of: try #require(file.entries[name], "\(name)"))
    return (0..<bytes.count / 4).map {
      bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)
    }
  }

  /// The metadata of a name: JSON.
  func object(_ name: String) throws -> Configuration {
    let text = Array(try #require(file.metadata[name], "\(name)").utf8)
    let value = try text.withUnsafeBytes { try JSON.parse($0, path: name) }
    guard case .object(let values) = value else {
      throw FormatError(path: name, expected: "an object", found: value.kind)
    }
    return Configuration(file: name, values: values)
  }
}

/// The largest difference of two arrays of one length.
private func distance(_ a: [Float], _ b: [Float]) -> Float {
  #expect(a.count == b.count)
  return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
}

/// The denoiser of the goldens: 0.1 x + sin(t / 100 + index).
private func denoise(_ x: [Float], _ timestep: Float) -> [Float] {
  x.indices.map { index -> Float in
    let angle: Double = Double(timestep) * 0.01 + Double(index)
    return 0.1 * x[index] + Float(sine(angle))
  }
}

@Suite struct SamplerTests {
  static let golden = Result(catching: { try GoldenFile("samplers.safetensors") })
  static let cases: [String] =
    (try? golden.get())?.file.metadata.keys
    .filter { !$0.hasPrefix("keys.") && $0 != "format" }.sorted() ?? []
  static let classes = [
    "DDIMScheduler", "DPMSolverMultistepScheduler", "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler", "LCMScheduler",
  ]

  @Test func goldensAreThere() throws {
    _ = try SamplerTests.golden.get()
    #expect(SamplerTests.cases.count > 60)
  }

  /// Every step of every case: to 1e-4, and where samples have been in the thousands (schedules that end in
  /// pure noise) to the last bit or two that those had.
  @Test(arguments: cases)
  func equalsTheReference(name: String) throws {
    let golden = try SamplerTests.golden.get()
    let request = try golden.object(name)
    let strength = try request.number("strength")
    var sampler = try Sampler(
      try #require(try request.object("settings")),
      name: SamplerName(rawValue: try request.string("sampler", fallback: "")),
      steps: try request.integer("steps", in: 1...100), strength: strength)
    let timesteps = try golden.floats(name + ".timesteps")
    #expect(distance(sampler.steps.map(\.timestep), timesteps) < 1e-3)
    let samples = try golden.floats(name + ".samples")
    let (noise, fresh) = (try golden.floats("noise"), try golden.floats("fresh"))
    var x = sampler.start(noise)
    if strength < 1 { x = sampler.start(noise, from: try golden.floats("image")) }
    var largest: Float = 0
    for step in 0...sampler.steps.count {
      let expected = Array(samples[step * x.count..<(step + 1) * x.count])
      largest = expected.reduce(largest) { max($0, abs($1)) }
      let error = distance(x, expected)
      #expect(error <= max(1e-4, largest * 2e-7), "sample \(step): \(error)")
      guard step < sampler.steps.count else { break }
      let output = denoise(sampler.networkInput(x, step: step), sampler.steps[step].timestep)
      let drawn = Array(fresh[step * x.count..<(step + 1) * x.count])
      sampler.advance(&x, output: output, step: step, noise: drawn)
    }
  }

  /// Noise is asked for where it matters, and only there.
  @Test func noiseIsAskedFor() throws {
    let golden = try SamplerTests.golden.get()
    let settings = try #require(try golden.object("ddim-sd15").object("settings"))
    for name in SamplerName.allCases {
      let sampler = try Sampler(settings, name: name, steps: 5)
      let isRandom = name == .lcm || name == .eulerAncestral
      #expect(sampler.steps.map(\.needsNoise) == (0..<5).map { isRandom && $0 < 4 })
      #expect(sampler.standsInFor == nil)
    }
    #expect(try Sampler(settings, steps: 5).standsInFor == "PNDMScheduler")
  }

  /// The last estimate of the picture is the picture.
  @Test func denoisedEndsAtThePicture() throws {
    let golden = try SamplerTests.golden.get()
    let settings = try #require(try golden.object("euler-turbo-4").object("settings"))
    var sampler = try Sampler(settings, steps: 4)
    #expect(sampler.denoised.isEmpty)
    var x = sampler.start([1, -1, 0.5])
    for step in 0..<4 { sampler.advance(&x, output: [0.1, 0.2, 0.3], step: step) }
    #expect(distance(sampler.denoised, x) < 1e-6)
  }

  /// A sampler is a value: two pictures of one schedule do not meet.
  @Test func picturesDoNotMeet() throws {
    let golden = try SamplerTests.golden.get()
    let plan = try Sampler(
      try #require(try golden.object("dpm-own").object("settings")), steps: 6)
    func run(_ start: Float) -> [Float] {
      var sampler = plan
      var x = sampler.start([start])
      for step in 0..<6 {
        sampler.advance(&x, output: denoise(x, sampler.steps[step].timestep), step: step)
      }
      return x
    }
    let first = run(1)
    _ = run(.nan)
    #expect(run(1) == first)
  }

  // MARK: Refusals

  /// Every setting that a class of the library knows is looked at, or is about another that is refused.
  @Test(arguments: classes)
  func everySettingIsRead(name: String) throws {
    let dependents: Set<String> = [
      // of thresholding
      "dynamic_thresholding_ratio", "sample_max_value",
      // of use_karras_sigmas
      "sigma_min", "sigma_max",
      // of use_flow_sigmas and use_dynamic_shifting
      "flow_shift", "time_shift_type", "base_shift", "max_shift", "base_image_seq_len",
      "max_image_seq_len",
    ]
    // LCM's class has these and does not use them.
    let unused: Set<String> = [
      "set_alpha_to_one", "steps_offset", "timestep_spacing",
    ]
    let keys = try SamplerTests.golden.get().object("keys." + name).strings("keys")
    #expect(!keys.isEmpty)
    for key in keys where !dependents.contains(key) {
      if name == "LCMScheduler" && unused.contains(key) { continue }
      var values: [String: JSONValue] = ["_class_name": .string(name)]
      if key == "steps_offset" { values["timestep_spacing"] = .string("leading") }
      values[key] = .string("x")
      #expect(throws: ConfigurationError.self, "\(key)") {
        try Sampler(Configuration(file: "s", values: values), steps: 4)
      }
    }
  }

  /// Settings that somebody wants to break the engine with: refused, or taken without a trap.
  @Test(arguments: classes)
  func settingsMayBeAnything(name: String) throws {
    let hostile: [JSONValue] = [
      .bool(true), .integer(0), .integer(-1), .integer(1), .integer(2), .integer(999),
      .integer(.max), .integer(.min), .number(0), .number(-1), .number(1e300), .number(1e-300),
      .number(0.999999999), .number(.infinity), .number(.nan), .string(""), .array([]),
      .object([:]),
    ]
    for key in try SamplerTests.golden.get().object("keys." + name).strings("keys") {
      for spacing in ["linspace", "leading", "trailing"] {
        for value in hostile {
          var values: [String: JSONValue] = [
            "_class_name": .string(name), "timestep_spacing": .string(spacing),
            "use_karras_sigmas": .bool(key.hasPrefix("sigma")),
          ]
          values[key] = value
          let configuration = Configuration(file: "s", values: values)
          for steps in [1, 2, 1000] {
            guard var sampler = try? Sampler(configuration, steps: steps) else { continue }
            var x: [Float] = [1]
            for step in sampler.steps.indices {
              sampler.advance(&x, output: [.nan], step: step, noise: [.infinity])
            }
          }
        }
      }
    }
  }

  /// Whatever the steps are, samples stay finite.
  @Test(arguments: SamplerName.allCases, ["linspace", "leading", "trailing"])
  func anyNumberOfSteps(name: SamplerName, spacing: String) throws {
    var values = try #require(
      try SamplerTests.golden.get().object("ddim-sd15").object("settings")
    ).values
    values["timestep_spacing"] = .string(spacing)
    values["original_inference_steps"] = .integer(1000)
    values["steps_offset"] = .integer(0)
    let configuration = Configuration(file: "s", values: values)
    for steps in [1, 2, 3, 49, 61, 333, 998, 999] {
      var sampler = try Sampler(configuration, name: name, steps: steps)
      #expect(sampler.steps.count == steps)
      #expect(sampler.steps.allSatisfy { (0...999).contains($0.timestep) })
      var x = sampler.start([0.5])
      for step in 0..<steps {
        let output = denoise(sampler.networkInput(x, step: step), sampler.steps[step].timestep)
        sampler.advance(&x, output: output, step: step, noise: [0.25])
      }
      #expect(x[0].isFinite, "\(steps) steps")
    }
  }

  @Test func refusals() throws {
    func error(
      _ values: [String: JSONValue], name: SamplerName? = nil, steps: Int = 4,
      strength: Double = 1
    ) -> String {
      do {
        let configuration = Configuration(file: "s", values: values)
        _ = try Sampler(configuration, name: name, steps: steps, strength: strength)
        return "none"
      } catch {
        return "\(error)"
      }
    }
    let ddim: [String: JSONValue] = ["_class_name": .string("DDIMScheduler")]
    #expect(error([:]).contains("'_class_name'"))
    #expect(error(["_class_name": .string("XScheduler")]).contains("DDIMScheduler"))
    #expect(error(ddim, steps: 1001).contains("steps: expected 1 to 1000"))
    #expect(error(ddim, strength: 0.1).contains("strength: expected at least 1/4"))
    #expect(error(ddim, strength: .nan).contains("strength: expected 0 to 1"))
    #expect(error(ddim, strength: -0.5).contains("strength: expected 0 to 1"))
    #expect(error(ddim, name: .lcm, steps: 51).contains("at most 50"))
    #expect(error(ddim, name: .lcm, steps: 4, strength: 0.05).contains("at most 2"))
    #expect(error(ddim.merging(["timestep_spacing": .string("even")]) { $1 }).contains("linspace"))
    let flow: [String: JSONValue] = ["_class_name": .string("FlowMatchEulerDiscreteScheduler")]
    #expect(error(flow) == "none")
    #expect(error(flow, name: .euler).contains("'_class_name'"))
    let blind: [String: JSONValue] = ["rescale_betas_zero_snr": .bool(true)]
    #expect(error(ddim.merging(blind) { $1 }).contains("'prediction_type'"))
  }

  /// Settings of old checkpoints are corrected as the library's pipelines do.
  @Test func oldSettingsAreCorrected() throws {
    let old = Configuration(file: "s", values: ["_class_name": .string("DDIMScheduler")])
    let sampler = try Sampler(old.correctedForStableDiffusion(), steps: 20)
    #expect(sampler.steps[0].timestep == 951)
    var x: [Float] = [100]
    var copy = sampler
    copy.advance(&x, output: [0], step: 0)
    #expect(copy.denoised[0] > 100)
  }
}
