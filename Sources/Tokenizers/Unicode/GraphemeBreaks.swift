/// Classes of code points for grapheme clusters (Unicode Standard Annex 29).
///
/// The numbers are those of the packed table.
enum GraphemeClass: UInt8 {
  case other = 0
  case carriageReturn, lineFeed, control, extend, joiner, regionalIndicator, prepend, spacingMark
  case leadingJamo, vowelJamo, trailingJamo, pictographic, consonant, linker
  /// Extends a cluster but not a conjunct: only U+200C.
  case extendOnly
  /// Links a conjunct without extending a cluster.
  case linkerOnly
  /// Hangul syllables, which are computed and not in the table.
  case openSyllable, closedSyllable

  private static let table = CodePointClasses(classes: UnicodeSetData.graphemeClasses)

  static func of(_ scalar: UInt32) -> GraphemeClass {
    // Most text: ASCII beyond controls, and ideographs.
    if scalar >= 0x20 && scalar < 0x7F || scalar >= 0x4E00 && scalar <= 0x9FFF { return .other }
    if scalar >= 0xAC00 && scalar <= 0xD7A3 {
      return (scalar - 0xAC00) % 28 == 0 ? .openSyllable : .closedSyllable
    }
    return GraphemeClass(rawValue: table.classOf(scalar)) ?? .other
  }

  fileprivate var extendsCluster: Bool {
    self == .extend || self == .joiner || self == .linker || self == .extendOnly
  }
}

/// Finds the borders of grapheme clusters, one scalar after the other.
struct GraphemeBreaks {
  private var previous: GraphemeClass?
  /// Regional indicators directly before, odd or even.
  private var hasOddIndicators = false
  /// A pictograph, marks, and nothing else before.
  private var afterPictograph = false
  /// A consonant of a conjunct before, only marks since, and whether one of them links.
  private var afterConsonant = false
  private var sawLinker = false

  /// Whether a cluster starts at the next scalar.
  mutating func startsCluster(_ scalar: UInt32) -> Bool {
    let next = GraphemeClass.of(scalar)
    defer { advance(next) }
    guard let previous else { return true }
    return !joins(previous, next)
  }

  private func joins(_ previous: GraphemeClass, _ next: GraphemeClass) -> Bool {
    switch (previous, next) {
    case (.other, .other): false
    case (.carriageReturn, .lineFeed): true
    case (.control, _), (.carriageReturn, _), (.lineFeed, _): false
    case (_, .control), (_, .carriageReturn), (_, .lineFeed): false
    case (.leadingJamo, .leadingJamo), (.leadingJamo, .vowelJamo), (.leadingJamo, .openSyllable),
      (.leadingJamo, .closedSyllable):
      true
    case (.openSyllable, .vowelJamo), (.vowelJamo, .vowelJamo), (.openSyllable, .trailingJamo),
      (.vowelJamo, .trailingJamo):
      true
    case (.closedSyllable, .trailingJamo), (.trailingJamo, .trailingJamo): true
    case (_, .extend), (_, .joiner), (_, .linker), (_, .extendOnly), (_, .spacingMark): true
    case (.prepend, _): true
    case (_, .consonant) where afterConsonant && sawLinker: true
    case (.joiner, .pictographic): afterPictograph
    case (.regionalIndicator, .regionalIndicator): hasOddIndicators
    default: false
    }
  }

  private mutating func advance(_ next: GraphemeClass) {
    hasOddIndicators = next == .regionalIndicator && !hasOddIndicators
    if next == .pictographic {
      afterPictograph = true
    } else if !(next.extendsCluster && previous != .joiner) {
      afterPictograph = false
    }
    if next == .consonant {
      afterConsonant = true
      sawLinker = false
    } else if next == .linker || next == .linkerOnly {
      sawLinker = true
    } else if next != .extend && next != .joiner {
      afterConsonant = false
    }
    previous = next
  }
}
