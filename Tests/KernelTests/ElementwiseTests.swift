import CKernels
import Glibc
import TestSupport
import Testing

/// An activation in double precision.
private func exact(_ x: Double, _ activation: activation) -> Double {
  switch activation {
  case ACTIVATION_RELU: max(x, 0)
  case ACTIVATION_RELU6: min(max(x, 0), 6)
  case ACTIVATION_GELU: x * 0.5 * erfc(-x / 2.0.squareRoot())
  case ACTIVATION_GELU_TANH:
    x / (1 + exp(-2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  case ACTIVATION_GELU_QUICK: x / (1 + exp(-1.702 * x))
  case ACTIVATION_SILU: x / (1 + exp(-x))
  case ACTIVATION_TANH: tanh(x)
  case ACTIVATION_SIGMOID: 1 / (1 + exp(-x))
  default: x
  }
}

/// The contract's bound on |computed - exact|.
private func bound(_ x: Double, _ activation: activation) -> Double {
  switch activation {
  case ACTIVATION_NONE, ACTIVATION_RELU, ACTIVATION_RELU6: 0
  case ACTIVATION_TANH, ACTIVATION_SIGMOID: 3e-7
  default: 2e-6 * max(abs(x), 1)
  }
}

private let binaries = [BINARY_ADD, BINARY_SUBTRACT, BINARY_MULTIPLY, BINARY_DIVIDE]

@Suite struct ElementwiseTests {
  @Test(arguments: Level.running, EpilogueCase.activations.indices)
  func activationsKeepTheirBounds(level: Level, index: Int) {
    let activation = EpilogueCase.activations[index]
    let dense = (0..<4001).map { Float($0) * 0.01 - 20 }
    let wide = (-45...37).flatMap { exponent in
      [1, 1.37, -1, -1.91].map { Float($0 * pow(10, Double(exponent))) }
    }
    let x = dense + wide + [0, -0.0, 87.5, 88.8, 89.1, 103.9, 104.1, -87.5, -88.8, -103.9, -104.1]
    let y = output(of: x) { level.table.pointee.activate_f32($0, $1, x.count, activation) }
    let scalar = output(of: x) {
      Level.scalar.table.pointee.activate_f32($0, $1, x.count, activation)
    }
    #expect(areEqual(y, scalar))
    for (x, y) in zip(x, y) {
      let error = abs(Double(y) - exact(Double(x), activation))
      #expect(error <= bound(Double(x), activation), "\(x) gives \(y)")
    }
  }

  @Test(arguments: Level.running, EpilogueCase.activations.indices)
  func activationsOfNaNAndInfinity(level: Level, index: Int) {
    let activation = EpilogueCase.activations[index]
    for count in vectorCounts {
      let x = [Float](repeating: .nan, count: count)
      let y = output(of: x) { level.table.pointee.activate_f32($0, $1, count, activation) }
      #expect(y.allSatisfy { $0.isNaN })
    }
    let y = output(of: [.infinity]) { level.table.pointee.activate_f32($0, $1, 1, activation) }
    #expect(Double(y[0]) == exact(.infinity, activation))
  }

  @Test(arguments: Level.running, vectorCounts)
  func activationsDoNotDependOnThePlace(level: Level, count: Int) {
    let x = randoms(count, seed: 1, in: -9...9)
    for activation in EpilogueCase.activations {
      let all = output(of: x) { level.table.pointee.activate_f32($0, $1, count, activation) }
      let inPlace = output(of: x, inPlace: true) {
        level.table.pointee.activate_f32($0, $1, count, activation)
      }
      let single = x.map { x in
        output(of: [x]) { level.table.pointee.activate_f32($0, $1, 1, activation) }[0]
      }
      #expect(bits(all) == bits(inPlace))
      #expect(bits(all) == bits(single))
    }
  }

  @Test(arguments: Level.running, vectorCounts)
  func binariesAreExact(level: Level, columns: Int) {
    let rows = 3
    let a = randoms(rows * columns, seed: 1)
    // Every number's own partner, one row for all, one number a row, one number for all.
    for (rowStride, columnStride) in [(columns, 1), (0, 1), (1, 0), (0, 0)] {
      let b = GuardedBuffer(
        randoms((rows - 1) * rowStride + (columns - 1) * columnStride + 1, seed: 2, in: 0.5...2))
      for (index, operation) in binaries.enumerated() {
        let right = b.values
        let expected = a.indices.map { i in
          let y = right[i / columns * rowStride + i % columns * columnStride]
          return [a[i] + y, a[i] - y, a[i] * y, a[i] / y][index]
        }
        for inPlace in [false, true] {
          let y = output(of: a, inPlace: inPlace) {
            level.table.pointee.binary_f32(
              $0, $1, b.start, rows, columns, rowStride, columnStride, operation)
          }
          #expect(bits(y) == bits(expected))
        }
      }
    }
  }

  @Test(arguments: Level.running, vectorCounts)
  func affineAndModulate(level: Level, columns: Int) {
    let rows = 3
    let x = randoms(rows * columns, seed: 1)
    let scale = GuardedBuffer(randoms(columns, seed: 2))
    let shift = GuardedBuffer(randoms(columns, seed: 3))
    for inPlace in [false, true] {
      let affine = output(of: x, inPlace: inPlace) {
        level.table.pointee.affine_f32($0, $1, x.count, 1.7, -0.3)
      }
      #expect(areEqual(affine, x.map { Float(-0.3).addingProduct($0, 1.7) }))
      let modulated = output(of: x, inPlace: inPlace) {
        level.table.pointee.modulate_f32($0, $1, scale.start, shift.start, rows, columns)
      }
      let expected = x.indices.map {
        shift.values[$0 % columns].addingProduct(x[$0], 1 + scale.values[$0 % columns])
      }
      #expect(areEqual(modulated, expected))
    }
  }

  @Test(arguments: Level.running, vectorCounts)
  func gates(level: Level, columns: Int) {
    let rows = 3
    let x = randoms(rows * columns, seed: 1)
    let residual = GuardedBuffer(randoms(rows * columns, seed: 2))
    let gate = GuardedBuffer(randoms(columns, seed: 3))
    let expected = x.indices.map { residual.values[$0].addingProduct(gate.values[$0 % columns], x[$0]) }
    for inPlace in [false, true] {
      let y = output(of: x, inPlace: inPlace) {
        level.table.pointee.gate_add_f32($0, $1, gate.start, residual.start, rows, columns)
      }
      #expect(areEqual(y, expected))
    }
    _ = output(of: x) { _, x in
      level.table.pointee.gate_add_f32(
        residual.start, x, gate.start, residual.start, rows, columns)
    }
    #expect(areEqual(residual.values, expected))

    let pairs = randoms(rows * 2 * columns, seed: 4, in: -4...4)
    let gated = output(of: pairs, count: rows * columns) {
      level.table.pointee.geglu_f32($0, $1, rows, columns)
    }
    let products = gated.indices.map { i in
      let left = i / columns * 2 * columns + i % columns
      return Float(Double(pairs[left]) * exact(Double(pairs[left + columns]), ACTIVATION_GELU))
    }
    #expect(maxError(gated, products) <= 4 * 2e-6 * 4)
    let scalar = output(of: pairs, count: rows * columns) {
      Level.scalar.table.pointee.geglu_f32($0, $1, rows, columns)
    }
    #expect(areEqual(gated, scalar))
  }

  @Test(arguments: Level.running, vectorCounts)
  func scaleShift(level: Level, channels: Int) {
    let x = randoms(4 * channels, seed: 1)
    let scale = GuardedBuffer(randoms(channels, seed: 2))
    let shift = GuardedBuffer(randoms(channels, seed: 3))
    for activation in EpilogueCase.activations {
      let expected = x.indices.map { i in
        let t =
          Double(x[i]) * Double(scale.values[i % channels]) + Double(shift.values[i % channels])
        return Float(exact(t, activation))
      }
      for inPlace in [false, true] {
        let y = output(of: x, inPlace: inPlace) {
          level.table.pointee.scale_shift_f32(
            $0, $1, scale.start, shift.start, 4, channels, activation)
        }
        #expect(maxError(y, expected) <= 5e-6)
        let scalar = output(of: x) {
          Level.scalar.table.pointee.scale_shift_f32(
            $0, $1, scale.start, shift.start, 4, channels, activation)
        }
        #expect(areEqual(y, scalar))
      }
    }
  }
}
