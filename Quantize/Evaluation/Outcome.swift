import PipitPipelines

/// What a model made of some material, of one kind each.
struct Outcome {
  enum Results {
    /// A vector for each text.
    case embeddings([[Float]])
    /// A score for each class, for each text or picture.
    case scores([[Float]])
    /// For each text or picture.
    case moods([Mood])
    case images([Image])
    /// Anything else.
    case arrays([[Float]])
  }

  /// Which part of a pipeline it comes from; empty for a component.
  let part: String
  let results: Results
}

/// One number that says how near a quantized model's results are to the float one's.
package struct Measurement: Encodable, Sendable {
  /// Which part of a pipeline it is about; empty for a component.
  package let part: String
  /// "cosine" and the like.
  package let name: String
  package let value: Double
  /// How many texts, pictures or arrays it is about.
  package let count: Int
}

extension Outcome {
  /// What the difference of two models' outcomes on the same material comes to.
  static func compare(_ float: Outcome, _ quantized: Outcome) -> [Measurement] {
    func measurement(_ name: String, _ value: Double, _ count: Int) -> Measurement {
      Measurement(part: float.part, name: name, value: value, count: count)
    }
    func agreement(_ isSame: [Bool], _ differences: [Double]) -> [Measurement] {
      let share = Double(isSame.filter { $0 }.count) / Double(max(isSame.count, 1))
      return [
        measurement("agreement, %", 100 * share, isSame.count),
        measurement("score difference, mean", mean(differences), isSame.count),
        measurement("score difference, largest", differences.max() ?? 0, isSame.count),
      ]
    }
    func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(values.count, 1)) }
    switch (float.results, quantized.results) {
    case (.embeddings(let a), .embeddings(let b)):
      let cosines = zip(a, b).map { Measures.cosine($0, $1) }
      return [
        measurement("cosine, mean", mean(cosines), a.count),
        measurement("cosine, worst", cosines.min() ?? 1, a.count),
        measurement(
          "rank correlation of similarities",
          Measures.rankCorrelation(similarities(a), similarities(b)), a.count),
      ]
    case (.scores(let a), .scores(let b)):
      let isSame = zip(a, b).map { best($0) == best($1) }
      let differences = zip(a, b).flatMap { zip($0, $1).map { Double(abs($0 - $1)) } }
      return agreement(isSame, differences)
    case (.moods(let a), .moods(let b)):
      let isSame = zip(a, b).map { $0.label == $1.label }
      return agreement(isSame, zip(a, b).map { Double(abs($0.score - $1.score)) })
    case (.images(let a), .images(let b)):
      let ratios = zip(a, b).map { Measures.psnr($0.values, $1.values, peak: $0.peak) ?? 120 }
      let similarities = zip(a, b).map { Measures.ssim($0, $1, peak: $0.peak) }
      return [
        measurement("PSNR, mean, dB", mean(ratios), a.count),
        measurement("PSNR, worst, dB", ratios.min() ?? 120, a.count),
        measurement("SSIM, mean", mean(similarities), a.count),
      ]
    case (.arrays(let a), .arrays(let b)):
      var error = StorageError()
      for (x, y) in zip(a, b) { for (u, v) in zip(x, y) { error.add(u, v) } }
      return [
        measurement("SQNR, dB", error.sqnr_dB ?? 120, a.count),
        measurement("cosine, mean", error.cosine, a.count),
      ]
    default: preconditionFailure("outcomes of different kinds")
    }
  }

  private static func best(_ scores: [Float]) -> Int {
    scores.indices.max { scores[$0] < scores[$1] } ?? 0
  }

  /// Cosines of each pair among the first few.
  private static func similarities(_ vectors: [[Float]]) -> [Double] {
    let some = vectors.prefix(200)
    return some.indices.flatMap { first in
      (first + 1..<max(some.count, first + 1)).map { Measures.cosine(some[first], some[$0]) }
    }
  }
}

extension Image {
  /// The span of its numbers.
  var peak: Float {
    let span = (values.max() ?? 1) - (values.min() ?? 0)
    return span > 0 ? span : 1
  }
}
