import Glibc
package import PipitGraph
package import PipitKernels
package import PipitRuntime

/// What everything is computed with: the kernels of one level, and the threads.
package final class Machine {
  package let kernels: KernelTable
  package let pool: ThreadPool
  /// Whether programs are made that take more memory than there seems to be.
  package let ignoresMemory: Bool
  /// Whether products that a model asks to be of integers are; else the same weights are multiplied in f32.
  /// `PIPIT_INTEGERS=0` says no.
  package let multipliesIntegers: Bool
  /// Whether convolutions that are slower with integers on this level are computed with floats.
  package let prefersFloats: Bool
  /// Gives the observer of the programs, made from now on, of the component whose settings lie in a file;
  /// `nil` for none.
  package var observer: ((_ settingsFile: String) -> (any ProgramObserver)?)?

  /// The best level of this processor, or the one that `PIPIT_ISA` names; as many threads as asked
  /// for, or as there are processors.
  package init(
    threadCount: Int? = nil, ignoresMemory: Bool = false, multipliesIntegers: Bool? = nil,
    prefersFloats: Bool = true, kernels: KernelTable? = nil
  ) throws {
    self.kernels = try kernels ?? KernelTable.chosen()
    self.prefersFloats = prefersFloats
    pool = ThreadPool(threadCount: threadCount ?? ThreadPool.processorCount)
    self.ignoresMemory = ignoresMemory
    self.multipliesIntegers = multipliesIntegers ?? (getenv("PIPIT_INTEGERS").map { strcmp($0, "0") } != 0)
  }

  /// A graph as this machine computes it fastest or, where that takes more memory than there is now, with all
  /// the integers that its weights ask for.
  /// Large images are computed in strips unless someone wants to see them whole.
  package func optimize(_ graph: Graph, free: FreeMemory? = FreeMemory()) -> Graph {
    let optimized = choosingFloats(graph, free: free)
    return observer == nil ? Optimizer.cutIntoStrips(optimized) : optimized
  }

  private func choosingFloats(_ graph: Graph, free: FreeMemory?) -> Graph {
    guard prefersFloats, !kernels.hasDotProducts else { return Optimizer.optimize(graph) }
    let fastest = Optimizer.optimize(graph, for: kernels)
    guard !ignoresMemory, let free, need([fastest]).peak > free.byteCount else { return fastest }
    return Optimizer.optimize(graph)
  }

  /// What programs of optimized graphs take on this machine.
  package func need(_ graphs: [Graph]) -> MemoryNeed {
    MemoryNeed(graphs, kernels: kernels, threadCount: pool.threadCount)
  }

  /// Throws `MemoryError` if so many bytes are not to be had now.
  package func check(_ byteCount: Int, for subject: String) throws {
    guard !ignoresMemory, let free = FreeMemory(), byteCount > free.byteCount else { return }
    throw MemoryError(subject: subject, needed: byteCount, free: free)
  }
}

/// A computation takes more memory than there is.
package struct MemoryError: Error, Sendable, CustomStringConvertible {
  /// What is to be computed: a model's name or the file of its settings.
  package let subject: String
  package let needed: Int
  package let free: FreeMemory

  package init(subject: String, needed: Int, free: FreeMemory) {
    self.subject = subject
    self.needed = needed
    self.free = free
  }

  package var description: String {
    "'\(subject)' needs \(MemoryError.text(needed)) of memory, \(MemoryError.text(free.byteCount)) are free "
      + "(\(free.reason))"
  }

  /// Megabytes, rounded up.
  package static func text(_ byteCount: Int) -> String { "\(byteCount / 1_000_000 + 1) MB" }
}
