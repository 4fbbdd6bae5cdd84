/// The passes that make a graph cheaper without changing what it computes, in order.
package struct Optimizer {
  /// One rewriting of a graph.
  package struct Pass: Sendable {
    package let name: String
    package let apply: @Sendable (inout Graph) -> Void
  }

  /// In order; `prefersFloats` as `optimize` is given it.
  private static func passes(_ prefersFloats: @escaping Preference) -> [Pass] {
    [
      Pass(name: "simplify views", apply: simplifyViews),
      Pass(name: "fold constants", apply: foldConstants),
      Pass(name: "fold batch norm", apply: foldBatchNorm),
      Pass(name: "merge projections", apply: mergeProjections),
      Pass(name: "merge small products", apply: mergeSmallProducts),
      Pass(name: "fuse upsampling", apply: fuseUpsampling),
      // Residual before activation: in relu(conv(x) + skip) the sum must go into the convolution
      // before the activation can.
      Pass(name: "fuse residuals", apply: fuseResiduals),
      Pass(name: "fuse activations", apply: fuseActivations),
      Pass(name: "fuse residuals behind activations", apply: fuseResiduals),
      Pass(name: "choose floats") { chooseFloats(&$0, prefersFloats) },
      Pass(name: "split taps", apply: splitTaps),
      Pass(name: "quantize inputs", apply: quantizeInputs),
      Pass(name: "quantize residuals", apply: quantizeResiduals),
      Pass(name: "fuse quantization", apply: fuseQuantization),
      Pass(name: "remove dead nodes", apply: removeDead),
    ]
  }

  /// Applies every pass; in debug builds the result of each is verified. Convolutions that ask for integers
  /// get them unless `prefersFloats` says that this one is computed faster without.
  package static func optimize(
    _ graph: Graph, prefersFloats: @escaping Preference = { _, _, _ in false }
  ) -> Graph {
    var graph = graph
    for pass in passes(prefersFloats) {
      pass.apply(&graph)
      assert(verified(graph, after: pass.name))
    }
    return graph
  }

  private static func verified(_ graph: Graph, after pass: String) -> Bool {
    do {
      try graph.verify()
      return true
    } catch {
      preconditionFailure("after pass '\(pass)': \(error)")
    }
  }
}

extension Graph {
  /// Makes every reader of `old` read `new`, graph outputs included.
  mutating func replace(_ old: ValueID, with new: ValueID) {
    for index in nodes.indices {
      nodes[index].inputs = nodes[index].inputs.map { $0 == old ? new : $0 }
    }
    for index in outputs.indices where outputs[index].value == old {
      outputs[index].value = new
    }
  }

  /// Removes nodes by index.
  mutating func removeNodes(_ dead: Set<Int>) {
    guard !dead.isEmpty else { return }
    nodes = nodes.enumerated().filter { !dead.contains($0.offset) }.map(\.element)
  }
}
