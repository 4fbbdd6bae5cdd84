import PipitFormats
package import PipitGraph

/// The memory plan drawn as SVG: steps from left to right, bytes from bottom to top, a box a buffer.
package struct PlanPicture {
  private let width = 1200.0
  private let height = 480.0
  private let margin = 56.0
  private let lifetimes: Lifetimes
  private let plan: ArenaPlan
  private let graph: Graph

  package init(_ graph: Graph) {
    self.graph = graph
    lifetimes = Lifetimes(graph)
    plan = ArenaPlan(lifetimes.buffers)
  }

  package var svg: String {
    let steps = Double(graph.nodes.count + 2)
    let bytes = Double(max(plan.byteCount, 1))
    func x(_ step: Int) -> Double { margin + Double(step + 1) / steps * (width - 2 * margin) }
    func y(_ offset: Int) -> Double {
      height - margin - Double(offset) / bytes * (height - 2 * margin)
    }
    var names = [String](repeating: "", count: lifetimes.buffers.count)
    for (value, buffer) in lifetimes.bufferOfValue.enumerated() {
      guard let buffer else { continue }
      let info = graph.values[value]
      names[buffer] += (names[buffer].isEmpty ? "" : ", ") + "\(info.name) \(info.shape)"
    }
    var parts = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Int(width)) \(Int(height))\" "
        + "font-family=\"sans-serif\" font-size=\"13\">",
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
      "<text x=\"\(margin)\" y=\"24\">arena \(decimal(bytes / 1e6, 3)) MB, lower bound "
        + "\(decimal(Double(plan.lowerBound) / 1e6, 3)) MB, ratio \(decimal(plan.ratio, 4)), "
        + "\(lifetimes.buffers.count) buffers</text>",
    ]
    for (index, buffer) in lifetimes.buffers.enumerated() {
      let (left, right) = (x(buffer.first), x(min(buffer.last, graph.nodes.count) + 1))
      let top = y(plan.offsets[index] + buffer.byteCount)
      let tall = max(y(plan.offsets[index]) - top, 0.3)
      // Neighbouring numbers get far hues, so that boxes that touch can be told apart.
      let hue = index * 137 % 360
      parts.append(
        "<rect x=\"\(decimal(left, 1))\" y=\"\(decimal(top, 1))\" "
          + "width=\"\(decimal(right - left, 1))\" height=\"\(decimal(tall, 1))\" "
          + "fill=\"hsl(\(hue),55%,72%)\" stroke=\"#333\" stroke-width=\"0.4\">"
          + "<title>\(escaped(names[index])): \(buffer.byteCount) bytes at \(plan.offsets[index]), "
          + "steps \(buffer.first) to \(buffer.last)</title></rect>")
    }
    let bottom = height - margin
    parts += [
      "<line x1=\"\(margin)\" y1=\"\(bottom)\" x2=\"\(width - margin)\" y2=\"\(bottom)\" stroke=\"#000\"/>",
      "<line x1=\"\(margin)\" y1=\"\(margin)\" x2=\"\(margin)\" y2=\"\(bottom)\" stroke=\"#000\"/>",
      "<text x=\"\(width / 2)\" y=\"\(height - 20)\" text-anchor=\"middle\">step (0 to "
        + "\(graph.nodes.count - 1))</text>",
      "<text x=\"16\" y=\"\(height / 2)\" text-anchor=\"middle\" "
        + "transform=\"rotate(-90 16 \(height / 2))\">offset (bytes)</text>", "</svg>",
    ]
    return parts.joined(separator: "\n")
  }
}
