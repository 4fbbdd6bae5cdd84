import FoundationEssentials
import Glibc
import PipitFormats

/// What goes to people and scripts.
enum Console {
  /// Prints a value as one line of JSON, keys sorted.
  static func printJSON(_ value: some Encodable) throws { print(try json(value)) }

  /// A value as one line of JSON, keys sorted.
  static func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // JSON has none of these; Python and our own reader know them by their names.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  /// Writes to stderr as it is (C's `stderr` is a global variable, which Swift 6 does not let us touch).
  static func writeError(_ text: String) { try? write(Array(text.utf8), to: STDERR_FILENO) }

  /// Writes all bytes to a descriptor.
  static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw Failure(code: EX_IOERR, "cannot write output: \(String(cString: strerror(errno)))")
      }
      rest = rest.dropFirst(count)
    }
  }

  /// `+0.93` or `-0.10`.
  static func signed(_ number: Float) -> String {
    (number < 0 ? "-" : "+") + decimal(Double(abs(number)), 2)
  }

  /// A text out of a file, for a terminal: controls, which could command it, are shown as U+FFFD.
  static func visible(_ text: String) -> String {
    let scalars = text.unicodeScalars.map { (scalar: Unicode.Scalar) -> Unicode.Scalar in
      let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
      return isControl && scalar != "\n" && scalar != "\t" ? "\u{FFFD}" : scalar
    }
    return String(String.UnicodeScalarView(scalars))
  }

  /// 12.3 MB and the like.
  static func bytes(_ count: Int) -> String {
    if count < 10_000 { return "\(count) B" }
    if count < 10_000_000 { return decimal(Double(count) / 1e3, 1) + " kB" }
    return decimal(Double(count) / 1e6, 1) + " MB"
  }

  /// Seconds of a clock that only runs forward.
  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// A line that is written over and over on a terminal: what is done, and how long the rest takes.
/// Silent where stderr is no terminal, and for the first half second.
struct ProgressLine {
  private let isVisible: Bool
  private let start = Console.now()
  private var hasShown = false

  init(quiet: Bool) { isVisible = !quiet && isatty(STDERR_FILENO) == 1 }

  mutating func show(_ stage: String, done: Int, total: Int) {
    let elapsed = Console.now() - start
    guard isVisible, elapsed > 0.5 else { return }
    hasShown = true
    var line = "\r\u{1B}[K\(stage) \(done)/\(total)"
    if done > 0 {
      let left = elapsed / Double(done) * Double(total - done)
      line += ", \(decimal(left, 0)) s left"
    }
    Console.writeError(line)
  }

  func clear() {
    if hasShown { Console.writeError("\r\u{1B}[K") }
  }
}
