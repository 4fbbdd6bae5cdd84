import Glibc
import PipitEngine

extension GenerateCommand {
  /// Draws, showing how far it is; Ctrl-C stops before the next step.
  ///
  /// - Returns: The pictures, and where Ctrl-C came and they are to be saved all the same.
  func draw(
    _ request: GenerationRequest, _ pipit: Pipit
  ) throws -> (pictures: [GeneratedPicture], cancellation: GenerationCancelled?) {
    let line = SharedLine(ProgressLine(quiet: quiet))
    Interrupt.watch()
    defer { line.clear() }
    let show: ((GeneratedPicture) throws -> Void)? = preview.map { path in
      { try $0.writePNG(to: path, texts: [("prompt", request.prompt), ("state", "preview")]) }
    }
    let finishes = saveOnCancel
    do {
      let pictures = try pipit.generate(request, preview: show) { progress in
        if Interrupt.isRequested, progress.stage == "denoising" {
          line.cancel(progress)
          return finishes ? .finish : .cancel
        }
        line.show(progress)
        return Interrupt.isRequested && !finishes ? .cancel : .goOn
      }
      return (pictures, line.cancellation)
    } catch let cancelled as GenerationCancelled {
      throw Failure(code: Interrupt.exitCode, "\(cancelled); nothing was written")
    }
  }
}

/// The progress line, for closures that outlive a call.
private final class SharedLine {
  private var line: ProgressLine
  /// Where steps ended early.
  private(set) var cancellation: GenerationCancelled?

  init(_ line: ProgressLine) { self.line = line }

  func show(_ progress: GenerationProgress) {
    line.show(progress.stage, done: progress.done, total: progress.total)
  }

  func cancel(_ progress: GenerationProgress) {
    cancellation = GenerationCancelled(step: progress.done, count: progress.total)
  }

  func clear() { line.clear() }
}

/// Ctrl-C as a wish that is looked at between steps; a second one ends the program at once.
enum Interrupt {
  /// What a shell says of a program that Ctrl-C ended.
  static let exitCode: Int32 = 130

  /// A pipe: what is written into it by the signal's handler is seen at the other end.
  private static let ends: (read: Int32, write: Int32)? = {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return nil }
    // The handler must not wait, however often it is called.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    return (ends[0], ends[1])
  }()
  private static let message: StaticString =
    "\npipit: stopping when this step is done (Ctrl-C again: at once)\n"

  /// Begins to watch for Ctrl-C.
  static func watch() {
    // Looked at here, so that the handler does not make them.
    guard ends != nil, message.utf8CodeUnitCount > 0 else { return }
    var before = sigaction()
    sigaction(SIGINT, nil, &before)
    // SAFETY: only compared, with the number that stands for "ignored" (SIG_IGN).
    let handler = unsafeBitCast(before.__sigaction_handler.sa_handler, to: Int.self)
    // Whoever started the program in the background wants Ctrl-C to be for others.
    guard handler != 1 else { return }
    var action = sigaction()
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND)) | SA_RESTART
    // SAFETY: only `write` is called, which signal handlers may do.
    action.__sigaction_handler.sa_handler = { _ in
      guard let ends = Interrupt.ends else { return }
      var byte: UInt8 = 1
      _ = write(ends.write, &byte, 1)
      _ = write(STDERR_FILENO, Interrupt.message.utf8Start, Interrupt.message.utf8CodeUnitCount)
    }
    sigaction(SIGINT, &action, nil)
  }

  /// Whether Ctrl-C was pressed since `watch`.
  static var isRequested: Bool {
    guard let ends else { return false }
    var poller = pollfd(fd: ends.read, events: Int16(POLLIN), revents: 0)
    return poll(&poller, 1, 0) == 1
  }
}
