import Glibc
import PipitFormats
import PipitTensors
import TestSupport
import Testing

@Suite struct SafetensorsWriterTests {
  private let plan = SafetensorsPlan(
    [
      .init(name: "bytes", elementType: .i8, shape: [3]),
      .init(name: "a \"quoted\"\nname", elementType: .f32, shape: [2, 2]),
      .init(name: "halves", elementType: .f16, shape: [1]),
      .init(name: "empty", elementType: .f32, shape: [0, 4]),
      .init(name: "long", elementType: .i64, shape: []),
    ], metadata: ["format": "pt"])

  private func fill(_ writer: inout SafetensorsWriter) throws {
    try writer.append([Int8(1), -2], to: "bytes")
    try writer.append([Float(1), 2, 3, 4], to: "a \"quoted\"\nname")
    try writer.append([Int64(7)], to: "long")
    try writer.append([Int8(3)], to: "bytes")
    try writer.append([UInt16(0x3C00)], to: "halves")
  }

  @Test func readsBack() throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/x.safetensors"
    try plan.write(to: path) { try fill(&$0) }
    let file = try Safetensors(path: path)
    #expect(file.metadata == ["format": "pt"])
    #expect(file.file.bytes.count == plan.byteCount)
    #expect(file.entries.count == 5)
    let bytes = try #require(file.entries["bytes"])
    #expect(Array(file.bytes(of: bytes)) == [1, 254, 3])
    let named = try #require(file.entries["a \"quoted\"\nname"])
    #expect(named.shape == [2, 2])
    #expect(file.bytes(of: named).loadUnaligned(fromByteOffset: 12, as: Float.self) == 4)
    for entry in file.entries.values {
      let address = Int(bitPattern: file.bytes(of: entry).baseAddress)
      #expect(address % entry.elementType.byteCount == 0, "\(entry.name)")
    }
  }

  private struct Stop: Error {}

  @Test func anErrorLeavesWhatWasThere() throws {
    let folder = TemporaryFolder()
    let path = folder.write("x.safetensors", "before")
    #expect(throws: Stop.self) {
      try plan.write(to: path) { writer in
        try writer.append([Int64(7)], to: "long")
        throw Stop()
      }
    }
    #expect(folder.names == ["x.safetensors"])
    let file = try MappedFile(path: path)
    #expect(withExtendedLifetime(file) { Array(file.bytes) } == Array("before".utf8))
  }

  @Test func foldersThatAreNotThereAreNamed() {
    #expect(throws: FileError.self) {
      try plan.write(to: "/nonexistent/x.safetensors") { try fill(&$0) }
    }
  }
}

@Suite struct JSONTextTests {
  @Test func readsBack() throws {
    let value = JSONValue.object([
      "a": .array([.integer(1), .number(0.1), .number(1e-12), .bool(true), .null]),
      "b": .object([:]), "c": .array([]), "d": .string("x\"\\\n\t\u{1}é😀"),
      "e": .array([.object(["f": .array([.array([.integer(-5)])])])]),
    ])
    for text in [JSON.text(value), JSON.text(value, indent: 0)] {
      let bytes = Array(text.utf8)
      let read = try bytes.withUnsafeBytes { try JSON.parse($0, path: "x") }
      #expect(read == value)
    }
  }
}

@Suite struct CompressedWeightTests {
  @Test(arguments: ["zero_point", "g_idx"])
  func whatIsNotImplementedIsNamed(part: String) throws {
    let folder = TemporaryFolder()
    let header =
      #"{"w.weight":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]},"#
      + #""w.weight_scale":{"dtype":"F32","shape":[2,1],"data_offsets":[6,14]},"#
      + #""w.weight_\#(part)":{"dtype":"I8","shape":[2,1],"data_offsets":[14,16]}}"#
    folder.write("model.safetensors", safetensors(header, [UInt8](repeating: 0, count: 16)))
    let weights = try WeightFolder(path: folder.path)
    #expect(message { try weights.weight(named: "w.weight") }.contains("w.weight_\(part)"))
  }

  @Test func livesThroughDamagedPackedBytes() {
    let header =
      #"{"w.weight_packed":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]},"#
      + #""w.weight_scale":{"dtype":"F32","shape":[2,1],"data_offsets":[16,24]},"#
      + #""w.weight_shape":{"dtype":"I64","shape":[2],"data_offsets":[24,40]}}"#
    let data = [UInt8](repeating: 130, count: 16) + bytes([Float(1), 2]) + bytes([Int64(2), 7])
    let folder = TemporaryFolder()
    abuse(safetensors(header, data)) { path in
      rename(path, folder.path + "/model.safetensors")
      let weights = try WeightFolder(path: folder.path)
      for name in weights.names { _ = try weights.weight(named: name)?.rows }
    }
    folder.write("model.safetensors", safetensors(header, data))
    let weight = try? WeightFolder(path: folder.path).weight(named: "w.weight")
    #expect(weight?.shape == [2, 7])
    #expect(weight?.floats() == [Float](repeating: 2, count: 7) + [Float](repeating: 4, count: 7))
  }
}

extension HalfTests {
  @Test func roundsToTheNearestHalf() {
    for bits in UInt16.min...UInt16.max {
      let value = halfToFloat(bits)
      if value.isNaN {
        #expect(halfToFloat(floatToHalf(value)).isNaN)
        continue
      }
      #expect(floatToHalf(value) == bits)
      // Halfway to the next one up: to the even of the two; a little more or less: to the nearer.
      guard bits & 0x7FFF < 0x7BFF else { continue }
      let next = halfToFloat(bits + 1)
      let middle = value / 2 + next / 2
      let even = bits & 1 == 0 ? bits : bits + 1
      #expect(floatToHalf(middle) == even)
      let above = middle.magnitude.nextUp
      let below = middle.magnitude.nextDown
      #expect(floatToHalf(above) == (bits & 0x7FFF) + 1)
      #expect(floatToHalf(below) == bits & 0x7FFF)
    }
    #expect(floatToHalf(65520) == 0x7C00 && floatToHalf(65519.996) == 0x7BFF)
  }
}
