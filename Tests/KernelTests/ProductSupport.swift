import CKernels
import TestSupport

/// One level's kernels, for parameterized tests.
struct Level: Sendable, CustomStringConvertible {
  let index: Int

  // SAFETY: the table is filled before main and never written again.
  nonisolated(unsafe) let table: UnsafePointer<kernel_table>

  init(_ index: Int) {
    guard let table = kernel_level(index) else { preconditionFailure("no level \(index)") }
    self.index = index
    self.table = table
  }

  static let scalar = Level(0)

  /// The levels that this processor runs.
  static let running = (0..<kernel_level_count()).filter { kernel_level_runs($0) }.map(Level.init)

  /// Those of them that are tested against scalar.
  static let beyondScalar = running.dropFirst()

  var description: String { String(cString: table.pointee.name) }
  var gemm: gemm_f32_kernels { table.pointee.gemm_f32 }
}

/// What an epilogue test asks for; the arrays are made to fit.
struct EpilogueCase: Sendable {
  enum Residual: Sendable, CaseIterable { case none, apart, inPlace }

  var hasBias = false
  var residual = Residual.none
  var residualFirst = false
  var activation = ACTIVATION_NONE

  static let activations = [
    ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_GELU, ACTIVATION_GELU_TANH,
    ACTIVATION_GELU_QUICK, ACTIVATION_SILU, ACTIVATION_TANH, ACTIVATION_SIGMOID, ACTIVATION_RELU6,
  ]

  static let every: [EpilogueCase] = activations.flatMap { activation in
    Residual.allCases.flatMap { residual in
      [
        EpilogueCase(
          hasBias: true, residual: residual, residualFirst: true, activation: activation),
        EpilogueCase(
          hasBias: false, residual: residual, residualFirst: false, activation: activation),
      ]
    }
  }
}

/// The result of an epilogue's memory around a kernel: y starts as random numbers, which serve as
/// the residual when that is in place, and as sentinels between the rows.
struct Output {
  let y: GuardedBuffer
  let bias: GuardedBuffer?
  let residual: GuardedBuffer?
  let epilogue: epilogue_f32

  init(rows: Int, columns: Int, stride: Int, case epilogueCase: EpilogueCase) {
    let count = (rows - 1) * stride + columns
    let initial = randoms(count, seed: 4)
    y = GuardedBuffer(initial)
    bias = epilogueCase.hasBias ? GuardedBuffer(randoms(columns, seed: 5)) : nil
    residual = epilogueCase.residual == .apart ? GuardedBuffer(initial) : nil
    var epilogue = epilogue_f32()
    epilogue.bias = bias.map { UnsafePointer($0.start) }
    epilogue.residual = residual.map { UnsafePointer($0.start) }
    if epilogueCase.residual == .inPlace { epilogue.residual = UnsafePointer(y.start) }
    epilogue.residual_stride = stride
    epilogue.residual_first = epilogueCase.residualFirst
    epilogue.activation = epilogueCase.activation
    self.epilogue = epilogue
  }
}

/// How a test cuts the work: everything in one call, or many ranges that do not fit the tiles.
enum Split: Sendable, CaseIterable {
  case whole, rows, panels, both

  func run(rows: Int, panels: Int, _ body: (Range<Int>, Range<Int>) -> Void) {
    let rowStep = self == .rows || self == .both ? 5 : max(rows, 1)
    let panelStep = self == .panels || self == .both ? 1 : panels
    for row in stride(from: 0, to: rows, by: rowStep) {
      for panel in stride(from: 0, to: panels, by: panelStep) {
        body(row..<min(row + rowStep, rows), panel..<min(panel + panelStep, panels))
      }
    }
  }
}

/// Whether all numbers are equal, NaN to NaN and 0 to -0: what the contract promises of two levels.
func areEqual(_ one: [Float], _ other: [Float]) -> Bool { maxError(one, other) == 0 }

func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }
