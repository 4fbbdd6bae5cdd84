import CKernels
import Glibc
import TestSupport
import Testing

/// Attention of random numbers; strides leave room for other heads.
private struct AttentionCase: Sendable {
  var queries: Int, keys: Int, dimension: Int
  var causal = false
  var bias: [Float]?
  /// Of each distance of query and key, from the furthest key before its query.
  var relativeBias: [Float]?
  var scale: Float = 0.3
  var range: ClosedRange<Float> = -1...1

  func run(_ level: Level, queryStep: Int = .max) -> [Float] {
    let stride = dimension + 3
    func operand(_ tokens: Int, seed: UInt64) -> GuardedBuffer {
      GuardedBuffer(randoms((tokens - 1) * stride + dimension, seed: seed, in: range))
    }
    let q = operand(queries, seed: 1)
    let k = operand(keys, seed: 2)
    let v = operand(keys, seed: 3)
    let keyBias = bias.map { GuardedBuffer($0) }
    let distances = relativeBias.map { GuardedBuffer($0) }
    let y = GuardedBuffer(count: (queries - 1) * stride + dimension, filledWith: -7)
    var arguments = attention_f32_args(
      q: q.start, k: k.start, v: v.start, y: y.start, q_stride: stride, k_stride: stride,
      v_stride: stride, y_stride: stride, query_count: queries, key_count: keys,
      head_dimension: dimension, scale: scale, key_bias: keyBias.map { UnsafePointer($0.start) },
      score_bias: distances.map { UnsafePointer($0.start + queries - 1) }, score_bias_stride: -1,
      causal: causal)
    let scratch = GuardedBuffer(count: attention_scratch_count(dimension), filledWith: .nan)
    let step = min(queryStep, queries)
    for query in Swift.stride(from: 0, to: queries, by: step) {
      level.table.pointee.attention_f32(
        &arguments, scratch.start, query, min(query + step, queries))
    }
    return withExtendedLifetime((q, k, v, keyBias, distances)) { y.values }
  }
}

extension AttentionCase {
  /// With and without biases, causal or not.
  fileprivate var variants: [AttentionCase] {
    [false, true].flatMap { causal in
      [false, true].map { isBiased in
        var own = self
        own.causal = causal
        own.bias = isBiased ? randoms(keys, seed: 4, in: -3...3) : nil
        own.relativeBias = isBiased ? randoms(queries + keys - 1, seed: 5, in: -3...3) : nil
        return own
      }
    }
  }

  /// What is to come out, in double precision.
  fileprivate var formula: [Float] {
    let stride = dimension + 3
    func numbers(_ tokens: Int, seed: UInt64) -> [Double] {
      randoms((tokens - 1) * stride + dimension, seed: seed, in: range).map(Double.init)
    }
    let q = numbers(queries, seed: 1)
    let k = numbers(keys, seed: 2)
    let v = numbers(keys, seed: 3)
    var y = [Float](repeating: -7, count: (queries - 1) * stride + dimension)
    for query in 0..<queries {
      let visible = causal ? min(keys, query + 1) : keys
      let weights: [Double] = (0..<visible).map { key in
        var score = 0.0
        for d in 0..<dimension { score += q[query * stride + d] * k[key * stride + d] }
        score *= Double(scale)
        if let bias { score += Double(bias[key]) }
        if let relativeBias { score += Double(relativeBias[key - query + queries - 1]) }
        return exp(score)
      }
      let sum = weights.reduce(0, +)
      for d in 0..<dimension {
        var value = 0.0
        for key in 0..<visible { value += weights[key] * v[key * stride + d] }
        y[query * stride + d] = Float(value / sum)
      }
    }
    return y
  }
}

private let shapes =
  [1, 3, 8, 31, 32, 40, 64, 65, 80].map { AttentionCase(queries: 19, keys: 67, dimension: $0) }
  + [1, 2, 15, 16, 17, 33].map { AttentionCase(queries: $0, keys: 64, dimension: 24) }
  + [1, 2, 63, 65, 128, 129, 130, 193].map { AttentionCase(queries: 5, keys: $0, dimension: 17) }
  // Around whole tiles of keys, and several of them.
  + [255, 256, 257, 300, 512, 530].map { AttentionCase(queries: 5, keys: $0, dimension: 17) }
  + [223, 225, 450].map { AttentionCase(queries: $0, keys: 270, dimension: 8) }
  + [
    AttentionCase(queries: 3, keys: 70, dimension: 160),
    AttentionCase(queries: 2, keys: 65, dimension: 512),
    AttentionCase(queries: 20, keys: 150, dimension: 16, scale: 4, range: -2...2),
  ]

@Suite struct AttentionTests {
  @Test(arguments: shapes.indices)
  func scalarIsNearTheFormula(shape: Int) {
    for attention in shapes[shape].variants {
      let limit = 2e-5 * attention.range.upperBound
      #expect(maxError(attention.run(.scalar), attention.formula) <= limit)
    }
  }

  @Test(arguments: Level.beyondScalar, shapes.indices)
  func equalsScalar(level: Level, shape: Int) {
    for attention in shapes[shape].variants {
      #expect(areEqual(attention.run(level), attention.run(.scalar)))
    }
  }

  @Test(arguments: Level.running)
  func splitsGiveTheSameBits(level: Level) {
    var attention = AttentionCase(queries: 37, keys: 75, dimension: 20)
    for causal in [false, true] {
      attention.causal = causal
      let whole = attention.run(level)
      for step in [1, 3, 5, 16] {
        #expect(bits(attention.run(level, queryStep: step)) == bits(whole))
      }
    }
  }

  @Test(arguments: Level.running)
  func hiddenKeysCountForNothing(level: Level) {
    var all = AttentionCase(queries: 6, keys: 90, dimension: 10)
    var few = all
    few.keys = 50
    all.bias = (0..<90).map { $0 < 50 ? 0 : -.infinity }
    #expect(maxError(all.run(level), few.run(level)) <= 1e-6)
  }

  @Test(arguments: Level.running)
  func queriesThatSeeNoKeyGetZeros(level: Level) {
    var attention = AttentionCase(queries: 18, keys: 70, dimension: 9)
    attention.bias = [Float](repeating: -.infinity, count: 70)
    for (index, value) in attention.run(level).enumerated() {
      #expect(value == (index % 12 < 9 ? 0 : -7))
    }
    // Causal, the first key hidden: the first query sees nothing, the others do.
    attention.bias = [-.infinity] + [Float](repeating: 0, count: 69)
    attention.causal = true
    let y = attention.run(level)
    #expect(y[0..<9].allSatisfy { $0 == 0 })
    #expect(y[12..<21].allSatisfy { $0 != 0 && !$0.isNaN })
  }
}
