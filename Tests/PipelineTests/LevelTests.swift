import PipitFormats
import PipitKernels
import PipitPipelines
import Testing

private let bundle: String = {
  var path = #filePath[...]
  for _ in 0..<3 { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
  return String(path) + "/Models/Default"
}()

/// What the default model says and draws on a level of kernels.
private struct Everything {
  let embedding: [[Float]]
  let moods: [Mood]
  let picture: Picture
  let pictureMood: Mood

  init(_ kernels: KernelTable) throws {
    let machine = try Machine(threadCount: 2, kernels: kernels)
    let folder = try ModelFolder(path: bundle)
    let encoder = try TextEncoder(try folder.component("text_encoder"), machine: machine)
    let texts = ["a smiling cat", "the food was cold and the waiter rude", "一辆蓝色的汽车", ""]
    embedding = try encoder.embeddings(of: texts)
    let head = try folder.component("text_sentiment")
    moods = try TextSentiment(encoder: encoder, head: head, machine: machine).moods(of: texts)
    var request = TextToImageRequest()
    request.prompt = "a smiling cat"
    request.moodPrompt = "a happy smiling cat"
    request.steps = 3
    let pipeline = TextToImage(folder, machine: machine)
    let captions = try pipeline.captions(request, encoder: encoder)
    picture = try pipeline.draw(request, captions: captions)[0]
    let eye = try ImageSentiment(try folder.component("image_sentiment"), machine: machine)
    pictureMood = try eye.mood(of: picture)
  }
}

/// Levels differ in speed, not in a single bit: the contract of the kernels, over whole graphs.
@Suite struct LevelTests {
  @Test func theDefaultModelGivesTheSameOnEveryLevel() throws {
    let best = try Everything(.best)
    for kernels in KernelTable.available where kernels.name != KernelTable.best.name {
      let other = try Everything(kernels)
      #expect(other.embedding == best.embedding, "\(kernels.name)")
      #expect(other.moods == best.moods, "\(kernels.name)")
      #expect(other.picture.pixels == best.picture.pixels, "\(kernels.name)")
      #expect(other.pictureMood == best.pictureMood, "\(kernels.name)")
    }
  }
}
