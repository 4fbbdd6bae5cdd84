import Glibc
import PipitGraph
import PipitKernels
import PipitRuntime
import PipitTensors
import TestSupport
import Testing

/// Rows of tables that lie in a mapped file, as those of models do.
@Suite struct LookupTests {
  static let rows = 3000
  static let columns = 64
  private let ids: [Float] = [7, 2999, 0, 7, 1500, 41]

  private func graph(_ table: Weight) throws -> Graph {
    let g = GraphBuilder(weights: RandomWeights())
    let rows = try g.add(.embedding(Embedding(table: table)), [g.input("ids", [2, 3], .i32)], "rows")
    g.output("y", rows)
    return g.graph
  }

  @Test(arguments: StoredWeightTests.Storage.allCases)
  func rowsOfAFileAreThoseOfMemory(storage: StoredWeightTests.Storage) throws {
    let table = StoredWeightTests.weight("table", [Self.rows, Self.columns], storage)
    let mapped = try MappedTable(table)
    let graph = try graph(mapped.table)
    for kernels in KernelTable.available {
      let expected = try run(try self.graph(table), ["ids": ids], kernels: kernels)["y"]
      for threads in [1, 3] {
        let found = try run(graph, ["ids": ids], kernels: kernels, threads: threads)["y"]
        let isSame = found?.map(\.bitPattern) == expected?.map(\.bitPattern)
        #expect(isSame, "\(kernels.name), \(threads) threads")
      }
    }
    #expect(mapped.residentKilobytes == 0)
    let pool = ThreadPool(threadCount: 2)
    let program = Program(graph: graph, kernels: .best, pool: pool, weights: PackedWeights(kernels: .best))
    let need = MemoryNeed([graph], kernels: .best, threadCount: 2)
    #expect(need.scratch > 0 && need.scratch == program.scratchByteCount)
  }
}

/// A table's bytes in a file that is mapped.
private final class MappedTable {
  let table: Weight
  private let file: MappedFile

  init(_ memory: Weight) throws {
    var path = Array("/tmp/pipit-table-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    precondition(descriptor >= 0)
    let name = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
      close(descriptor)
      unlink(name)
    }
    // An odd byte first: tensors of a file may lie anywhere.
    var bytes: [UInt8] = [99] + memory.bytes
    var storage = memory.storage
    if case .int4(let scales, _) = storage { bytes += scales.bytes }
    precondition(write(descriptor, bytes, bytes.count) == bytes.count)
    file = try MappedFile(path: name)
    let values = UnsafeRawBufferPointer(rebasing: file.bytes[1..<1 + memory.bytes.count])
    if case .int4(let scales, let group) = storage {
      let stored = UnsafeRawBufferPointer(rebasing: file.bytes[(1 + memory.bytes.count)...])
      storage = .int4(scales: .init(elementType: scales.elementType, bytes: stored), group: group)
    }
    let bare = Weight(
      name: memory.name, shape: memory.shape, storage: storage, bytes: values, owner: file)
    table = memory.rowFactors.map { bare.scalingRows(by: $0) } ?? bare
  }

  /// What of the file's pages this process has mapped.
  var residentKilobytes: Int? {
    guard let maps = fopen("/proc/self/smaps", "re") else { return nil }
    defer { fclose(maps) }
    let start = String(UInt(bitPattern: file.bytes.baseAddress), radix: 16) + "-"
    var line = [CChar](repeating: 0, count: 4096)
    var isOurs = false
    while fgets(&line, Int32(line.count), maps) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      isOurs = isOurs || text.hasPrefix(start)
      if isOurs, text.hasPrefix("Rss:") {
        return Int(text.split(separator: " ").dropFirst().first ?? "")
      }
    }
    return nil
  }
}
