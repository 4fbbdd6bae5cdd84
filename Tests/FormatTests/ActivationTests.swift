import PipitFormats
import PipitTensors
import Testing

/// What a folder's `quantization_config` says about the inputs of layers.
@Suite struct ActivationTests {
  private let dynamic = #"{"num_bits": 8, "symmetric": true, "dynamic": true, "strategy": "token"}"#
  private let fixed = #"{"num_bits": 8, "symmetric": false, "dynamic": false, "strategy": "tensor"}"#

  /// A folder with int8 layers `a.linear`, `b.linear`, `b.conv` and groups of (targets, input).
  private func folder(
    _ groups: [(targets: String, input: String)], ignore: String = "[]", scale: Float = 0.5,
    zeroPoint: Int8? = -3
  ) throws -> TemporaryFolder {
    let folder = TemporaryFolder()
    var tensors: [SafetensorsPlan.Tensor] = []
    for (name, shape) in [("a.linear", [4, 8]), ("b.linear", [4, 8]), ("b.conv", [4, 8, 1, 1])] {
      tensors.append(.init(name: name + ".weight", elementType: .i8, shape: Shape(shape)))
      tensors.append(.init(name: name + ".weight_scale", elementType: .f32, shape: [4, 1]))
    }
    tensors.append(.init(name: "b.conv.input_scale", elementType: .f32, shape: [1]))
    if zeroPoint != nil {
      tensors.append(.init(name: "b.conv.input_zero_point", elementType: .i8, shape: [1]))
    }
    try SafetensorsPlan(tensors).write(to: folder.path + "/model.safetensors") { writer in
      for tensor in tensors where !tensor.name.contains("input_") {
        try writer.append([UInt8](repeating: 0, count: tensor.byteCount), to: tensor.name)
      }
      try writer.append([scale], to: "b.conv.input_scale")
      if let zeroPoint { try writer.append([zeroPoint], to: "b.conv.input_zero_point") }
    }
    let texts = groups.enumerated().map {
      #""group_\#($0)": {"targets": \#($1.targets), "input_activations": \#($1.input)}"#
    }
    let settings = #"{"config_groups": {\#(texts.joined(separator: ", "))}, "ignore": \#(ignore)}"#
    folder.write("config.json", Array(#"{"quantization_config": \#(settings)}"#.utf8))
    return folder
  }

  private func activations(_ folder: TemporaryFolder, _ layer: String) throws -> Weight.Activations? {
    try WeightFolder(path: folder.path).weight(named: layer + ".weight")?.activations
  }

  @Test func classesPatternsAndNamesInThatOrder() throws {
    let groups = [
      (#"["Linear"]"#, dynamic), (#"["re:b\\..*"]"#, fixed), (#"["b.linear"]"#, "null"),
    ]
    let model = try folder(groups)
    #expect(try activations(model, "a.linear") == .dynamicPerToken)
    #expect(try activations(model, "b.linear") == .float)
    #expect(try activations(model, "b.conv") == .staticPerTensor(scale: 0.5, zeroPoint: -3))
    #expect(try WeightFolder(path: model.path).names.count == 3)
  }

  @Test func ignoredLayersStayFloat() throws {
    let model = try folder([(#"["Linear", "Conv2d"]"#, dynamic)], ignore: #"["re:b\\.", "x"]"#)
    #expect(try activations(model, "a.linear") == .dynamicPerToken)
    #expect(try activations(model, "b.linear") == .float)
    #expect(try activations(model, "b.conv") == .float)
  }

  /// Other forms of rounding are left out: the result is nearer to the model that was trained.
  @Test(arguments: [
    #"{"num_bits": 4, "dynamic": true, "strategy": "token"}"#,
    #"{"num_bits": 8, "type": "float", "dynamic": true, "strategy": "token"}"#,
    #"{"num_bits": 8, "dynamic": true, "strategy": "tensor"}"#,
    #"{"num_bits": 8, "dynamic": "local", "strategy": "group"}"#,
    "null",
  ])
  func otherFormsStayFloat(input: String) throws {
    #expect(try activations(try folder([(#"["Linear"]"#, input)]), "a.linear") == .float)
  }

  /// Each token gets a zero point in any case.
  @Test func tokensNeedNotBeSymmetric() throws {
    let input = #"{"num_bits": 8, "symmetric": false, "dynamic": true, "strategy": "token"}"#
    #expect(try activations(try folder([(#"["Linear"]"#, input)]), "a.linear") == .dynamicPerToken)
  }

  @Test(arguments: [Float.nan, 0, -1, .infinity])
  func scalesAreNumbersAboveZero(scale: Float) throws {
    let model = try folder([(#"["Conv2d"]"#, fixed)], scale: scale)
    #expect(message { try activations(model, "b.conv") }.contains("b.conv.input_scale"))
  }

  @Test func aZeroPointMayBeMissingAScaleMayNot() throws {
    let model = try folder([(#"["Conv2d", "Linear"]"#, fixed)], zeroPoint: nil)
    #expect(try activations(model, "b.conv") == .staticPerTensor(scale: 0.5, zeroPoint: 0))
    #expect(message { try activations(model, "a.linear") }.contains("a.linear.input_scale"))
  }

  @Test(arguments: ["(", ")", "[", "a**", "(?=a)", "\\\\q", "{2}", "[z-a]", "*"])
  func patternsThatAreNotUnderstoodAreNamed(pattern: String) throws {
    let model = try folder([(#"["re:\#(pattern)"]"#, dynamic)])
    #expect(message { try activations(model, "a.linear") }.contains("re:"), "\(pattern)")
  }

  @Test(arguments: [
    ("a|c", true), ("(?:x|a)\\\\.lin", true), (".*linear$", true), (".*line$", false),
    ("[ab]\\\\.\\\\w+$", true), ("^a", true), ("linear", false), ("[^a].*", false), ("ab?\\\\.", true),
    ("(((.*)*)*)*q", false), ("((((((((((.+)+)+)+)+)+)+)+)+)+)+r$", true), ("\\\\d", false),
  ])
  func patternsMatchFromTheStart(pattern: String, matches: Bool) throws {
    let model = try folder([(#"["re:\#(pattern)"]"#, dynamic)])
    #expect(
      try activations(model, "a.linear") == (matches ? .dynamicPerToken : .float), "\(pattern)")
  }
}
