package import PipitFormats
package import PipitModels
import PipitTensors

/// What a sentence encoder's folder says besides its transformer, in the files of sentence-transformers:
/// `modules.json` and the pooling's settings, `sentence_bert_config.json`,
/// `config_sentence_transformers.json`. A folder without them is pooled by the mean, as that library does.
package struct SentenceSettings: Hashable, Sendable {
  package private(set) var pooling = SentencePooling(.mean, normalizes: false)
  /// Tokens of a text that are read, if the folder says so.
  package private(set) var tokenLimit: Int?
  /// Whether texts are made lower case before the tokenizer sees them.
  package private(set) var lowercases = false
  /// What is put in front of every text.
  package private(set) var prompt = ""

  /// - Throws: `FormatError` or `ConfigurationError` for modules and settings that are not implemented.
  package init(_ folder: ModelFolder) throws {
    if folder.has("modules.json") {
      for module in try JSON.configurations(path: folder.path + "/modules.json") {
        try add(module, folder)
      }
    }
    if folder.has("sentence_bert_config.json") {
      let settings = try folder.settings("sentence_bert_config.json")
      if settings.has("max_seq_length") {
        tokenLimit = try settings.integer("max_seq_length", in: 1...1_000_000)
      }
      lowercases = try settings.bool("do_lower_case", fallback: false)
    }
    if folder.has("config_sentence_transformers.json") {
      let settings = try folder.settings("config_sentence_transformers.json")
      if settings.has("default_prompt_name") {
        let name = try settings.string("default_prompt_name")
        prompt = try settings.object("prompts")?.string(name) ?? ""
      }
    }
  }

  private mutating func add(_ module: Configuration, _ folder: ModelFolder) throws {
    let type = try module.string("type")
    let path = try module.string("path", fallback: "")
    switch type.split(separator: ".").last {
    case "Transformer":
      guard path.isEmpty else {
        throw module.error("path", "the transformer in the folder itself", "'\(path)'")
      }
    case "Pooling":
      guard !path.contains("/"), path != "..", !path.isEmpty else {
        throw module.error("path", "a folder's name", "'\(path)'")
      }
      pooling.rule = try SentenceSettings.rule(try folder.settings(path + "/config.json"))
    case "Normalize":
      pooling.normalizes = true
    default:
      throw module.error("type", "Transformer, Pooling or Normalize", "'\(type)'")
    }
  }

  /// The one way of pooling that the settings switch on.
  private static func rule(_ settings: Configuration) throws -> SentencePooling.Rule {
    // With a prompt that is left out of the mean the mask would need a hole.
    try settings.require("include_prompt", .bool(true))
    let flag = "pooling_mode_"
    var modes = try settings.values.keys.sorted().filter {
      $0.hasPrefix(flag) ? try settings.bool($0) : false
    }
    if modes.isEmpty, settings.has("pooling_mode") {
      modes = [flag + (try settings.string("pooling_mode"))]
    }
    switch modes {
    case [flag + "mean_tokens"], [flag + "mean"]: return .mean
    case [flag + "cls_token"], [flag + "cls"]: return .first
    default:
      throw settings.error(
        "pooling_mode", "mean_tokens or cls_token alone",
        modes.isEmpty ? "none" : modes.joined(separator: ", "))
    }
  }
}
