import PipitFormats
import PipitQuantize
import PipitTensors
import TestSupport
import Testing

/// Files that go to and come from the library of the convention; see Goldens/make_goldens.py.
@Suite struct RoundTripTests {
  /// Our folder, read by us, holds what the library read in the same folder.
  @Test(arguments: ["w8a8", "w8", "w4"])
  func theLibraryReadsOurs(scheme: String) throws {
    let folder = TestFolder()
    let output = folder.path + "/out"
    try quantize(goldens + "/input", to: output, scheme)
    let weights = try WeightFolder(path: output)
    let expected = try floats("\(goldens)/ours_\(scheme).safetensors")
    #expect(expected.count == 4)
    for (name, values) in expected {
      let weight = try #require(try weights.weight(named: name))
      #expect(weight.floats() == values, "\(name)")
    }
    #expect(weights.names.count == 9)
    #expect(try weights.weight(named: "ids")?.shape == [7])
  }

  @Test(arguments: ["channel8", "packed8", "group4", "channel4"])
  func weReadTheLibrarys(form: String) throws {
    let weights = try WeightFolder(path: goldens + "/theirs")
    let weight = try #require(try weights.weight(named: form + ".weight"))
    let expected = try floats(goldens + "/theirs.safetensors")[form + ".weight"] ?? []
    #expect(weight.floats() == expected)
    #expect(weights.names.count == 4)
  }

  @Test func settingsNameEveryModule() throws {
    let folder = TestFolder()
    try quantize(
      goldens + "/input", to: folder.path + "/out", "w4", rules: [("encoder.0", "w8"), ("^class", "w8")])
    let path = folder.path + "/out/config.json"
    // What was there stays letter by letter.
    #expect(text(path).hasPrefix("{\n  \"architectures\": [\"Small\"],\n  \"dropout\": 0.0,"))
    let settings = try #require(
      try JSON.configuration(path: path).object("quantization_config"))
    #expect(try settings.string("format") == "mixed-precision")
    #expect(try settings.strings("ignore") == ["embeddings.position_embeddings"])
    let groups = try #require(try settings.object("config_groups"))
    var targets: [String: String] = [:]
    for name in groups.values.keys {
      let group = try #require(try groups.object(name))
      for target in try group.strings("targets") { targets[target] = try group.string("format") }
    }
    #expect(targets["encoder.0"] == "int-quantized" && targets["encoder.1"] == "pack-quantized")
    #expect(targets["classifier"] == "int-quantized")
    #expect(targets["middle.conv"] == "int-quantized" && targets["conv_in"] == nil)
    #expect(targets.count == 5)
  }
}

@Suite struct IntegerProductTests {
  /// Linear layers get integers for inputs, what is looked up or small does not.
  @Test func linearLayersRoundTheirInputs() throws {
    let folder = TestFolder()
    let report = try quantize(goldens + "/input", to: folder.path + "/out", "w8a8")
    let weights = try WeightFolder(path: folder.path + "/out")
    func input(_ name: String) throws -> Weight.Activations? {
      try weights.weight(named: name + ".weight")?.activations
    }
    #expect(try input("encoder.0") == .dynamicPerToken)
    #expect(try input("encoder.1") == .dynamicPerToken)
    #expect(try input("embeddings.word_embeddings") == .float)
    #expect(try input("middle.conv") == .float)
    #expect(try input("classifier") == .float)
    func names(_ reason: String) -> [String] {
      report.exceptions.first { $0.reason == reason }?.names ?? []
    }
    #expect(names("table") == ["embeddings.word_embeddings.weight"])
    #expect(names("convolution that was not calibrated") == ["middle.conv.weight"])
    #expect(names("head") == ["classifier.weight"])
  }
}

@Suite struct SchemeTests {
  @Test(arguments: [("w8", 36.0, 0.9998), ("w4", 17.0, 0.99), ("f16", 66.0, 0.99999)])
  func reportsWhatIsLost(scheme: String, sqnr: Double, cosine: Double) throws {
    let report = try quantize(goldens + "/input", to: nil, scheme)
    let rows = report.rows.filter { $0.scheme == scheme }
    #expect(rows.count >= 3)
    for row in rows {
      let lost = try #require(row.sqnr_dB)
      #expect(lost > sqnr && row.cosine > cosine, "\(row)")
    }
    let order: [Double] = report.rows.map { $0.sqnr_dB ?? .infinity }
    #expect(order == order.sorted())
    #expect(report.bytes_after < report.bytes_before)
  }

  /// The error that the report tells is the error of the file.
  @Test func theReportIsTrue() throws {
    let folder = TestFolder()
    let report = try quantize(goldens + "/input", to: folder.path + "/out")
    let before = try #require(try floats(goldens + "/input/model.safetensors")["encoder.1.weight"])
    let weights = try WeightFolder(path: folder.path + "/out")
    let after = try #require(try weights.weight(named: "encoder.1.weight")).floats()
    var (signal, noise) = (0.0, 0.0)
    for (x, y) in zip(before, after) {
      signal += Double(x) * Double(x)
      noise += Double(x - y) * Double(x - y)
    }
    let row = try #require(report.rows.first { $0.name == "encoder.1.weight" })
    let reported: Double = try #require(row.sqnr_dB)
    var ratio = 1.0
    // 10^(dB / 10), by its definition: no logarithm of the code under test.
    for _ in 0..<Int(reported * 100) { ratio *= 1.002305238 }
    #expect(abs(signal / noise / ratio - 1) < 0.01)
  }

  @Test func leastSquaresIsNoWorseThanTheGreatest() throws {
    var request = QuantizationRequest()
    request.scheme = .w4(group: 32)
    var reports: [QuantizationReport] = []
    for clipping in Clipping.allCases {
      request.clipping = clipping
      let quantizer = try FolderQuantizer(
        try ModelFolder(path: goldens + "/input"), request: request, kernels: .scalar)
      reports.append(try quantizer.run(output: nil))
    }
    for row in reports[0].rows {
      let other = try #require(reports[1].rows.first { $0.name == row.name })
      #expect((other.sqnr_dB ?? .infinity) >= (row.sqnr_dB ?? .infinity) - 0.01, "\(row.name)")
    }
  }

  @Test func rulesComeBeforeExceptions() throws {
    let report = try quantize(
      goldens + "/input", to: nil, "w8",
      rules: [("conv", "w8"), ("encoder", "f16"), ("encoder.1", "keep")])
    func scheme(_ name: String) -> String? { report.rows.first { $0.name == name }?.scheme }
    #expect(scheme("conv_in.weight") == "w8")
    #expect(scheme("encoder.0.weight") == "f16" && scheme("encoder.1.weight") == "keep")
    #expect(scheme("classifier.weight") == "f16" && scheme("ids") == "keep")
    #expect(report.exceptions.contains { $0.reason == "head" && $0.names == ["classifier.weight"] })
  }

  @Test func zerosStayZeros() throws {
    let folder = TestFolder()
    folder.makeFolder("in")
    try folder.write("in/config.json", "{}")
    let zeros = [Float](repeating: 0, count: 2048)
    try folder.writeModel("in", ["a.weight": ([32, 64], zeros)], in: "model.safetensors")
    for scheme in ["w8", "w4", "f16"] {
      let output = folder.path + "/" + scheme
      try quantize(folder.path + "/in", to: output, scheme)
      #expect(try WeightFolder(path: output).weight(named: "a.weight")?.floats() == zeros)
    }
    // Only commas where something stands before.
    #expect(try JSON.configuration(path: folder.path + "/w8/config.json").values.count == 1)
  }
}
