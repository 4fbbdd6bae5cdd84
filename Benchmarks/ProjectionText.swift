import PipitFormats

extension Projection {
  /// The projection for people; `perLayer` lists every layer.
  package func text(perLayer: Bool) -> String {
    var lines = [
      "PROJECTION for \(board.title), \(decimal(board.cores.value, 0)) x \(board.core) at "
        + "\(decimal(board.clock_ghz.value, 1)) GHz: computed from data sheets, nothing was run there.",
      "  peak \(decimal(board.cores.value * board.f32_gflops_per_core.value, 1)) GFLOP/s, taken at "
        + "\(decimal(100 * board.compute_efficiency.value, 0)) % "
        + "(\(board.compute_efficiency.source)); memory "
        + "\(decimal(board.memory_gb_s.value, 1)) GB/s; a layer takes the longer of the two.",
    ]
    for part in parts {
      lines.append("")
      lines.append("\(part.name)\(part.runs == 1 ? "" : ", \(part.runs) runs")")
      if perLayer { lines += part.rows.map { "  " + $0.line } }
      let bound = part.rows.reduce(0) { $0 + ($1.bound == "memory" ? $1.projected_us : 0) } / 10
      lines.append(
        "  projected \(decimal(part.projected_ms, 3)) ms a run, of which "
          + "\(decimal(part.projected_ms > 0 ? bound / part.projected_ms : 0, 0)) % wait for memory; "
          + "weights \(decimal(part.weight_megabytes, 1)) MB")
    }
    lines.append("")
    lines.append(
      "\(model): projected \(decimal(projected_ms, 1)) ms on \(board.title), and "
        + "\(decimal(card_ms, 0)) ms to read the files from a card for the first time")
    return lines.joined(separator: "\n")
  }
}

extension Projection.Row {
  fileprivate var line: String {
    func right(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }
    return right(decimal(projected_us, 1), 12) + " us  " + right(bound, 7) + "  "
      + right(decimal(mega_operations, 2), 10) + " Mop  " + right(decimal(megabytes, 2), 8) + " MB  "
      + "\(algorithm)  \(op)  \(shape)  \(name)"
  }
}
