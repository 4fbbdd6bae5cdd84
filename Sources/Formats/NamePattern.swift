/// A regular expression over names, of the kind that checkpoints' settings have: letters, `.`, `\.`, `\d`,
/// `\w`, classes like `[0-9a-f]`, groups, `|`, `*`, `+`, `?`, `^` and `$`.
///
/// It comes from outside, so it is matched by stepping through all its positions at once (Thompson 1968):
/// time grows with pattern times name, never faster.
struct NamePattern {
  /// What is wrong with a pattern.
  struct SyntaxError: Error, CustomStringConvertible {
    let description: String
  }

  private static let limit = 4096

  /// One step of the matching machine.
  private enum Step {
    case byte(Set<UInt8>)
    case either(Int, Int)
    case start
    case end
    case done
  }

  private var steps: [Step] = []

  init(_ text: String) throws(SyntaxError) {
    guard text.utf8.count <= NamePattern.limit else {
      throw SyntaxError(description: "longer than \(NamePattern.limit) bytes")
    }
    var parser = PatternParser(text)
    let tree = try parser.alternatives(depth: 0)
    guard parser.isAtEnd else { throw SyntaxError(description: "a ')' too many") }
    emit(tree)
    steps.append(.done)
  }

  private mutating func emit(_ tree: PatternTree) {
    switch tree {
    case .byte(let bytes): steps.append(.byte(bytes))
    case .start: steps.append(.start)
    case .end: steps.append(.end)
    case .sequence(let parts): parts.forEach { emit($0) }
    case .either(let first, let second):
      let fork = steps.count
      steps.append(.done)
      emit(first)
      let jump = steps.count
      steps.append(.done)
      steps[fork] = .either(fork + 1, steps.count)
      emit(second)
      steps[jump] = .either(steps.count, steps.count)
    case .optional(let part):
      let fork = steps.count
      steps.append(.done)
      emit(part)
      steps[fork] = .either(fork + 1, steps.count)
    case .some(let part):
      let first = steps.count
      emit(part)
      steps.append(.either(first, steps.count + 1))
    case .repeated(let part):
      let fork = steps.count
      steps.append(.done)
      emit(part)
      steps.append(.either(fork, fork))
      steps[fork] = .either(fork + 1, steps.count)
    }
  }

  /// Whether some beginning of the name matches, as `re.match` of Python.
  func matchesStart(of name: String) -> Bool {
    let bytes = Array(name.utf8)
    var current: Set<Int> = []
    add(0, to: &current, at: 0, of: bytes.count)
    for position in 0...bytes.count {
      if current.contains(steps.count - 1) { return true }
      guard position < bytes.count, !current.isEmpty else { return false }
      var next: Set<Int> = []
      for step in current {
        if case .byte(let accepted) = steps[step], accepted.contains(bytes[position]) {
          add(step + 1, to: &next, at: position + 1, of: bytes.count)
        }
      }
      current = next
    }
    return false
  }

  /// Adds a step and all that are reached from it without a byte.
  private func add(_ step: Int, to set: inout Set<Int>, at position: Int, of count: Int) {
    var waiting = [step]
    while let step = waiting.popLast() {
      guard set.insert(step).inserted else { continue }
      switch steps[step] {
      case .byte, .done: break
      case .either(let first, let second): waiting += [first, second]
      case .start: if position == 0 { waiting.append(step + 1) }
      case .end: if position == count { waiting.append(step + 1) }
      }
    }
  }
}

private indirect enum PatternTree {
  case byte(Set<UInt8>)
  case start
  case end
  case sequence([PatternTree])
  case either(PatternTree, PatternTree)
  case optional(PatternTree)
  /// Once or more.
  case some(PatternTree)
  /// Any number of times.
  case repeated(PatternTree)
}

private struct PatternParser {
  private let bytes: [UInt8]
  private var position = 0

  private static let depthLimit = 32
  private static let digits = Set(UInt8(ascii: "0")...UInt8(ascii: "9"))
  private static let words =
    digits.union(UInt8(ascii: "a")...UInt8(ascii: "z"))
    .union(UInt8(ascii: "A")...UInt8(ascii: "Z")).union([UInt8(ascii: "_")])
  private static let all = Set(UInt8.min...UInt8.max)

  init(_ text: String) { bytes = Array(text.utf8) }

  var isAtEnd: Bool { position == bytes.count }

  private func sees(_ character: Unicode.Scalar) -> Bool {
    !isAtEnd && bytes[position] == UInt8(ascii: character)
  }

  private mutating func takes(_ character: Unicode.Scalar) -> Bool {
    guard sees(character) else { return false }
    position += 1
    return true
  }

  mutating func alternatives(depth: Int) throws(NamePattern.SyntaxError) -> PatternTree {
    guard depth < PatternParser.depthLimit else { throw wrong("groups too deep") }
    var tree = try sequence(depth: depth)
    while takes("|") { tree = .either(tree, try sequence(depth: depth)) }
    return tree
  }

  private mutating func sequence(depth: Int) throws(NamePattern.SyntaxError) -> PatternTree {
    var parts: [PatternTree] = []
    while !isAtEnd, !sees("|"), !sees(")") {
      let part = try atom(depth: depth)
      if takes("*") {
        parts.append(.repeated(part))
      } else if takes("+") {
        parts.append(.some(part))
      } else if takes("?") {
        parts.append(.optional(part))
      } else {
        parts.append(part)
      }
      // Greed does not change whether something matches.
      _ = takes("?")
      if sees("*") || sees("+") || sees("{") { throw wrong("a repetition of a repetition") }
    }
    return .sequence(parts)
  }

  private mutating func atom(depth: Int) throws(NamePattern.SyntaxError) -> PatternTree {
    if takes("(") {
      if takes("?"), !takes(":") { throw wrong("a group of a kind that is not known") }
      let tree = try alternatives(depth: depth + 1)
      guard takes(")") else { throw wrong("a ')' missing") }
      return tree
    }
    if takes("[") { return .byte(try members()) }
    if takes(".") { return .byte(PatternParser.all) }
    if takes("^") { return .start }
    if takes("$") { return .end }
    if takes("\\") { return .byte(try escaped()) }
    guard !sees("*"), !sees("+"), !sees("?"), !sees("{") else { throw wrong("nothing to repeat") }
    position += 1
    return .byte([bytes[position - 1]])
  }

  private mutating func escaped() throws(NamePattern.SyntaxError) -> Set<UInt8> {
    guard !isAtEnd else { throw wrong("a '\\' at the end") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "d"): return PatternParser.digits
    case UInt8(ascii: "w"): return PatternParser.words
    case _ where PatternParser.words.contains(byte): throw wrong("an escape that is not known")
    default: return [byte]
    }
  }

  private mutating func members() throws(NamePattern.SyntaxError) -> Set<UInt8> {
    let isInverse = takes("^")
    var members: Set<UInt8> = []
    while !takes("]") {
      guard !isAtEnd else { throw wrong("a ']' missing") }
      if takes("\\") {
        members.formUnion(try escaped())
        continue
      }
      let low = bytes[position]
      position += 1
      if sees("-"), position + 1 < bytes.count, bytes[position + 1] != UInt8(ascii: "]") {
        let high = bytes[position + 1]
        guard low <= high else { throw wrong("a range that runs backwards") }
        members.formUnion(low...high)
        position += 2
      } else {
        members.insert(low)
      }
    }
    return isInverse ? PatternParser.all.subtracting(members) : members
  }

  private func wrong(_ what: String) -> NamePattern.SyntaxError {
    NamePattern.SyntaxError(description: "\(what) at byte \(position)")
  }
}
