import Glibc
import PipitFormats
import PipitGraph
import PipitKernels
import PipitModels
import PipitPipelines
import PipitRuntime
import PipitTensors

/// One line for stderr and an exit code of sysexits.
struct Failure: Error {
  let code: Int32
  let message: String

  init(code: Int32, _ message: String) {
    self.code = code
    self.message = message
  }

  /// Any error of the engine; `nil` for errors that are not the engine's.
  init?(_ error: any Error) {
    switch error {
    case let error as FileError:
      let isUnknownModel = error.action == "open model" && error.code == ENOENT
      let places =
        " (models are looked for here, in $PIPIT_MODELS, and in 'Models' beside the program and above it)"
      self.init(code: Failure.code(of: error), "\(error)" + (isUnknownModel ? places : ""))
    case let error as KernelTableError:
      self.init(code: EX_USAGE, "\(error)")
    case is ComponentRun.InputError, is ComponentInputError, is ProgramError:
      self.init(code: EX_DATAERR, "\(error)")
    case is MemoryError:
      self.init(code: EX_OSERR, "\(error); --force tries it all the same")
    case is FormatError, is ConfigurationError, is ModelError:
      self.init(code: EX_DATAERR, "\(error)")
    default:
      // Tokenizer errors and whatever else describes itself.
      guard let described = error as? any Error & CustomStringConvertible,
        !String(reflecting: type(of: error)).hasPrefix("ArgumentParser.")
      else { return nil }
      self.init(code: EX_DATAERR, described.description)
    }
  }

  private static func code(of error: FileError) -> Int32 {
    if error.action == "write" { return EX_CANTCREAT }
    switch error.code {
    case ENOENT, ENOTDIR, EISDIR: return EX_NOINPUT
    case EACCES, EPERM: return EX_NOPERM
    default: return EX_IOERR
    }
  }

  /// Prints the line and ends the program.
  func exit() -> Never {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    Console.writeError("pipit: \(Console.visible(line))\n")
    Glibc.exit(code)
  }
}
