import PipitGraph
import PipitTensors

/// Computes a graph operation by operation in double precision, with the plainest loops that can be
/// written: what programs are checked against.
struct ReferenceEvaluator {
  let graph: Graph
  private var values: [ValueID: [Double]] = [:]

  init(_ graph: Graph, inputs: [String: [Float]]) {
    self.graph = graph
    for port in graph.inputs { values[port.value] = (inputs[port.name] ?? []).map(Double.init) }
  }

  mutating func run() -> [String: [Float]] {
    for node in graph.nodes {
      let result = evaluate(node)
      let info = graph[node.output]
      values[node.output] = info.quantization.map { quantized(result, $0, info.shape) } ?? result
    }
    var outputs: [String: [Float]] = [:]
    for port in graph.outputs { outputs[port.name] = (values[port.value] ?? []).map { Float($0) } }
    return outputs
  }

  /// Numbers as their integers stand for them.
  private func quantized(
    _ x: [Double], _ quantization: Quantization, _ shape: Shape
  ) -> [Double] {
    switch quantization {
    case .rows:
      return rows(x, shape.columns) { row in
        let (low, high) = (min(row.min() ?? 0, 0), max(row.max() ?? 0, 0))
        let scale = (high - low) / 254.99
        return row.map { ($0 / scale).rounded(.toNearestOrEven) * scale }
      }
    case .tensor(let scale, let zeroPoint):
      let zero = Double(zeroPoint)
      return x.map { value in
        let stored = (value / Double(scale)).rounded(.toNearestOrEven) + zero
        return (min(max(stored, -128), 127) - zero) * Double(scale)
      }
    }
  }

  private func sumTaps(
    _ op: SumTaps, _ x: [Double], _ shape: Shape, _ out: Shape
  ) -> [Double] {
    let bias = op.bias.map(doubles)
    return (0..<out.count).map { index in
      let c = index % out[3]
      let (image, row) = (index / out[3] / out[2] / out[1], index / out[3] / out[2] % out[1])
      let column = index / out[3] % out[2]
      var sum = bias?[c] ?? 0
      for tap in 0..<op.kernel * op.kernel {
        let y = row + tap / op.kernel - op.padding.top
        let x0 = column + tap % op.kernel - op.padding.left
        guard (0..<shape[1]).contains(y), (0..<shape[2]).contains(x0) else { continue }
        sum += x[((image * shape[1] + y) * shape[2] + x0) * shape[3] + tap * op.channels + c]
      }
      return sum
    }
  }

  private func evaluate(_ node: Node) -> [Double] {
    let x = node.inputs.map { values[$0] ?? [] }
    let shapes = node.inputs.map { graph[$0].shape }
    let out = graph[node.output].shape
    switch node.op {
    case .linear(let op): return linear(op, x, shapes)
    case .conv2D(let op): return convolution(op, x, shapes[0], out)
    case .attention(let op): return attention(op, x, shapes)
    case .embedding(let op):
      let table = doubles(op.table)
      return x[0].flatMap {
        Array(table[Int($0) * op.table.columns..<(Int($0) + 1) * op.table.columns])
      }
    case .positionEmbedding(let op): return positions(op, x[0], shapes[0])
    case .pickRow(let op): return pickedRows(op, x, shapes[0])
    case .constant(let weight): return doubles(weight)
    case .timestepEmbedding(let op): return timesteps(op, x[0])
    case .activation(let op): return x[0].map { apply(op, $0) }
    case .binary(let op):
      return x[0].indices.map { index in
        let (a, b) = (x[0][index], x[1][place(index, in: shapes[0], of: shapes[1])])
        switch op.operation {
        case .add: return a + b
        case .subtract: return a - b
        case .multiply: return a * b
        case .divide: return a / b
        }
      }
    case .affine(let op): return x[0].map { $0 * Double(op.scale) + Double(op.shift) }
    case .quantize(let op):
      if let lead = op.pairLead {
        return rows(x[0], shapes[0][2] * shapes[0][3]) {
          let line = [Double](repeating: 0, count: lead * shapes[0][3]) + $0
          return line + [Double](repeating: 0, count: out[2] * out[3] - line.count)
        }
      }
      return rows(x[0], out.columns - op.padding) { $0 + [Double](repeating: 0, count: op.padding) }
    case .modulate(let op): return modulate(op, x, shapes)
    case .gateAdd(let op): return gateAdd(op, x, shapes)
    case .gatedGELU: return gatedGELU(x[0], out)
    case .layerNorm(let op): return layerNorm(op, x[0], out.columns)
    case .groupNorm(let op): return groupNorm(op, x[0], out)
    case .channelAffine(let op):
      let (scale, shift) = op.scaleAndShift()
      return x[0].enumerated().map {
        $1 * Double(scale[$0 % scale.count]) + Double(shift[$0 % scale.count])
      }
    case .softmax:
      return rows(x[0], out.columns) { row in
        let top = row.max() ?? 0
        let e = row.map { exponential($0 - top) }
        return e.map { $0 / e.reduce(0, +) }
      }
    case .l2Normalize(let op):
      return rows(x[0], out.columns) { row in
        let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return row.map { $0 / max(length, Double(op.epsilon)) }
      }
    case .meanRows(let op): return meanRows(op, x, shapes[0])
    case .maxPool(let op): return maxPool(op, x[0], shapes[0], out)
    case .averagePoolGlobal:
      let pixels = shapes[0][1] * shapes[0][2]
      return (0..<out.count).map { i in
        let (b, c) = (i / out[1], i % out[1])
        return (0..<pixels).reduce(0) { $0 + x[0][(b * pixels + $1) * out[1] + c] } / Double(pixels)
      }
    case .sumTaps(let op): return sumTaps(op, x[0], shapes[0], out)
    case .upsample2x:
      return indices(out).map { x[0][offset([$0[0], $0[1] / 2, $0[2] / 2, $0[3]], shapes[0])] }
    case .keyBias: return x[0].map { $0 != 0 ? 0 : -.infinity }
    case .maskWeights: return x[0].map { $0 != 0 ? 1 : 0 }
    case .reshape: return x[0]
    case .transpose(let op):
      return indices(out).map { index in
        var source = [Int](repeating: 0, count: index.count)
        for (axis, from) in op.axes.enumerated() { source[from] = index[axis] }
        return x[0][offset(source, shapes[0])]
      }
    case .slice(let op):
      return indices(out).map { index in
        var source = index
        source[op.axis] += op.range.lowerBound
        return x[0][offset(source, shapes[0])]
      }
    case .concatenate(let op):
      return indices(out).map { index in
        var source = index
        var part = 0
        while source[op.axis] >= shapes[part][op.axis] {
          source[op.axis] -= shapes[part][op.axis]
          part += 1
        }
        return x[part][offset(source, shapes[part])]
      }
    }
  }

  // MARK: Products

  private func linear(_ op: Linear, _ x: [[Double]], _ shapes: [Shape]) -> [Double] {
    let weight = op.weights.flatMap(doubles)
    let bias = zip(op.weights, op.biases).flatMap { weight, bias in
      bias.map(doubles) ?? [Double](repeating: 0, count: weight.rows)
    }
    return (0..<shapes[0].rows * op.columns).map { i in
      let (row, column) = (i / op.columns, i % op.columns)
      var sum = bias[column]
      for d in 0..<op.depth { sum += x[0][row * op.depth + d] * weight[column * op.depth + d] }
      return finish(op.epilogue, sum, op.epilogue.hasResidual ? x[1][i] : 0)
    }
  }

  private func finish(_ epilogue: Epilogue, _ sum: Double, _ residual: Double) -> Double {
    let t = epilogue.residualFirst ? sum + residual : sum
    let y = epilogue.activation.map { apply($0, t) } ?? t
    return epilogue.residualFirst ? y : y + residual
  }

  private func convolution(
    _ op: Conv2D, _ x: [[Double]], _ input: Shape, _ out: Shape
  ) -> [Double] {
    let weight = doubles(op.weight)
    let bias = op.bias.map(doubles)
    let groupIn = op.weight.shape[1]
    let groupOut = out[3] / op.groups
    return indices(out).enumerated().map { position, i in
      var sum = bias?[i[3]] ?? 0
      for ky in 0..<op.kernelHeight {
        for kx in 0..<op.kernelWidth {
          let y = i[1] * op.stride + ky * op.dilation - op.padding.top
          let z = i[2] * op.columnStride + kx * op.dilation - op.padding.left
          guard y >= 0, z >= 0, y < input[1] * op.upsample, z < input[2] * op.upsample else {
            continue
          }
          for c in 0..<groupIn {
            let source = [i[0], y / op.upsample, z / op.upsample, i[3] / groupOut * groupIn + c]
            let w = ((i[3] * groupIn + c) * op.kernelHeight + ky) * op.kernelWidth + kx
            sum += x[0][offset(source, input)] * weight[w]
          }
        }
      }
      return finish(op.epilogue, sum, op.epilogue.hasResidual ? x[1][position] : 0)
    }
  }

  private func attention(_ op: Attention, _ x: [[Double]], _ shapes: [Shape]) -> [Double] {
    let (batch, queries, keys) = (shapes[0][0], shapes[0][1], shapes[1][1])
    var y: [Double] = []
    func at(_ which: Int, _ b: Int, _ token: Int, _ column: Int) -> Double {
      x[which][(b * shapes[which][1] + token) * shapes[which][2] + column]
    }
    for b in 0..<batch {
      for q in 0..<queries {
        for head in 0..<op.heads {
          let first = head * op.headDimension
          var scores: [Double] = []
          for k in 0..<keys {
            var sum = 0.0
            for d in 0..<op.headDimension {
              sum += at(0, b, q, op.queryOffset + first + d) * at(1, b, k, op.keyOffset + first + d)
            }
            var bias: Double = op.hasKeyBias ? x[3][b * keys + k] : 0
            if op.hasRelativeBias {
              let distance = k - q + queries - 1
              bias += x[x.count - 1][head * (queries + keys - 1) + distance]
            }
            scores.append(sum * Double(op.scale) + bias)
          }
          if op.causal { for k in 0..<keys where k > q { scores[k] = -.infinity } }
          let top = scores.max() ?? 0
          let e: [Double] = scores.map { top == -.infinity ? 0.0 : exponential($0 - top) }
          let sum: Double = e.reduce(0, +)
          for d in 0..<op.headDimension {
            var total = 0.0
            for k in 0..<keys { total += e[k] * at(2, b, k, op.valueOffset + first + d) }
            y.append(sum == 0 ? 0.0 : total / sum)
          }
        }
      }
    }
    return y
  }

  // MARK: The rest

  private func positions(_ op: PositionEmbedding, _ ids: [Double], _ shape: Shape) -> [Double] {
    let (table, width) = (doubles(op.table), op.table.columns)
    return ids.indices.flatMap { index -> [Double] in
      let start = index / shape[1] * shape[1]
      let before = ids[start...index].filter { $0 != Double(op.paddingID) }.count
      let row = ids[index] == Double(op.paddingID) ? op.paddingID : op.paddingID + before
      return Array(table[row * width..<(row + 1) * width])
    }
  }

  private func pickedRows(_ op: PickRow, _ x: [[Double]], _ shape: Shape) -> [Double] {
    let (tokens, width) = (shape[1], shape[2])
    return (0..<shape[0]).flatMap { text -> [Double] in
      let ids = Array(x[1][text * tokens..<(text + 1) * tokens])
      let wanted: Double
      switch op.rule {
      case .first(let id): wanted = Double(id)
      case .largest: wanted = ids.max() ?? 0
      }
      let first = (text * tokens + (ids.firstIndex(of: wanted) ?? 0)) * width
      return Array(x[0][first..<first + width])
    }
  }

  /// Where b has the number that meets place `index` of a: axes of extent 1 have only one place.
  private func place(_ index: Int, in a: Shape, of b: Shape) -> Int {
    var rest = index
    var place = 0
    var stride = 1
    for (extent, own) in zip(a.extents.reversed(), b.extents.reversed()) {
      if own != 1 { place += rest % extent * stride }
      stride *= own
      rest /= extent
    }
    return place
  }

  private func gatedGELU(_ x: [Double], _ out: Shape) -> [Double] {
    let n = out.columns
    return (0..<out.count).map { i -> Double in
      let first = i / n * 2 * n + i % n
      return x[first] * apply(.gelu, x[first + n])
    }
  }

  private func timesteps(_ op: TimestepEmbedding, _ x: [Double]) -> [Double] {
    let half = op.width / 2
    return x.flatMap { step -> [Double] in
      let angles = (0..<half).map {
        step
          * exponential(-logarithm(10000) * Double($0) / (Double(half) - Double(op.frequencyShift)))
      }
      let (cosines, sines) = (angles.map(cosine), angles.map(sine))
      return op.cosineFirst ? cosines + sines : sines + cosines
    }
  }

  private func modulate(_ op: Modulate, _ x: [[Double]], _ shapes: [Shape]) -> [Double] {
    let width = shapes[0].columns
    return x[0].indices.map { i in
      let b = i / width / shapes[0][1]
      let scale = x[1][row(b, shapes[1]) + op.scaleOffset + i % width]
      let shift = x[2][row(b, shapes[2]) + op.shiftOffset + i % width]
      return x[0][i] * (1 + scale) + shift
    }
  }

  private func gateAdd(_ op: GateAdd, _ x: [[Double]], _ shapes: [Shape]) -> [Double] {
    let width = shapes[0].columns
    return x[0].indices.map { i in
      let b = i / width / shapes[0][1]
      return x[2][i] + x[0][i] * x[1][row(b, shapes[1]) + op.gateOffset + i % width]
    }
  }

  private func row(_ batch: Int, _ shape: Shape) -> Int {
    shape.rows == 1 ? 0 : batch * shape.columns
  }

  private func layerNorm(_ op: LayerNorm, _ x: [Double], _ columns: Int) -> [Double] {
    let gain = op.gain.map(doubles)
    let bias = op.bias.map(doubles)
    return rows(x, columns) { row in
      let normal = normalized(row, Double(op.epsilon))
      return normal.enumerated().map { $1 * (gain?[$0] ?? 1) + (bias?[$0] ?? 0) }
    }
  }

  private func normalized(_ row: [Double], _ epsilon: Double) -> [Double] {
    let mean = row.reduce(0, +) / Double(row.count)
    let variance = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(row.count)
    return row.map { ($0 - mean) / (variance + epsilon).squareRoot() }
  }

  private func groupNorm(_ op: GroupNorm, _ x: [Double], _ shape: Shape) -> [Double] {
    let (gain, bias) = (doubles(op.gain), doubles(op.bias))
    var y = x
    let width = shape[3] / op.groups
    for b in 0..<shape[0] {
      for group in 0..<op.groups {
        let places = (0..<shape[1] * shape[2]).flatMap { pixel in
          (0..<width).map { (b * shape[1] * shape[2] + pixel) * shape[3] + group * width + $0 }
        }
        let normal = normalized(places.map { x[$0] }, Double(op.epsilon))
        for (place, value) in zip(places, normal) {
          let t = value * gain[place % shape[3]] + bias[place % shape[3]]
          y[place] = op.activation.map { apply($0, t) } ?? t
        }
      }
    }
    return y
  }

  private func meanRows(_ op: MeanRows, _ x: [[Double]], _ shape: Shape) -> [Double] {
    (0..<shape[0] * shape[2]).map { i in
      let (b, c) = (i / shape[2], i % shape[2])
      var (sum, total) = (0.0, 0.0)
      for t in 0..<shape[1] {
        let weight = op.hasWeights ? x[1][b * shape[1] + t] : 1
        sum += weight * x[0][(b * shape[1] + t) * shape[2] + c]
        total += weight
      }
      return sum / max(total, 1e-9)
    }
  }

  private func maxPool(_ op: Pool, _ x: [Double], _ input: Shape, _ out: Shape) -> [Double] {
    indices(out).map { i in
      var top = -Double.infinity
      for wy in 0..<op.window {
        for wx in 0..<op.window {
          let (y, z) = (i[1] * op.stride + wy - op.padding, i[2] * op.stride + wx - op.padding)
          guard y >= 0, z >= 0, y < input[1], z < input[2] else { continue }
          top = max(top, x[offset([i[0], y, z, i[3]], input)])
        }
      }
      return top
    }
  }

  private func doubles(_ weight: Weight) -> [Double] { weight.floats().map(Double.init) }

  private func rows(
    _ x: [Double], _ columns: Int, _ body: ([Double]) -> [Double]
  ) -> [Double] {
    stride(from: 0, to: x.count, by: columns).flatMap { body(Array(x[$0..<$0 + columns])) }
  }

  /// All positions of a shape, in the order in which its elements lie.
  private func indices(_ shape: Shape) -> [[Int]] {
    (0..<shape.count).map { flat in
      var rest = flat
      var index = [Int](repeating: 0, count: shape.rank)
      for axis in shape.extents.indices.reversed() {
        index[axis] = rest % shape[axis]
        rest /= shape[axis]
      }
      return index
    }
  }

  private func offset(_ index: [Int], _ shape: Shape) -> Int {
    zip(index, shape.extents).reduce(0) { $0 * $1.1 + $1.0 }
  }
}
