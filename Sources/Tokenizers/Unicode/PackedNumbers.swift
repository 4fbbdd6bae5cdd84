/// Reads the numbers of the packed Unicode tables: base 64 letters, five bits each, lowest first,
/// where 32 is added to every letter but a number's last.
///
/// The tables are source code, made by a script of the tests, so a letter outside the alphabet is a
/// mistake of ours and not of any input.
struct PackedNumbers {
  private let text: UnsafeBufferPointer<UInt8>
  private var position = 0

  init(_ data: StaticString) {
    text = UnsafeBufferPointer(start: data.utf8Start, count: data.utf8CodeUnitCount)
  }

  /// The next number, or nil at the end.
  mutating func next() -> UInt32? {
    guard position < text.count else { return nil }
    var value: UInt32 = 0
    var shift: UInt32 = 0
    while true {
      let digit = Self.digit(text[position])
      position += 1
      value |= (digit & 31) << shift
      if digit < 32 { return value }
      shift += 5
    }
  }

  private static func digit(_ letter: UInt8) -> UInt32 {
    switch letter {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "-"): 63
    default: preconditionFailure("a Unicode table holds a letter outside its alphabet")
    }
  }
}

/// Code points with a class each, as sorted ranges; class 0 is everything else.
struct CodePointClasses: Sendable {
  private var starts: [UInt32] = []
  private var ends: [UInt32] = []
  private var classes: [UInt8] = []

  /// Unpacks (gap, length - 1, class) triples.
  init(classes data: StaticString) {
    var numbers = PackedNumbers(data)
    var end: UInt32 = 0
    while let gap = numbers.next(), let more = numbers.next(), let value = numbers.next() {
      append(from: end + gap, more: more, class: UInt8(value))
      end += gap + more + 1
    }
  }

  /// Unpacks (gap, length - 1) pairs; what they hold gets class 1.
  init(set data: StaticString) {
    var numbers = PackedNumbers(data)
    var end: UInt32 = 0
    while let gap = numbers.next(), let more = numbers.next() {
      append(from: end + gap, more: more, class: 1)
      end += gap + more + 1
    }
  }

  private mutating func append(from start: UInt32, more: UInt32, class value: UInt8) {
    starts.append(start)
    ends.append(start + more)
    classes.append(value)
  }

  /// The class of a code point.
  func classOf(_ scalar: UInt32) -> UInt8 {
    var low = 0
    var high = starts.count
    while low < high {
      let middle = (low + high) / 2
      if starts[middle] <= scalar { low = middle + 1 } else { high = middle }
    }
    return low > 0 && scalar <= ends[low - 1] ? classes[low - 1] : 0
  }

  /// Whether a set holds a code point.
  func contains(_ scalar: UInt32) -> Bool {
    classOf(scalar) != 0
  }
}

/// What code points are replaced by: sorted runs, each mapping to one scalar in step, or a single
/// code point mapping to several.
struct CodePointMap: Sendable {
  private struct Run {
    let start: UInt32
    let length: UInt32
    /// Where its scalars start in `scalars`, and how many belong to each code point.
    let offset: UInt32
    let count: UInt32
  }

  private var runs: [Run] = []
  private var scalars: [UInt32] = []

  init(_ data: StaticString) {
    var numbers = PackedNumbers(data)
    var end: UInt32 = 0
    while let gap = numbers.next(), let shape = numbers.next() {
      let start = end + gap
      let isRun = shape & 1 == 1
      let count = isRun ? 1 : shape >> 1
      runs.append(
        Run(
          start: start, length: isRun ? shape >> 1 : 1, offset: UInt32(scalars.count),
          count: count))
      for _ in 0..<count { scalars.append(numbers.next() ?? 0) }
      end = start + (isRun ? shape >> 1 : 1)
    }
  }

  /// Appends what a scalar maps to, if it maps to anything.
  func append(_ scalar: UInt32, to result: inout [UInt32]) -> Bool {
    var low = 0
    var high = runs.count
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].start <= scalar { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return false }
    let run = runs[low - 1]
    guard scalar - run.start < run.length else { return false }
    for index in 0..<run.count {
      result.append(scalars[Int(run.offset + index)] + (scalar - run.start))
    }
    return true
  }

  /// Calls `body` with every code point that has several scalars or one, and those scalars.
  func forEach(_ body: (UInt32, ArraySlice<UInt32>) -> Void) {
    for run in runs where run.length == 1 {
      body(run.start, scalars[Int(run.offset)..<Int(run.offset + run.count)])
    }
  }
}
