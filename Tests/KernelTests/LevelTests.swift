import CKernels
import Glibc
import PipitKernels
import Testing

@Suite struct LevelTests {
  @Test func theLadderStartsWithScalar() {
    #expect(KernelTable.scalar.name == "scalar")
    #expect(KernelTable.available.first?.name == "scalar")
    #expect(KernelTable.best.name == KernelTable.available.last?.name)
    let names = KernelTable.available.map(\.name) + KernelTable.unavailable.map(\.name)
    #if arch(arm64)
      #expect(names == ["scalar", "neon", "dotprod", "i8mm"])
    #elseif arch(x86_64)
      #expect(Set(names) == ["scalar", "avx2", "avxvnni", "avx512", "avx512vnni"])
      #expect(names.count == 5)
    #endif
  }

  @Test func everyLevelEitherRunsOrNamesWhatIsMissing() {
    for level in 0..<kernel_level_count() {
      #expect(kernel_level(level) != nil)
      #expect(kernel_level_runs(level) == (kernel_level_missing(level) == nil))
    }
    #expect(kernel_level(kernel_level_count()) == nil)
    #expect(kernel_level_missing(kernel_level_count()) != nil)
    #expect(!kernel_level_runs(.max))
  }

  @Test func levelsAreFoundByName() throws {
    for table in KernelTable.available {
      let found = try KernelTable.named(table.name)
      #expect(found.name == table.name)
    }
    for level in KernelTable.unavailable {
      #expect(throws: KernelTableError.self) { _ = try KernelTable.named(level.name) }
    }
  }

  @Test(arguments: ["", "AVX2", "avx2 ", "sse", "neon\n", "scalar,avx2"])
  func unknownNamesAreRefusedWithTheKnownOnes(name: String) {
    do throws(KernelTableError) {
      _ = try KernelTable.named(name)
      Issue.record("there is a level of the name \(name)")
    } catch {
      #expect(error.problem.contains("no such level"))
      for table in KernelTable.available { #expect(error.problem.contains(table.name)) }
    }
  }

  @Test func theEnvironmentChooses() throws {
    let value = getenv("PIPIT_ISA").map { String(cString: $0) } ?? ""
    let expected = value.isEmpty ? KernelTable.best.name : value
    let chosen = try KernelTable.chosen()
    #expect(chosen.name == expected)
  }

  @Test func theProcessorHasASummary() { #expect(KernelTable.processorSummary.contains(";")) }

  // As Linux writes it on a board with four Cortex-A55 and four A76, of which one is switched off.
  @Test func coresThatExecuteInOrderAreTold() {
    let parts: [Int: String] = [
      0: "0xd05", 1: "0xd05", 2: "0xd05", 3: "0xd05", 4: "0xd0b", 6: "0xd0b", 7: "0xd0b",
    ]
    let text = (0..<8).compactMap { core in
      parts[core].map {
        "processor\t: \(core)\nBogoMIPS\t: 48.00\nCPU implementer\t: 0x41\nCPU part\t: \($0)\n\n"
      }
    }.joined()
    var inOrder = [Bool](repeating: true, count: 9)
    #expect(cores_in_order_from_cpuinfo(text, &inOrder, 9) == 7)
    #expect(inOrder == [true, true, true, true, false, false, false, false, false])
    #expect(cores_in_order_from_cpuinfo(text, &inOrder, 2) == 2)
    #expect(cores_in_order_from_cpuinfo("processor\t: 0\nmodel name\t: some x86\n", &inOrder, 9) == 0)
    #expect(cores_in_order_from_cpuinfo("processor : 99999999999\nCPU part : 0xd03", &inOrder, 9) <= 1)
  }
}
