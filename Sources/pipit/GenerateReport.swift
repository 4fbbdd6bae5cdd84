import PipitEngine
import PipitFormats

/// What `generate` tells when it is done.
struct GenerateReport: Encodable {
  struct MoodReport: Encodable {
    let label: String
    let score: Float
    let confidence: Float

    init(_ mood: Sentiment) {
      label = mood.label
      score = mood.score
      confidence = mood.confidence
    }

    var text: String {
      "\(label) \(Console.signed(score)) (\(decimal(Double(confidence) * 100, 0)) % sure)"
    }
  }

  let files: [String]
  let width: Int
  let height: Int
  let prompt: String
  let negativePrompt: String
  let seed: UInt64
  let count: Int
  let steps: Int
  let guidance: Float
  let mood: String
  let model: String
  let version: String
  let isa: String
  let threads: Int
  let seconds: Double
  let stages: [StageTime]
  let textSentiment: MoodReport?
  let imageSentiments: [MoodReport]

  init(
    files: [String], pictures: [GeneratedPicture], request: GenerationRequest,
    textMood: Sentiment?, moods: [Sentiment], pipit: Pipit, seconds: Double
  ) {
    self.files = files
    width = pictures[0].width
    height = pictures[0].height
    prompt = request.prompt
    negativePrompt = request.negativePrompt
    seed = request.seed
    steps = request.steps ?? 0
    guidance = request.guidance ?? 0
    mood = request.mood?.rawValue ?? "neutral"
    model = pipit.modelPath
    version = pipitVersion
    isa = pipit.isa
    threads = pipit.threadCount
    self.seconds = seconds
    stages = pipit.stageTimes
    textSentiment = textMood.map { MoodReport($0) }
    count = pictures.count
    imageSentiments = moods.map { MoodReport($0) }
  }

  func print() {
    let size =
      "\(width)x\(height)" + (count > 1 ? " x \(count)" : "")
    Swift.print(
      "\(files.joined(separator: ", ")): \(size), seed \(seed), \(steps) \(steps == 1 ? "step" : "steps"), "
        + "guidance \(guidance), "
        + "\(decimal(seconds, 2)) s on \(threads) \(threads == 1 ? "thread" : "threads") (\(isa))")
    let times = stages.map { "\($0.name) \(decimal($0.seconds, 2)) s" }
    Swift.print("stages:   \(times.joined(separator: ", "))")
    if let textSentiment { Swift.print("sentence: \(textSentiment.text)") }
    for mood in imageSentiments { Swift.print("picture:  \(mood.text)") }
  }
}
