/// One step of making text uniform before it is split.
enum Normalizer: Sendable {
  case form(UnicodeNormalization)
  case lowercase
  /// The cleaning of the NMT models of SentencePiece.
  case machineTranslation
  case stripAccents
  case strip(left: Bool, right: Bool)
  case replace(TextPattern, by: [UInt8])
  case prepend([UInt8])
  case precompiled(PrecompiledMap)
  case bert(BertNormalizer)
  case byteLevel

  /// The normalizers that `normalizer` of a tokenizer.json asks for, in order.
  static func parse(_ node: JSONNode) throws -> [Normalizer] {
    let normalizers = try node.components(listedIn: "normalizers").map(Normalizer.init)
    try node.checkGrowth(normalizers.map(\.growth), limit: 1 << 14)
    return normalizers
  }

  /// At most how many times longer a text becomes, in bytes.
  ///
  /// Steps that double the text make an endless one of it if there are enough of them.
  private var growth: Int {
    switch self {
    case .machineTranslation, .stripAccents, .strip: 1
    case .form(let form): form == .nfc || form == .nfd ? 4 : 12
    case .lowercase, .byteLevel: 2
    case .replace(_, let content), .prepend(let content): content.count
    case .precompiled(let map): map.longestReplacement
    case .bert: 8
    }
  }

  private init(_ node: JSONNode) throws {
    let type = try node["type"].string()
    if let form = UnicodeNormalization(rawValue: type) {
      self = .form(form)
      return
    }
    switch type {
    case "Lowercase": self = .lowercase
    case "Nmt": self = .machineTranslation
    case "StripAccents": self = .stripAccents
    case "Strip":
      self = .strip(left: try node["strip_left"].bool(), right: try node["strip_right"].bool())
    case "Replace":
      self = .replace(
        try TextPattern(node["pattern"]), by: Array(try node["content"].string().utf8))
    case "Prepend": self = .prepend(Array(try node["prepend"].string().utf8))
    case "Precompiled":
      self = .precompiled(
        try PrecompiledMap(base64: node["precompiled_charsmap"].string(), file: node.file))
    case "Bert", "BertNormalizer": self = .bert(try BertNormalizer(node))
    case "ByteLevel": self = .byteLevel
    default:
      throw TokenizerError.unsupported(file: node.file, component: "normalizer", type: type)
    }
  }

  func apply(to text: inout NormalizedText) {
    switch self {
    case .form(let form): text.mapScalars(form.apply)
    case .lowercase:
      text.mapScalars { scalars in
        var result: [UInt32] = []
        result.reserveCapacity(scalars.count)
        for scalar in scalars { UnicodeRules.appendLowercase(of: scalar, to: &result) }
        return result
      }
    case .machineTranslation: Self.cleanForTranslation(&text)
    case .stripAccents: text.filter { !UnicodeRules.isCombiningMark($0) }
    case .strip(let left, let right): text.strip(left: left, right: right)
    case .replace(let pattern, let content): text.replace(pattern, by: content)
    case .prepend(let start): text.prepend(start)
    case .precompiled(let map):
      text.rewrite(map.apply(to: text.bytes), startCount: map.startCount(in: text.bytes))
    case .bert(let bert): bert.apply(to: &text)
    case .byteLevel:
      text.rewrite(ByteLevel.letters(for: text.bytes), startCount: text.startLength)
    }
  }

  private static func cleanForTranslation(_ text: inout NormalizedText) {
    text.filter { scalar in
      switch scalar {
      case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: false
      default: true
      }
    }
    text.mapScalars { scalars in
      scalars.map { scalar in
        switch scalar {
        case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF,
          0xFFFD:
          0x20
        default: scalar
        }
      }
    }
  }
}

/// Text on its way through the normalizers.
struct NormalizedText {
  /// UTF-8.
  var bytes: [UInt8]
  /// Scalars at the start that stem from the first character of the input.
  ///
  /// Once they are gone, the text no longer counts as the start of the input, which decides where
  /// Metaspace with the scheme "first" puts its mark.
  private var startCount: Int

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    startCount = 1
  }

  /// Bytes at the start that stem from the first character of the input.
  var startLength: Int {
    var index = 0
    for _ in 0..<startCount where index < bytes.count {
      index += UTF8Text.length(startingWith: bytes[index])
    }
    return index
  }

  mutating func mapScalars(_ transform: ([UInt32]) -> [UInt32]) {
    let scalars = UTF8Text.scalars(of: bytes)
    let mapped = transform(scalars)
    if startCount > 0 {
      // What the first character becomes alone, as far as no mark was sorted between.
      let start = transform(Array(scalars.prefix(startCount)))
      startCount = max(1, zip(start, mapped).prefix { $0 == $1 }.count)
    }
    write(mapped)
  }

  mutating func filter(_ keeps: (UInt32) -> Bool) {
    let scalars = UTF8Text.scalars(of: bytes)
    startCount = scalars.prefix(startCount).reduce(0) { $0 + (keeps($1) ? 1 : 0) }
    write(scalars.filter(keeps))
  }

  mutating func strip(left: Bool, right: Bool) {
    var scalars = UTF8Text.scalars(of: bytes)[...]
    while right, let last = scalars.last, UnicodeRules.isWhitespace(last) { scalars.removeLast() }
    let count = scalars.count
    if left { scalars = scalars.drop(while: UnicodeRules.isWhitespace) }
    startCount = max(0, startCount - (count - scalars.count))
    write(scalars)
  }

  mutating func replace(_ pattern: TextPattern, by content: [UInt8]) {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    let startLength = startLength
    var start = startCount
    bytes.withUnsafeBufferPointer { bytes in
      var end = 0
      for match in pattern.matches(in: bytes) {
        // Content counts as stemming from the last character it replaces.
        if match.upperBound <= startLength {
          start += Self.scalarCount(content[...]) - Self.scalarCount(bytes[match])
        } else if match.lowerBound < startLength {
          start -= Self.scalarCount(bytes[match.lowerBound..<startLength])
        }
        result.append(contentsOf: bytes[end..<match.lowerBound])
        result.append(contentsOf: content)
        end = match.upperBound
      }
      result.append(contentsOf: bytes[end...])
    }
    bytes = result
    startCount = start
  }

  mutating func prepend(_ start: [UInt8]) {
    guard !bytes.isEmpty else { return }
    bytes = start + bytes
    startCount += Self.scalarCount(start[...])
  }

  /// Replaces the bytes; `startCount` scalars of the new ones stem from the first of the old.
  mutating func rewrite(_ newBytes: [UInt8], startCount newStartCount: Int) {
    bytes = newBytes
    if startCount > 0 { startCount = newStartCount }
  }

  private mutating func write(_ scalars: some Sequence<UInt32>) {
    bytes.removeAll(keepingCapacity: true)
    for scalar in scalars { UTF8Text.append(scalar, to: &bytes) }
  }

  private static func scalarCount(_ bytes: some Sequence<UInt8>) -> Int {
    bytes.reduce(0) { $0 + ($1 & 0xC0 == 0x80 ? 0 : 1) }
  }
}

/// The normalizer of BERT: cleaning, room around ideographs, accents off, lower case.
struct BertNormalizer: Sendable {
  var cleansText = true
  var isolatesIdeographs = true
  var stripsAccents = true
  var lowercases = true

  init(lowercases: Bool, stripsAccents: Bool?, isolatesIdeographs: Bool) {
    self.lowercases = lowercases
    self.stripsAccents = stripsAccents ?? lowercases
    self.isolatesIdeographs = isolatesIdeographs
  }

  init(_ node: JSONNode) throws {
    cleansText = try node["clean_text"].bool()
    isolatesIdeographs = try node["handle_chinese_chars"].bool()
    lowercases = try node["lowercase"].bool()
    stripsAccents = try node["strip_accents"].bool(or: lowercases)
  }

  func apply(to text: inout NormalizedText) {
    if cleansText {
      text.filter { $0 != 0 && $0 != UTF8Text.replacement && !UnicodeRules.isControl($0) }
      text.mapScalars { $0.map { UnicodeRules.isWhitespace($0) ? 0x20 : $0 } }
    }
    if isolatesIdeographs {
      text.mapScalars { scalars in
        var result: [UInt32] = []
        result.reserveCapacity(scalars.count)
        for scalar in scalars {
          if UnicodeRules.isIdeograph(scalar) {
            result += [0x20, scalar, 0x20]
          } else {
            result.append(scalar)
          }
        }
        return result
      }
    }
    if stripsAccents {
      text.mapScalars(UnicodeNormalization.nfd.apply)
      text.filter { !UnicodeRules.isNonspacingMark($0) }
    }
    if lowercases { Normalizer.lowercase.apply(to: &text) }
  }
}
