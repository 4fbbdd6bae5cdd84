/// What the reference library thinks of a scalar.
///
/// Its parts follow different versions of Unicode, so these rules come from tables made by asking
/// it (see `make_unicode_tables.py` in the tests), not from the standard library, whose answers
/// would also change with the toolchain.
enum UnicodeRules {
  private static let letters = CodePointClasses(set: UnicodeSetData.letters)
  private static let numbers = CodePointClasses(set: UnicodeSetData.numbers)
  private static let numerics = CodePointClasses(set: UnicodeSetData.numerics)
  private static let words = CodePointClasses(set: UnicodeSetData.words)
  private static let punctuation = CodePointClasses(set: UnicodeSetData.punctuation)
  private static let controls = CodePointClasses(set: UnicodeSetData.controls)
  private static let nonspacingMarks = CodePointClasses(set: UnicodeSetData.nonspacingMarks)
  private static let combiningMarks = CodePointClasses(set: UnicodeSetData.combiningMarks)
  private static let lowercaseMap = CodePointMap(UnicodeSetData.lowercase)

  /// `\p{L}`.
  static func isLetter(_ scalar: UInt32) -> Bool {
    if scalar < 0x80 { return isASCIILetter(scalar) }
    // The two largest blocks of letters, spared the search.
    if scalar >= 0x4E00 && scalar <= 0x9FFF || scalar >= 0xAC00 && scalar <= 0xD7A3 { return true }
    return letters.contains(scalar)
  }

  /// `\p{N}`.
  static func isNumber(_ scalar: UInt32) -> Bool {
    scalar < 0x80 ? isASCIIDigit(scalar) : numbers.contains(scalar)
  }

  /// What `Digits` splits at.
  static func isNumeric(_ scalar: UInt32) -> Bool {
    scalar < 0x80 ? isASCIIDigit(scalar) : numerics.contains(scalar)
  }

  /// `\w`.
  static func isWord(_ scalar: UInt32) -> Bool {
    words.contains(scalar)
  }

  /// White space, the same 25 code points in every version of Unicode that matters.
  static func isWhitespace(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F,
      0x3000:
      true
    default: false
    }
  }

  /// Punctuation in BERT's sense: all of ASCII that is no letter, digit, space or control, and
  /// Unicode's.
  static func isPunctuation(_ scalar: UInt32) -> Bool {
    punctuation.contains(scalar)
  }

  /// What BERT's text cleaning removes.
  static func isControl(_ scalar: UInt32) -> Bool {
    controls.contains(scalar)
  }

  /// What BERT's accent stripping removes.
  static func isNonspacingMark(_ scalar: UInt32) -> Bool {
    scalar >= 0x300 && nonspacingMarks.contains(scalar)
  }

  /// What `StripAccents` removes.
  static func isCombiningMark(_ scalar: UInt32) -> Bool {
    scalar >= 0x300 && combiningMarks.contains(scalar)
  }

  /// Ideographs that BERT makes words of their own; the list is the reference's, gaps included.
  static func isIdeograph(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F,
      0x2B740...0x2B81F, 0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      true
    default: false
    }
  }

  /// Appends the lower case of a scalar, which may be several scalars.
  static func appendLowercase(of scalar: UInt32, to result: inout [UInt32]) {
    if scalar < 0x80 {
      result.append(scalar >= 0x41 && scalar <= 0x5A ? scalar + 0x20 : scalar)
    } else if !lowercaseMap.append(scalar, to: &result) {
      result.append(scalar)
    }
  }

  private static func isASCIILetter(_ scalar: UInt32) -> Bool {
    let folded = scalar | 0x20
    return folded >= 0x61 && folded <= 0x7A
  }

  private static func isASCIIDigit(_ scalar: UInt32) -> Bool {
    scalar >= 0x30 && scalar <= 0x39
  }
}
