import Glibc
import PipitFormats
import PipitPipelines
import PipitQuantize
import PipitTensors
import TestSupport
import Testing

/// A model that is run, quantized with what was seen, and compared.
@Suite struct CalibrationTests {
  /// A small decoder of the TAESD family with random weights: 8 channels of latents, 16 wide.
  private func decoder() throws -> TestFolder {
    let folder = TestFolder()
    folder.makeFolder("in")
    let settings = [
      #""_class_name": "AutoencoderTiny", "latent_channels": 8"#,
      #""decoder_block_out_channels": [16, 16], "num_decoder_blocks": [1, 1]"#,
    ]
    try folder.write("in/config.json", "{" + settings.joined(separator: ", ") + "}\n")
    var tensors: [String: ([Int], [Float])] = [:]
    func add(_ name: String, _ shape: [Int], bias: Bool = true) {
      let count = shape.reduce(1, *)
      let limit = 1.7 / Float(count / shape[0]).squareRoot()
      let seed = UInt64(tensors.count + 11)
      tensors[name + ".weight"] = (shape, randoms(count, seed: seed, in: -limit...limit))
      if bias { tensors[name + ".bias"] = ([shape[0]], randoms(shape[0], seed: seed + 50, in: -0.3...0.3)) }
    }
    add("1", [16, 8, 3, 3])
    for block in ["3", "6"] {
      for index in [0, 2, 4] { add("\(block).conv.\(index)", [16, 16, 3, 3]) }
    }
    add("5", [16, 16, 3, 3], bias: false)
    add("7", [3, 16, 3, 3])
    try folder.writeModel("in", tensors, in: "diffusion_pytorch_model.safetensors")
    return folder
  }

  /// Latents that the decoder is run on.
  private func material() -> Material {
    var material = Material()
    material.arrays = (0..<3).map { seed in
      NpyArray(
        shape: [1, 8, 12, 12], values: .floats(randoms(8 * 144, seed: UInt64(seed + 90), in: -2...2)))
    }
    return material
  }

  private func job(_ folder: TestFolder, _ request: QuantizationRequest = .init()) throws -> QuantizationJob {
    QuantizationJob(
      try StoredModel(path: folder.path + "/in"), request: request, machine: try Machine(threadCount: 1))
  }

  @Test func convolutionsGetNumbersFromWhatWasSeen() throws {
    let folder = try decoder()
    let output = folder.path + "/out"
    var job = try job(folder)
    #expect(try job.needsCalibration())
    try job.calibrate(on: material())
    #expect(try job.needsCalibration() == false)
    let reference = try job.reference(on: material())
    var report = try job.quantize(to: output)
    try job.compare(output, with: reference, into: &report)

    let weights = try WeightFolder(path: output)
    for name in ["3.conv.0", "6.conv.4", "5"] {
      let weight = try #require(try weights.weight(named: name + ".weight"))
      guard case .staticPerTensor(let scale, let zeroPoint) = weight.activations else {
        Issue.record("\(name) stays float")
        continue
      }
      // What a ReLU makes is never negative: all 256 numbers are for the rest.
      #expect(scale > 0 && zeroPoint == -128, "\(name)")
    }
    #expect(try weights.weight(named: "7.weight")?.activations == .float)
    // Eight bits of weights and inputs cost a layer's output about 40 dB.
    let rows = report.rows.filter { $0.scheme == "w8a8" }
    #expect(rows.count == 8)
    for row in rows {
      let lost: Double = try #require(row.output_sqnr_dB)
      #expect(lost > 30 && lost < 60 && (row.output_cosine ?? 0) > 0.999, "\(row)")
      #expect((row.float_ms ?? 0) > 0 && (row.quantized_ms ?? 0) > 0, "\(row.name)")
    }
    let psnr = try #require(report.measurements.first { $0.name == "PSNR, mean, dB" })
    #expect(psnr.value > 30 && psnr.value < 70 && psnr.count == 3)
  }

  /// The report's error is that of the files: the decoder, computed in f32 from the stored integers, differs
  /// from the float one by about as much as the one of integer products does.
  @Test func biasesTakeAwayWhatRoundingAdds() throws {
    let folder = try decoder()
    var job = try job(folder)
    try job.calibrate(on: material())
    _ = try job.quantize(to: folder.path + "/out")
    let before = try floats(folder.path + "/in/diffusion_pytorch_model.safetensors")
    let after = try floats(folder.path + "/out/diffusion_pytorch_model.safetensors")
    let (old, new) = (before["3.conv.0.bias"] ?? [], after["3.conv.0.bias"] ?? [])
    #expect(old != new && old.count == 16)
    // Half a step of a weight's rounding, times 144 weights of random signs, times inputs of about 1.
    #expect(zip(old, new).allSatisfy { abs($0 - $1) < 0.02 })
    // Without calibration they stay.
    try quantize(folder.path + "/in", to: folder.path + "/plain")
    let plain = try floats(folder.path + "/plain/diffusion_pytorch_model.safetensors")
    #expect(plain["3.conv.0.bias"] == old)
  }

  @Test func targetsKeepAsFewLayersAsTheyTake() throws {
    let folder = try decoder()
    let output = folder.path + "/out"
    var job = try job(folder)
    try job.calibrate(on: material())
    let reference = try job.reference(on: material())
    var plain = try job.quantize(to: output)
    try job.compare(output, with: reference, into: &plain)
    func psnr(_ report: QuantizationReport) -> Double {
      report.measurements.first { $0.name == "PSNR, mean, dB" }?.value ?? 0
    }
    func integerLayers(_ report: QuantizationReport) -> Int {
      report.rows.filter { $0.scheme == "w8a8" }.count
    }
    let wanted = psnr(plain) + 1
    let target = try #require(QuantizationTarget("psnr=\(wanted)"))
    let better = try job.quantize(to: output, force: true, target: target, reference: reference)
    #expect(psnr(better) >= wanted)
    #expect((1..<integerLayers(plain)).contains(integerLayers(better)))
    // More than weights of integers can give: said, and what was there stays.
    let impossible = try #require(QuantizationTarget("psnr=100"))
    let words = message {
      try job.quantize(to: output, force: true, target: impossible, reference: reference)
    }
    #expect(words.contains("psnr=100"))
    #expect(TestFolder.names(folder.path) == ["in", "out"])
    let other = try #require(QuantizationTarget("cosine=0.5"))
    let unmeasured = message {
      try job.quantize(to: output, force: true, target: other, reference: reference)
    }
    #expect(unmeasured.contains("cosine"))
  }

  @Test(arguments: ["psnr", "psnr=", "psnr=x", "ssim=1", "=3", "psnr=nan"])
  func targetsThatAreNone(text: String) { #expect(QuantizationTarget(text) == nil) }

  @Test func pagesShowWhatWasMeasured() throws {
    let folder = try decoder()
    var job = try job(folder)
    try job.calibrate(on: material())
    let reference = try job.reference(on: material())
    var report = try job.quantize(to: folder.path + "/out")
    try job.compare(folder.path + "/out", with: reference, into: &report)
    let page = ReportPage(report, title: "<in> & out").html
    #expect(page.contains("&lt;in&gt; &amp; out") && page.contains("PSNR, mean, dB"))
    #expect(page.contains("6.conv.4.weight") && page.contains("zero -128"))
    let pictures = page.components("data:image/png;base64,iVBORw0KGgo")
    #expect(pictures == 9)
    #expect(page.components("<script") == 0 && page.components("http") == 0)
  }

  @Test func materialIsChecked() throws {
    let folder = TestFolder()
    try folder.write("empty.txt", " \n\n")
    #expect(message { try Material(path: folder.path + "/empty.txt") }.contains("nothing"))
    #expect(message { try Material(path: folder.path) }.contains("nothing"))
    #expect(!message { try Material(path: folder.path + "/none.txt") }.isEmpty)
    #expect(!message { try Material(path: folder.path + "/none.png") }.isEmpty)
    try folder.write("two.txt", "one\r\n\n two \n")
    #expect(try Material(path: folder.path + "/two.txt").texts == ["one", " two "])
    #expect(Material.builtIn.texts.count > 40 && Material.builtIn.pictures.count == 8)
  }
}

extension String {
  /// How often a text occurs.
  fileprivate func components(_ text: String) -> Int {
    var count = 0
    var rest = self[...]
    while let range = rest.firstRange(of: text) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
