import PipitFormats
import PipitModels
import PipitRuntime
import PipitTokenizers

extension StableDiffusion {
  /// The states of the texts, each padded to the encoder's length: from the cache, or by the encoder, which
  /// is only loaded if one of them is not there.
  func states(_ texts: [String]) throws -> [PromptCache.States] {
    let cache = promptCache.flatMap { cache in identity().map { (cache, $0) } }
    func key(_ text: String, _ identity: String) -> String { identity + "\ntext \(text)" }
    var known: [String: PromptCache.States] = [:]
    if let (cache, identity) = cache {
      for text in texts { known[text] = cache.states(key(text, identity)) }
    }
    var missing: [String] = []
    for text in texts where known[text] == nil && !missing.contains(text) { missing.append(text) }
    if !missing.isEmpty {
      for (text, states) in zip(missing, try encode(missing)) {
        known[text] = states
        if let (cache, identity) = cache { cache.store(states, key(text, identity)) }
      }
    }
    return texts.compactMap { known[$0] }
  }

  /// What states depend on besides the text; `nil` if that cannot be told.
  private func identity() -> String? {
    guard let files = model.textFiles else { return nil }
    let identities = files.compactMap { PromptCache.identity(ofFile: $0) }
    guard identities.count == files.count else { return nil }
    return (["kernels \(machine.kernels.name)"] + identities.map { "file \($0)" })
      .joined(separator: "\n")
  }

  /// Loads the encoder, computes, and releases it.
  private func encode(_ texts: [String]) throws -> [PromptCache.States] {
    let (part, clip) = try textEncoder()
    let component = Component(part, machine: machine)
    let (tokenizer, limit) = try model.tokenizer(
      vocabularyCount: clip.vocabularyCount, tokenLimit: clip.tokenLimit)
    let program = try component.program("\(texts.count)") {
      try clip.graph(weights: component.weights, batch: texts.count, tokens: limit)
    }
    let input = try program.idInput("input_ids")
    for (row, text) in texts.enumerated() {
      let ids = tokenizer.encode(text, maximumCount: limit)
      for column in 0..<limit {
        // Without a padding token the end of the text is repeated, as CLIP was trained.
        input[row * limit + column] =
          column < ids.count ? ids[column] : model.paddingID ?? tokenizer.padID ?? ids.last ?? 0
      }
    }
    try program.run()
    let states = try component.finite("last_hidden_state", of: program)
    let count = limit * clip.layer.hidden
    return texts.indices.map {
      PromptCache.States(
        tokens: limit, width: clip.layer.hidden,
        values: Array(states[$0 * count..<($0 + 1) * count]))
    }
  }
}
