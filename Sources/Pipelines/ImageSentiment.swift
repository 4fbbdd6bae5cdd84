package import PipitFormats

/// Reads the mood of pictures with an image classifier.
package final class ImageSentiment {
  private let classification: ImageClassification
  private let scale: MoodScale

  package init(_ folder: ModelFolder, machine: Machine) throws {
    classification = try ImageClassification(folder, machine: machine)
    scale = try MoodScale(labels: classification.labels, file: folder.configuration.file)
  }

  package func mood(of picture: Picture) throws -> Mood {
    Mood(logits: try classification.logits(of: picture), scale: scale)
  }
}
