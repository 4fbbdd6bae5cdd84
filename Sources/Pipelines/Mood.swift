import PipitFormats

/// The mood of a text or a picture.
package struct Mood: Hashable, Sendable {
  /// The classifier's name of the likeliest class, e.g. "negative", "neutral" or "positive".
  package let label: String
  /// -1 (negative) to 1 (positive): what is expected on the scale of the labels.
  package let score: Float
  /// The probability of the label.
  package let confidence: Float

  /// From a classifier's logits, one for each label of the scale.
  init(logits: some Collection<Float>, scale: MoodScale) {
    precondition(logits.count == scale.labels.count)
    let probabilities = scale.isMultiLabel ? logits.map(Mood.sigmoid) : Mood.softmax(logits)
    let best = probabilities.indices.max { probabilities[$0] < probabilities[$1] } ?? 0
    label = scale.labels[best]
    confidence = Float(probabilities[best])
    let expected = zip(probabilities, scale.valences).reduce(0) { $0 + $1.0 * $1.1 }
    // Probabilities of classes that do not exclude each other may add up to more than 1.
    score = Float(expected / max(1, probabilities.reduce(0, +)))
  }

  private static func sigmoid(_ logit: Float) -> Double { 1 / (1 + (-Double(logit)).exponential) }

  private static func softmax(_ logits: some Collection<Float>) -> [Double] {
    let highest = logits.max() ?? 0
    let exponentials = logits.map { Double($0 - highest).exponential }
    let sum = exponentials.reduce(0, +)
    return exponentials.map { $0 / sum }
  }
}

/// Where a classifier's labels lie between negative, -1, and positive, 1.
package struct MoodScale: Hashable, Sendable {
  /// Names to show: the classifier's own, or moods where it only numbers its classes.
  package let labels: [String]
  /// One for each label, -1 ... 1.
  package let valences: [Double]
  /// Whether each label is true or false by itself, so that they do not compete.
  let isMultiLabel: Bool

  /// Names of emotions that classifiers have (Ekman's, GoEmotions', TweetEval's), lower case. What is not
  /// here, such as surprise, is neither.
  private static let positive: Set<String> = [
    "positive", "pos", "very positive", "good", "admiration", "amusement", "approval", "caring",
    "excitement", "gratitude", "happiness", "happy", "joy", "love", "optimism", "pride", "relief",
  ]
  private static let negative: Set<String> = [
    "negative", "neg", "very negative", "bad", "anger", "angry", "annoyance", "disappointment",
    "disapproval", "disgust", "embarrassment", "fear", "grief", "hate", "nervousness",
    "pessimism", "remorse", "sad", "sadness",
  ]

  /// The scale of a classifier's labels.
  ///
  /// - Parameter file: Where the labels come from, for the error.
  /// - Throws: `FormatError` if there is none that is positive or none that is negative.
  package init(labels: [String], isMultiLabel: Bool = false, file: String) throws {
    self.isMultiLabel = isMultiLabel
    let names = labels.map { name in
      String(name.lowercased().map { $0 == "_" || $0 == "-" ? " " : $0 })
    }
    if MoodScale.areNumbered(names), let moods = MoodScale.moods(count: labels.count) {
      self.labels = moods
      valences = MoodScale.even(labels.count)
      return
    }
    self.labels = labels
    if let stars = MoodScale.stars(names) {
      let even = MoodScale.even(labels.count)
      valences = stars.map { even[$0 - 1] }
      return
    }
    let hasDegrees = names.contains { $0.hasPrefix("very ") }
    valences = names.map { name in
      let sign: Double =
        MoodScale.positive.contains(name) ? 1 : MoodScale.negative.contains(name) ? -1 : 0
      return hasDegrees && !name.hasPrefix("very ") ? sign / 2 : sign
    }
    guard valences.contains(where: { $0 > 0 }), valences.contains(where: { $0 < 0 }) else {
      throw FormatError(
        path: file, part: "'id2label'",
        expected: "labels of mood (negative and positive, 1 to 5 stars, emotions)",
        found: labels.prefix(4).map { "'\($0.prefix(40))'" }.joined(separator: ", "))
    }
  }

  /// `label 0`, `label 1` and so on.
  private static func areNumbered(_ names: [String]) -> Bool {
    names.indices.allSatisfy { names[$0] == "label \($0)" }
  }

  /// What numbered classes mean in the sentiment classifiers that have them: from negative to positive.
  private static func moods(count: Int) -> [String]? {
    switch count {
    case 2: ["negative", "positive"]
    case 3: ["negative", "neutral", "positive"]
    case 5: ["very negative", "negative", "neutral", "positive", "very positive"]
    default: nil
    }
  }

  /// The numbers of `1 star`, `2 stars` and so on, each once, in whatever order; `nil` for other names.
  private static func stars(_ names: [String]) -> [Int]? {
    let numbers = names.compactMap { name -> Int? in
      let words = name.split(separator: " ")
      guard words.count == 2, words[1] == "star" || words[1] == "stars" else { return nil }
      return Int(words[0])
    }
    guard numbers.count > 1, numbers.sorted() == Array(1...names.count) else { return nil }
    return numbers
  }

  /// So many numbers from -1 to 1 at equal distances.
  private static func even(_ count: Int) -> [Double] {
    (0..<count).map { 2 * Double($0) / Double(count - 1) - 1 }
  }
}
