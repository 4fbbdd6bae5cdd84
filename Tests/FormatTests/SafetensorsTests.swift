import PipitFormats
import PipitTensors
import TestSupport
import Testing

@Suite struct SafetensorsTests {
  private let header =
    #"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"#
    + #""b":{"dtype":"F16","shape":[2],"data_offsets":[24,28]},"#
    + #""c":{"dtype":"I64","shape":[],"data_offsets":[28,36]}}"#
  private var data: [UInt8] {
    bytes([Float(1), 2, 3, 4, 5, 6]) + bytes([UInt16(0x3C00), 0xC000]) + bytes([Int64(7)])
  }

  @Test func reads() throws {
    let folder = TemporaryFolder()
    folder.write("model.safetensors", safetensors(header, data))
    let weights = try WeightFolder(path: folder.path)
    #expect(weights.names.sorted() == ["a", "b", "c"])
    let a = try #require(try weights.weight(named: "a"))
    #expect(a.shape == [2, 3] && a.floats() == [1, 2, 3, 4, 5, 6])
    #expect(try weights.weight(named: "b")?.floats() == [1, -2])
    #expect(try weights.weight(named: "c")?.expandsToFloat == false)
    #expect(try weights.weight(named: "d") == nil)
    let file = try Safetensors(path: folder.path + "/model.safetensors")
    #expect(file.metadata == ["format": "pt"])
  }

  @Test(arguments: [
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "fewer bytes than the shape"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#, 8, "more bytes than the shape"),
    (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "a negative extent"),
    (#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, 4, "an unknown type"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "offsets in reverse"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}"#, 4, "offsets past the end"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "a gap"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 8, "bytes that belong to nothing"),
    (
      #"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
      6, "an overlap"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#, 4,
      "an overflow"
    ),
    (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, 4, "a broken extent"),
    (#"{"a":[]}"#, 0, "no object"), (#"[]"#, 0, "no object at all"), (#"{"#, 0, "no JSON"),
  ])
  func refuses(header: String, byteCount: Int, what: String) {
    let folder = TemporaryFolder()
    let path = folder.write(
      "x.safetensors", safetensors(header, [UInt8](repeating: 0, count: byteCount)))
    #expect(throws: FormatError.self, "\(what)") { try Safetensors(path: path) }
  }

  @Test func refusesAHeaderLongerThanTheFile() {
    let folder = TemporaryFolder()
    let huge = withUnsafeBytes(of: UInt64.max) { Array($0) } + Array("{}".utf8)
    #expect(throws: FormatError.self) { try Safetensors(path: folder.write("x", huge)) }
  }

  @Test func refusesNestingBombs() {
    let folder = TemporaryFolder()
    let bomb = String(repeating: "[", count: 200_000)
    #expect(throws: FormatError.self) {
      try Safetensors(path: folder.write("x", safetensors(bomb, [])))
    }
  }

  @Test func livesThroughDamage() {
    abuse(safetensors(header, data)) { path in
      let file = try Safetensors(path: path)
      for entry in file.entries.values { _ = file.bytes(of: entry).reduce(0) { $0 &+ Int($1) } }
    }
  }

  @Test func missingFilesAreNamed() {
    #expect(throws: FileError.self) { try Safetensors(path: "/nonexistent/x.safetensors") }
    #expect(throws: FileError.self) { try Safetensors(path: "/tmp") }
  }
}

@Suite struct WeightFolderTests {
  @Test func expandsInt8WithAScaleARow() throws {
    let folder = TemporaryFolder()
    let header =
      #"{"w.weight":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]},"#
      + #""w.weight_scale":{"dtype":"F32","shape":[2,1],"data_offsets":[6,14]}}"#
    let data = bytes([Int8(1), -2, 3, -128, 127, 0]) + bytes([Float(0.5), 2])
    folder.write("model.safetensors", safetensors(header, data))
    let weights = try WeightFolder(path: folder.path)
    #expect(weights.names == ["w.weight"])
    let weight = try #require(try weights.weight(named: "w.weight"))
    #expect(weight.floats() == [0.5, -1, 1.5, -256, 254, 0])
  }

  /// 0x76543210 holds 0 ... 7 plus 8 taken off, from the lowest bits up: the layout of compressed-tensors'
  /// `pack_to_int32` with 4 bits.
  @Test func expandsInt4InGroups() throws {
    let folder = TemporaryFolder()
    let header =
      #"{"w.weight_packed":{"dtype":"I32","shape":[1,2],"data_offsets":[0,8]},"#
      + #""w.weight_scale":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"#
      + #""w.weight_shape":{"dtype":"I64","shape":[2],"data_offsets":[16,32]}}"#
    let data =
      bytes([UInt32(0x7654_3210), 0xFEDC_BA98]) + bytes([Float(1), 0.5]) + bytes([Int64(1), 16])
    folder.write("model.safetensors", safetensors(header, data))
    let weight = try #require(try WeightFolder(path: folder.path).weight(named: "w.weight"))
    #expect(weight.shape == [1, 16])
    #expect(weight.floats() == [-8, -7, -6, -5, -4, -3, -2, -1, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5])
  }

  @Test func refusesScalesThatDoNotFit() throws {
    let folder = TemporaryFolder()
    let header =
      #"{"w.weight":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]},"#
      + #""w.weight_scale":{"dtype":"F32","shape":[3],"data_offsets":[6,18]}}"#
    folder.write("model.safetensors", safetensors(header, [UInt8](repeating: 0, count: 18)))
    let weights = try WeightFolder(path: folder.path)
    #expect(throws: FormatError.self) { try weights.weight(named: "w.weight") }
  }

  @Test func readsShardsAndNamesAMissingOne() throws {
    let folder = TemporaryFolder()
    let tensor = #"{"NAME":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    folder.write(
      "m-1.safetensors", safetensors(tensor.replacing("NAME", with: "a"), bytes([Float(1)])))
    folder.write(
      "m-2.safetensors", safetensors(tensor.replacing("NAME", with: "b"), bytes([Float(2)])))
    folder.write(
      "model.safetensors.index.json",
      #"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#)
    let weights = try WeightFolder(path: folder.path)
    #expect(try weights.weight(named: "b")?.floats() == [2])
    folder.write(
      "model.safetensors.index.json",
      #"{"weight_map":{"a":"m-1.safetensors","b":"m-3.safetensors"}}"#)
    #expect(throws: FileError.self) { try WeightFolder(path: folder.path) }
    folder.write("model.safetensors.index.json", #"{"weight_map":{"a":"../../etc/passwd"}}"#)
    #expect(throws: FormatError.self) { try WeightFolder(path: folder.path) }
  }

  @Test func refusesPickles() {
    let folder = TemporaryFolder()
    folder.write("pytorch_model.bin", "x")
    #expect(message { try WeightFolder(path: folder.path) }.contains("pytorch_model.bin"))
  }

  @Test func refusesATensorInTwoShards() {
    let folder = TemporaryFolder()
    let tensor = safetensors(
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, bytes([Float(1)]))
    folder.write("m-1.safetensors", tensor)
    folder.write("m-2.safetensors", tensor)
    folder.write(
      "model.safetensors.index.json",
      #"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#)
    #expect(throws: FormatError.self) { try WeightFolder(path: folder.path) }
  }
}

@Suite struct HalfTests {
  @Test func everyHalfPrecisionNumber() {
    for bits in UInt16.min...UInt16.max {
      let value = halfToFloat(bits)
      let exponent = Int(bits >> 10 & 31)
      let fraction = Float(bits & 0x3FF)
      let sign: Float = bits & 0x8000 == 0 ? 1 : -1
      switch exponent {
      case 0: #expect(value == sign * fraction * 0x1p-24)
      case 31 where fraction == 0: #expect(value == sign * .infinity)
      case 31: #expect(value.isNaN)
      default:
        let power = Float(sign: .plus, exponent: exponent - 15, significand: 1)
        #expect(value == sign * (1 + fraction / 1024) * power)
      }
    }
  }
}
