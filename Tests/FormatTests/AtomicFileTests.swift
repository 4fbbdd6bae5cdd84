import Glibc
import PipitFormats
import Testing

@Suite struct AtomicFileTests {
  @Test func whatAKilledProcessLeftIsInNobodysWay() throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/x"
    // A process of the same number, as programs in containers have it, wrote and was killed.
    try AtomicFile.write([1], to: "\(path).\(getpid()).part")
    for number in [0, 1, 2] as [UInt8] {
      try AtomicFile.write([number], to: path)
      let file = try #require(fopen(path, "r"))
      #expect(fgetc(file) == Int32(number))
      fclose(file)
    }
    let names = Set((0..<100).map { _ in AtomicFile.temporaryName(path) })
    #expect(names.count == 100 && names.allSatisfy { $0.hasPrefix(path + ".") })
  }
}
