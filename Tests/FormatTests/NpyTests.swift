import PipitFormats
import PipitTensors
import Testing

@Suite struct NpyTests {
  private func file(
    _ descriptor: String, _ shape: String, _ data: [UInt8], fortran: Bool = false,
    version: UInt8 = 1
  ) -> [UInt8] {
    let header =
      "{'descr': '\(descriptor)', 'fortran_order': \(fortran ? "True" : "False"), 'shape': \(shape), }\n"
    let count = header.utf8.count
    let length: [UInt8] =
      version == 1
      ? [UInt8(count & 255), UInt8(count >> 8)]
      : [UInt8(count & 255), UInt8(count >> 8), 0, 0]
    var bytes: [UInt8] = [0x93]
    bytes += Array("NUMPY".utf8)
    bytes += [version, 0]
    bytes += length
    bytes += Array(header.utf8)
    bytes += data
    return bytes
  }

  private func read(_ bytes: [UInt8]) throws -> NpyArray {
    let folder = TemporaryFolder()
    return try Npy.read(path: folder.write("x.npy", bytes))
  }

  @Test func readsEveryType() throws {
    #expect(try read(file("<f4", "(2,)", bytes([Float(1), 2]))).values == .floats([1, 2]))
    #expect(try read(file("<f8", "(2,)", bytes([1.5, 2]))).values == .floats([1.5, 2]))
    #expect(try read(file("<f2", "(1,)", bytes([UInt16(0x3C00)]))).values == .floats([1]))
    #expect(try read(file("<i8", "(1,)", bytes([Int64(-3)]))).values == .integers([-3]))
    #expect(try read(file("<i4", "(1,)", bytes([Int32(-3)]))).values == .integers([-3]))
    #expect(try read(file("<i2", "(1,)", bytes([Int16(-3)]))).values == .integers([-3]))
    #expect(try read(file("|i1", "(1,)", bytes([Int8(-3)]))).values == .integers([-3]))
    #expect(try read(file("|u1", "(1,)", [200])).values == .integers([200]))
    #expect(try read(file("|b1", "(2,)", [1, 0])).values == .integers([1, 0]))
    #expect(try read(file("<f4", "()", bytes([Float(4)]))).shape == [])
  }

  @Test func readsEveryVersionAndOrder() throws {
    let data = bytes([Float(1), 4, 2, 5, 3, 6])
    let array = try read(file("<f4", "(2, 3)", data, fortran: true, version: 2))
    #expect(array.shape == [2, 3] && array.values == .floats([1, 2, 3, 4, 5, 6]))
    #expect(try read(file("<f4", "(2, 3)", data, version: 3)).shape == [2, 3])
  }

  @Test func readsWhatItWrites() throws {
    let folder = TemporaryFolder()
    for shape in [[], [5], [2, 3], [2, 1, 3, 4]] as [Shape] {
      let values = (0..<shape.count).map { Float($0) - 2 }
      let path = folder.path + "/x.npy"
      try values.withUnsafeBufferPointer { try Npy.write($0, shape: shape, to: path) }
      #expect(try Npy.read(path: path) == NpyArray(shape: shape, values: .floats(values)))
    }
  }

  @Test func refusesWhatDoesNotFit() {
    let four = bytes([Float(1)])
    for bad in [
      file("<f4", "(2,)", four), file(">f4", "(1,)", four), file("<f4", "(-1,)", four),
      file("<f4", "(4611686018427387904, 8)", four), file("<f4", "1", four),
      file("|O", "(1,)", four),
    ] {
      #expect(throws: FormatError.self) { try read(bad) }
    }
  }

  @Test func livesThroughDamage() {
    abuse(file("<f4", "(2, 3)", bytes([Float](repeating: 1, count: 6)), fortran: true)) {
      _ = try Npy.read(path: $0)
    }
    abuse(file("<i8", "(2, 2)", bytes([Int64](repeating: 1, count: 4)))) {
      _ = try Npy.read(path: $0)
    }
  }
}
