package import PipitGraph
package import PipitTensors

/// The inputs of a text model's graph, `[batch, tokens]` i32 each.
package struct TextShape: Hashable, Sendable {
  package var batch: Int
  package var tokens: Int
  /// Whether there is `attention_mask`: 1 for tokens of a text, 0 for padding. Without it all tokens count.
  package var hasMask: Bool
  /// Whether there is `token_type_ids`. Without it all types are 0.
  package var hasTypes: Bool

  package init(batch: Int, tokens: Int, hasMask: Bool = true, hasTypes: Bool = false) {
    self.batch = batch
    self.tokens = tokens
    self.hasMask = hasMask
    self.hasTypes = hasTypes
  }
}

/// The inputs of a text model inside its graph.
struct TextInputs {
  let ids: Value
  let mask: Value?
  let types: Value?
}

/// How the states of a text's tokens become one embedding (`Pooling` and `Normalize` of sentence-transformers).
package struct SentencePooling: Hashable, Sendable {
  package enum Rule: Hashable, Sendable {
    /// The mean over the tokens of the mask.
    case mean
    /// The state of the first token.
    case first
  }
  package var rule: Rule
  /// Whether the embedding is scaled to length 1.
  package var normalizes: Bool

  package init(_ rule: Rule, normalizes: Bool) {
    self.rule = rule
    self.normalizes = normalizes
  }
}

/// A transformer that reads whole texts: BERT (Devlin et al. 2018) and its descendants, which differ in how they
/// count positions and name their tensors.
package struct TextTransformer: Sendable {
  let embeddings: TextEmbeddings
  let layer: TransformerLayer
  let layerCount: Int
  /// Where the layers lie.
  let layers: Scope
  /// What the names of all its tensors may begin with: they do in checkpoints that were saved with a head.
  let prefix: String
  /// Where the table of what scores gain by the distance of two tokens lies, if there is one.
  var relativePositions: Scope?

  package var vocabularyCount: Int { embeddings.vocabularyCount }
  /// The most tokens that a text may have.
  package var tokenLimit: Int { embeddings.tokenLimit }
  /// The width of a state.
  package var hidden: Int { layer.hidden }
  /// The id of padding, where positions depend on it.
  package var paddingID: Int? { embeddings.paddingID }

  /// The number of layers.
  package var depth: Int { layerCount }

  /// `input_ids` and what else the shape says to last_hidden_state `[batch, tokens, hidden]`; with `pooling`
  /// also sentence_embedding `[batch, hidden]`; with `statesAfter` also layer_states
  /// `[batch, tokens, layers * hidden]`: the states after those layers side by side, 0 being the embeddings.
  package func graph(
    weights: any WeightSource, _ shape: TextShape, pooling: SentencePooling? = nil,
    statesAfter layers: [Int] = []
  ) throws -> Graph {
    precondition(layers.allSatisfy { (0...layerCount).contains($0) })
    let g = GraphBuilder(weights: weights)
    let inputs = try inputs(g, shape)
    var seen: [Int: Value] = [:]
    let states = try states(g, inputs) { layer, states in
      if layers.contains(layer) { seen[layer] = states }
    }
    g.output("last_hidden_state", states)
    if !layers.isEmpty {
      g.output("layer_states", try g.concatenate(layers.compactMap { seen[$0] }, axis: 2))
    }
    if let pooling {
      g.output("sentence_embedding", try pooling.build(g, states, mask: inputs.mask))
    }
    return g.graph
  }

  func inputs(_ g: GraphBuilder, _ shape: TextShape) throws -> TextInputs {
    guard shape.tokens > 0, shape.tokens <= tokenLimit else {
      throw ModelError.unsupported(
        setting: "tokens", value: "\(shape.tokens)", expected: "1 to \(tokenLimit)")
    }
    let extents: Shape = [shape.batch, shape.tokens]
    let hasTypes = shape.hasTypes && embeddings.typeCount > 0
    return TextInputs(
      ids: g.input("input_ids", extents, .i32),
      mask: shape.hasMask ? g.input("attention_mask", extents, .i32) : nil,
      types: hasTypes ? g.input("token_type_ids", extents, .i32) : nil)
  }

  /// The scope of all its tensors.
  func root(_ g: GraphBuilder) throws -> Scope {
    try g.has(Scope(prefix) / "embeddings.word_embeddings.weight") ? Scope(prefix) : Scope()
  }

  /// `[batch, tokens, hidden]`; `observe` sees the states after each layer, the embeddings first.
  func states(
    _ g: GraphBuilder, _ inputs: TextInputs,
    observe: (_ layer: Int, _ states: Value) throws -> Void = { _, _ in }
  ) throws -> Value {
    let root = try root(g)
    var x = try embeddings.build(g, inputs, at: root / "embeddings")
    let keyBias = try inputs.mask.map { try g.add(.keyBias, [$0], "attention_mask") }
    let relativeBias = try relativePositions.map {
      try RelativePositions.bias(
        g, tokens: inputs.ids.shape[1], heads: layer.heads, at: root / $0.path)
    }
    try observe(0, x)
    for index in 0..<layerCount {
      x = try layer.build(
        g, x, keyBias: keyBias, relativeBias: relativeBias, at: root / layers.path / index)
      try observe(index + 1, x)
    }
    return x
  }
}

extension SentencePooling {
  /// states `[batch, tokens, hidden]`, mask `[batch, tokens]` to `[batch, hidden]`.
  fileprivate func build(_ g: GraphBuilder, _ states: Value, mask: Value?) throws -> Value {
    var x: Value
    switch rule {
    case .mean:
      x = try g.meanState(states, mask: mask, at: Scope("pooling"))
    case .first:
      x = try g.firstToken(states)
    }
    guard normalizes else { return x }
    return try g.add(.l2Normalize(L2Normalize(epsilon: 1e-12)), [x], "normalize")
  }
}

extension GraphBuilder {
  /// The state of each text's first token: `[batch, tokens, width]` to `[batch, width]`.
  func firstToken(_ states: Value) throws -> Value {
    try reshape(
      try slice(states, axis: 1, 0..<1), to: [states.shape[0], states.shape.columns])
  }
}
