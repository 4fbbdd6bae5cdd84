package import PipitPipelines

/// The memory that drawing a picture takes: stages, each of which is released before the next.
public struct MemoryEstimate: Hashable, Sendable {
  /// What is in memory at the same time, in bytes.
  public struct Stage: Hashable, Sendable {
    public let name: String
    /// Weights as the kernels read them.
    public let weightByteCount: Int
    /// What is computed in, and what is kept for later.
    public let workByteCount: Int
    /// The most at any time; while weights are packed one of them lies there twice.
    public let byteCount: Int
  }

  public let stages: [Stage]
  /// The most bytes at any time, the program itself included.
  public let peakByteCount: Int

  package init(_ plan: MemoryPlan) {
    stages = plan.stages.map { stage in
      let need = stage.need
      return Stage(
        name: stage.name, weightByteCount: need.packed,
        workByteCount: need.arena + need.scratch + need.made + stage.held,
        byteCount: stage.byteCount)
    }
    peakByteCount = plan.peak
  }

  /// Bytes that can be had now; `nil` if the system does not tell.
  public static var freeByteCount: Int? { FreeMemory()?.byteCount }
}

/// A request takes more memory than there is.
public struct MemoryShortage: Sendable {
  public let estimate: MemoryEstimate
  /// Bytes that can be had now.
  public let freeByteCount: Int
  /// What sets them, for people.
  public let reason: String
  /// The mildest change with which it fits; `nil` if there is none.
  public let change: Change?

  init(_ estimate: MemoryEstimate, _ free: FreeMemory, _ change: StableDiffusion.Change?) {
    self.estimate = estimate
    freeByteCount = free.byteCount
    reason = free.reason
    self.change = change.map(Change.init)
  }

  /// What to ask for instead, to need less memory.
  public struct Change: Hashable, Sendable {
    /// Pixels: those of the request, or fewer.
    public let width: Int
    public let height: Int
    /// Whether they are fewer.
    public let isSmaller: Bool
    /// Whether the small decoder is to draw.
    public let usesTinyDecoder: Bool
    /// Whether the model must be one with int8 weights.
    public let usesInt8Weights: Bool
    /// What it takes then.
    public let peakByteCount: Int

    init(_ change: StableDiffusion.Change) {
      isSmaller = change.isSmaller
      (width, height) = (change.width, change.height)
      usesTinyDecoder = change.usesTinyDecoder
      usesInt8Weights = change.usesInt8Weights
      peakByteCount = change.peak
    }
  }
}
