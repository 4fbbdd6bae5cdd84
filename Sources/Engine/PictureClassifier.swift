import PipitFormats
import PipitPipelines

/// Tells what is in a picture: an image classifier's folder (ResNet, MobileNetV2 or ViT, as transformers
/// or timm save them) and its labels.
///
///     let classifier = try PictureClassifier(model: "resnet-18")
///     print(try classifier.classify(pictureAt: "cat.png", top: 5)[0].label)
///
/// Not for several threads at once: one call uses all the threads that it was made with.
public final class PictureClassifier {
  /// One label and how likely it is.
  public struct Score: Hashable, Sendable {
    public let label: String
    /// 0 ... 1; those of all labels add up to 1.
    public let probability: Float
  }

  private let pipeline: ImageClassification

  /// Opens a model (of a bundle its classifier of moods); `threads` is one for each processor if left out.
  public init(model: String, threads: Int? = nil, ignoresMemory: Bool = false) throws {
    let folder = try ModelFolder(path: BundleLocation.find(model))
    pipeline = try ImageClassification(
      folder.layout == .pipeline ? try folder.component("image_sentiment") : folder,
      machine: try Machine(threadCount: threads, ignoresMemory: ignoresMemory))
  }

  /// Every label that the model knows.
  public var labels: [String] { pipeline.labels }

  /// The likeliest labels of a PNG file, the likeliest first.
  public func classify(pictureAt path: String, top count: Int = 1) throws -> [Score] {
    precondition(count > 0)
    return try pipeline.scores(of: try PNG.read(path: path), top: count).map {
      Score(label: $0.label, probability: $0.probability)
    }
  }
}
