package import PipitTensors

/// Multi-head scaled dot-product attention: softmax(q k^T * scale + keyBias + relativeBias) v, head by head.
///
///     q [batch, queries, ..]   k, v [batch, keys, ..]   keyBias [batch, keys]
///     relativeBias [heads, queries + keys - 1]: of query i and key j the number j - i + queries - 1
///     output [batch, queries, heads * headDimension]
///
/// q, k and v may be columns of wider values (of one merged product): each is read from its offset.
package struct Attention: Hashable, Sendable {
  /// The most columns that a head can have.
  package static let widestHead = 512

  package var heads: Int
  package var headDimension: Int
  package var scale: Float
  package var causal: Bool
  /// Whether the fourth input is there: a number added to every score of a key.
  package var hasKeyBias: Bool
  /// Whether the last input is there: a number for every distance of query and key.
  package var hasRelativeBias: Bool
  package var queryOffset = 0
  package var keyOffset = 0
  package var valueOffset = 0

  package init(
    heads: Int, headDimension: Int, scale: Float, causal: Bool = false, hasKeyBias: Bool,
    hasRelativeBias: Bool = false
  ) {
    precondition(heads > 0)
    precondition(headDimension > 0 && headDimension <= Attention.widestHead)
    self.heads = heads
    self.headDimension = headDimension
    self.scale = scale
    self.causal = causal
    self.hasKeyBias = hasKeyBias
    self.hasRelativeBias = hasRelativeBias
  }

  package func outputShape(_ inputs: [Shape]) throws(ShapeError) -> Shape {
    let expected = 3 + (hasKeyBias ? 1 : 0) + (hasRelativeBias ? 1 : 0)
    guard inputs.count == expected else {
      throw .inputCount(expected: expected...expected, found: inputs.count)
    }
    let width = heads * headDimension
    for (index, offset) in [queryOffset, keyOffset, valueOffset].enumerated() {
      guard inputs[index].rank == 3 else {
        throw .rank(input: index, expected: 3...3, found: inputs[index].rank)
      }
      guard offset >= 0, inputs[index][2] >= offset + width else {
        throw .mismatch(input: index, axis: 2, expected: offset + width, found: inputs[index][2])
      }
      guard inputs[index][0] == inputs[0][0] else {
        throw .mismatch(input: index, axis: 0, expected: inputs[0][0], found: inputs[index][0])
      }
    }
    guard inputs[1][1] == inputs[2][1] else {
      throw .mismatch(input: 2, axis: 1, expected: inputs[1][1], found: inputs[2][1])
    }
    if hasKeyBias, inputs[3] != [inputs[0][0], inputs[1][1]] {
      throw .invalid("key bias \(inputs[3]) is not [batch, keys]")
    }
    let distances = inputs[0][1] + inputs[1][1] - 1
    if hasRelativeBias, inputs[expected - 1] != [heads, distances] {
      throw .invalid("relative bias \(inputs[expected - 1]) is not [heads, queries + keys - 1]")
    }
    return [inputs[0][0], inputs[0][1], width]
  }
}
