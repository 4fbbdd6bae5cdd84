/// What `tokenizer_config.json` adds to the other files.
struct TokenizerConfiguration: Sendable {
  var padToken: String?
  var unknownToken: String?
  var startToken: String?
  var endToken: String?
  var classToken: String?
  var separatorToken: String?
  var maskToken: String?
  /// Whether the start and end tokens are looked for in normalized text.
  var normalizesStart = false
  var normalizesEnd = false
  var maximumCount: Int?
  var lowercases = true
  var stripsAccents: Bool?
  var isolatesIdeographs = true
  /// Whether a text is read as if a space stood before it.
  var addsPrefixSpace = false

  init() {}

  init(_ node: JSONNode) throws {
    padToken = try Self.token(node["pad_token"])
    unknownToken = try Self.token(node["unk_token"])
    startToken = try Self.token(node["bos_token"])
    endToken = try Self.token(node["eos_token"])
    classToken = try Self.token(node["cls_token"])
    separatorToken = try Self.token(node["sep_token"])
    maskToken = try Self.token(node["mask_token"])
    normalizesStart = try node["bos_token"]["normalized"].bool(or: false)
    normalizesEnd = try node["eos_token"]["normalized"].bool(or: false)
    // "No limit" is written as 1e30.
    if case .number(let limit) = node["model_max_length"].value, limit >= 1, limit < 1e9 {
      maximumCount = Int(limit)
    }
    lowercases = try node["do_lower_case"].bool(or: true)
    stripsAccents = node["strip_accents"].isNull ? nil : try node["strip_accents"].bool()
    isolatesIdeographs = try node["tokenize_chinese_chars"].bool(or: true)
    addsPrefixSpace = try node["add_prefix_space"].bool(or: false)
  }

  /// A token is written as its text or as an object that describes it.
  private static func token(_ node: JSONNode) throws -> String? {
    if case .object = node.value { return try node["content"].string() }
    return try node.stringIfAny()
  }
}
