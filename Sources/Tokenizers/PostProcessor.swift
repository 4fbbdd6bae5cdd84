/// The special ids around the ids of a text.
///
/// Type ids and pairs of texts are not made here.
struct PostProcessor: Sendable {
  /// Ids around a text that are accepted, in all and at each step of making them.
  private static let countLimit = 1024

  private(set) var prefix: [Int32] = []
  private(set) var suffix: [Int32] = []

  init() {}

  init(prefix: [Int32], suffix: [Int32]) {
    self.prefix = prefix
    self.suffix = suffix
  }

  /// What `post_processor` of a tokenizer.json asks for; each part of a sequence wraps the ones
  /// before it.
  init(_ node: JSONNode) throws {
    for component in try node.components(listedIn: "processors") {
      let part = try Self.parse(component)
      prefix = part.prefix + prefix
      suffix += part.suffix
      try checkCount(node)
    }
  }

  private func checkCount(_ node: JSONNode) throws {
    let count = prefix.count + suffix.count
    guard count <= Self.countLimit else {
      throw TokenizerError.tooLarge(
        file: node.file, what: "special ids of \(node.path)", limit: Self.countLimit, found: count)
    }
  }

  private static func parse(_ node: JSONNode) throws -> PostProcessor {
    let type = try node["type"].string()
    switch type {
    case "TemplateProcessing": return try parseTemplate(node)
    case "BertProcessing", "RobertaProcessing":
      return PostProcessor(
        prefix: [try tokenID(node["cls"])], suffix: [try tokenID(node["sep"])])
    case "ByteLevel": return PostProcessor()
    default:
      throw TokenizerError.unsupported(file: node.file, component: "post_processor", type: type)
    }
  }

  /// A `["[SEP]", 102]`.
  private static func tokenID(_ node: JSONNode) throws -> Int32 {
    let elements = try node.elements()
    guard elements.count == 2 else { throw node.invalid("a token and its id") }
    return Int32(try elements[1].count())
  }

  private static func parseTemplate(_ node: JSONNode) throws -> PostProcessor {
    var result = PostProcessor()
    var seesText = false
    for piece in try node["single"].elements() {
      if !piece["Sequence"].isNull {
        let id = try piece["Sequence"]["id"].string()
        guard id == "A", !seesText else {
          throw piece.invalid("the text once", found: seesText ? "it again" : "'\(id)'")
        }
        seesText = true
        continue
      }
      let name = try piece["SpecialToken"]["id"].string()
      let ids = try node["special_tokens"][name]["ids"].elements().map { Int32(try $0.count()) }
      if seesText { result.suffix += ids } else { result.prefix += ids }
      try result.checkCount(node)
    }
    guard seesText else { throw node["single"].invalid("the text once", found: "no text") }
    return result
  }

  /// The ids of a text with the special ones around them, at most `maximumCount` in all.
  ///
  /// What is cut off is the text's end; the special ids stay as long as there is room for them
  /// alone.
  func apply(to ids: [Int32], maximumCount: Int?) -> [Int32] {
    var ids = ids
    if let maximumCount {
      let room = max(0, maximumCount - prefix.count - suffix.count)
      if ids.count > room { ids.removeLast(ids.count - room) }
    }
    let whole = prefix + ids + suffix
    return maximumCount.map { Array(whole.prefix(max(0, $0))) } ?? whole
  }
}
