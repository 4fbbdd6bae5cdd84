/// The four normal forms of Unicode, over scalars, in the version the reference library has.
///
/// The standard library normalizes only privately, knows no compatibility forms, and follows the
/// toolchain's version of Unicode; so the decompositions are tables of our own.
enum UnicodeNormalization: String, Sendable {
  case nfc = "NFC"
  case nfd = "NFD"
  case nfkc = "NFKC"
  case nfkd = "NFKD"

  private static let canonical = CodePointMap(UnicodeNormalizationData.canonical)
  private static let compatible = CodePointMap(UnicodeNormalizationData.compatible)
  private static let combiningClasses = CodePointClasses(
    classes: UnicodeNormalizationData.combiningClasses)
  private static let compositions = makeCompositions()

  /// The text in this form.
  func apply(to scalars: [UInt32]) -> [UInt32] {
    // Below U+00C0 (compatibility forms: U+00A0) nothing changes.
    let limit: UInt32 = self == .nfc || self == .nfd ? 0xC0 : 0xA0
    guard scalars.contains(where: { $0 >= limit }) else { return scalars }
    var decomposed: [UInt32] = []
    decomposed.reserveCapacity(scalars.count + scalars.count / 4)
    for scalar in scalars {
      if scalar < limit {
        decomposed.append(scalar)
      } else {
        decompose(scalar, into: &decomposed)
      }
    }
    Self.sortMarks(&decomposed)
    if self == .nfc || self == .nfkc { Self.compose(&decomposed) }
    return decomposed
  }

  private func decompose(_ scalar: UInt32, into result: inout [UInt32]) {
    if scalar >= 0xAC00, scalar <= 0xD7A3 {
      let index = scalar - 0xAC00
      result.append(0x1100 + index / 588)
      result.append(0x1161 + index % 588 / 28)
      if index % 28 != 0 { result.append(0x11A7 + index % 28) }
      return
    }
    if self == .nfkc || self == .nfkd, Self.compatible.append(scalar, to: &result) { return }
    if !Self.canonical.append(scalar, to: &result) { result.append(scalar) }
  }

  private static func combiningClass(_ scalar: UInt32) -> UInt8 {
    scalar < 0x300 ? 0 : combiningClasses.classOf(scalar)
  }

  /// Puts runs of combining marks in canonical order, stable within a class.
  private static func sortMarks(_ scalars: inout [UInt32]) {
    var index = 0
    while index < scalars.count {
      guard combiningClass(scalars[index]) != 0 else {
        index += 1
        continue
      }
      var marks: [(class: UInt8, scalar: UInt32)] = []
      let start = index
      while index < scalars.count {
        let markClass = combiningClass(scalars[index])
        if markClass == 0 { break }
        marks.append((markClass, scalars[index]))
        index += 1
      }
      if marks.count > 1 {
        // The library's sort is stable; so is the standard library's, but undocumented: the index
        // makes sure.
        let order = marks.indices.sorted {
          marks[$0].class == marks[$1].class ? $0 < $1 : marks[$0].class < marks[$1].class
        }
        for (offset, mark) in order.enumerated() { scalars[start + offset] = marks[mark].scalar }
      }
    }
  }

  /// Composes each mark with the last starter unless a mark of its class or above stands between.
  private static func compose(_ scalars: inout [UInt32]) {
    var output: [UInt32] = []
    output.reserveCapacity(scalars.count)
    var starter: Int?
    var lastClass: UInt8 = 0
    for scalar in scalars {
      let scalarClass = combiningClass(scalar)
      if let position = starter {
        let isAdjacent = position == output.count - 1
        let isFree = isAdjacent || (lastClass != 0 && lastClass < scalarClass)
        if isFree, let composed = composition(output[position], scalar) {
          output[position] = composed
          continue
        }
      }
      if scalarClass == 0 { starter = output.count }
      lastClass = scalarClass
      output.append(scalar)
    }
    scalars = output
  }

  private static func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if first >= 0x1100, first < 0x1113, second >= 0x1161, second < 0x1176 {
      return 0xAC00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28
    }
    if first >= 0xAC00, first <= 0xD7A3, (first - 0xAC00) % 28 == 0, second > 0x11A7,
      second < 0x11C3
    {
      return first + (second - 0x11A7)
    }
    return compositions[UInt64(first) << 32 | UInt64(second)]
  }

  /// The pairs that compose.
  ///
  /// The tables hold full decompositions; the pair of a composite is what all but its last scalar
  /// compose to, and its last. Shorter ones are therefore made first.
  private static func makeCompositions() -> [UInt64: UInt32] {
    let excluded = CodePointClasses(set: UnicodeNormalizationData.excluded)
    var byLength: [Int: [(UInt32, [UInt32])]] = [:]
    canonical.forEach { scalar, parts in
      if parts.count > 1, !excluded.contains(scalar) {
        byLength[parts.count, default: []].append((scalar, Array(parts)))
      }
    }
    var pairs: [UInt64: UInt32] = [:]
    for length in byLength.keys.sorted() {
      for (scalar, parts) in byLength[length] ?? [] {
        var first: UInt32? = parts[0]
        for part in parts[1..<(length - 1)] {
          first = first.flatMap { pairs[UInt64($0) << 32 | UInt64(part)] }
        }
        if let first { pairs[UInt64(first) << 32 | UInt64(parts[length - 1])] = scalar }
      }
    }
    return pairs
  }
}
