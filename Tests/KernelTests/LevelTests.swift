import CKernels
import Glibc
import PipitKernels
import Testing

@Suite struct LevelTests {
  @Test func theLadderStartsWithScalar() {
    #expect(KernelTable.scalar.name == "scalar")
    #expect(KernelTable.available.first?.name == "scalar")
    #expect(KernelTable.best.name == KernelTable.available.last?.name)
    #if arch(arm64)
      #expect(KernelTable.available.map(\.name) == ["scalar", "neon"])
    #elseif arch(x86_64)
      let names = KernelTable.available.map(\.name) + KernelTable.unavailable.map(\.name)
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
      #expect(error.missing == nil)
      #expect(error.available == KernelTable.available.map(\.name))
      #expect(error.description.contains("scalar"))
    }
  }

  @Test func theEnvironmentChooses() throws {
    let value = getenv("PIPIT_ISA").map { String(cString: $0) } ?? ""
    let expected = value.isEmpty ? KernelTable.best.name : value
    let chosen = try KernelTable.chosen()
    #expect(chosen.name == expected)
  }

  @Test func theProcessorHasASummary() { #expect(KernelTable.processorSummary.contains(";")) }
}
