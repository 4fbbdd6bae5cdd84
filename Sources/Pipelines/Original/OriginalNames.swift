/// Where a tensor of diffusers' or transformers' name lies in a checkpoint of the original layout.
struct OriginalPlace: Hashable {
  var name: String
  /// Which third of the rows: query, key or value of a stacked projection; `nil` for all of them.
  var third: Int?

  init(_ name: String, third: Int? = nil) {
    self.name = name
    self.third = third
  }
}

/// The names of the denoiser, after `model.diffusion_model.`.
struct OriginalUNetNames: Sendable {
  let blocksPerLevel: Int
  /// Whether there is a tensor of an original name, without the prefix.
  let has: @Sendable (String) -> Bool

  func place(_ name: String) -> OriginalPlace? {
    let parts = name.split(separator: ".").map(String.init)
    guard let original = original(parts) else { return nil }
    return OriginalPlace(original)
  }

  private func original(_ parts: [String]) -> String? {
    guard parts.count > 1 else { return nil }
    let rest = parts[1...].joined(separator: ".")
    switch parts[0] {
    case "conv_in": return "input_blocks.0.0." + rest
    case "conv_norm_out": return "out.0." + rest
    case "conv_out": return "out.2." + rest
    case "time_embedding":
      let layers = ["linear_1": "0", "linear_2": "2", "cond_proj": "cond_proj"]
      return layers[parts[1]].map { (["time_embed", $0] + parts[2...]).joined(separator: ".") }
    case "mid_block": return middle(parts)
    case "down_blocks", "up_blocks": return level(parts)
    default: return nil
    }
  }

  private func middle(_ parts: [String]) -> String? {
    guard parts.count > 3, let index = Int(parts[2]), (0...1).contains(index) else { return nil }
    switch parts[1] {
    case "resnets": return residual("middle_block.\(2 * index)", parts[3...])
    case "attentions": return (["middle_block.1"] + parts[3...]).joined(separator: ".")
    default: return nil
    }
  }

  /// Levels are counted through: blocks one after the other, the step to the next level among them.
  private func level(_ parts: [String]) -> String? {
    guard parts.count > 4, let level = Int(parts[1]), (0..<64).contains(level),
      let index = Int(parts[3]), (0..<64).contains(index)
    else { return nil }
    let isDown = parts[0] == "down_blocks"
    let first = level * (blocksPerLevel + 1) + (isDown ? 1 : 0)
    let side = isDown ? "input_blocks" : "output_blocks"
    let rest = parts[4...]
    switch parts[2] {
    case "resnets": return residual("\(side).\(first + index).0", rest)
    case "attentions":
      return (["\(side).\(first + index).1"] + rest).joined(separator: ".")
    case "downsamplers" where isDown && rest.first == "conv":
      return (["\(side).\(first + blocksPerLevel).0.op"] + rest.dropFirst()).joined(separator: ".")
    case "upsamplers" where !isDown && rest.first == "conv":
      let block = "\(side).\(first + blocksPerLevel)"
      // Behind the attention, where there is one.
      let place = has(block + ".2.conv.weight") ? 2 : 1
      return (["\(block).\(place)"] + rest).joined(separator: ".")
    default: return nil
    }
  }

  private func residual(_ block: String, _ rest: ArraySlice<String>) -> String? {
    let layers = [
      "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
      "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
    ]
    guard let layer = rest.first.flatMap({ layers[$0] }) else { return nil }
    return ([block, layer] + rest.dropFirst()).joined(separator: ".")
  }
}

/// The names of the autoencoder, after `first_stage_model.`.
struct OriginalAutoencoderNames: Sendable {
  let levels: Int

  func place(_ name: String) -> OriginalPlace? {
    let parts = name.split(separator: ".").map(String.init)
    guard parts.count > 1 else { return nil }
    guard parts[0] == "encoder" || parts[0] == "decoder" else { return OriginalPlace(name) }
    guard let inner = inner(parts) else { return nil }
    return OriginalPlace(([parts[0]] + inner).joined(separator: "."))
  }

  private func inner(_ parts: [String]) -> [String]? {
    guard parts[1].hasSuffix("_block") || parts[1].hasSuffix("_blocks") else {
      return (parts[1] == "conv_norm_out" ? ["norm_out"] : [parts[1]]) + parts[2...]
    }
    if parts[1] == "mid_block" {
      guard parts.count > 4, let index = Int(parts[3]), (0...1).contains(index) else { return nil }
      if parts[2] == "resnets" { return ["mid", "block_\(index + 1)"] + block(parts[4...]) }
      return attention(parts[4...]).map { ["mid", "attn_\(index + 1)"] + $0 }
    }
    guard parts.count > 5, let index = Int(parts[2]), (0..<levels).contains(index) else {
      return nil
    }
    // On the way up the original counts from the other end.
    let (side, level) =
      parts[1] == "up_blocks" ? ("up", levels - 1 - index) : ("down", index)
    switch parts[3] {
    case "resnets": return [side, "\(level)", "block", parts[4]] + block(parts[5...])
    case "downsamplers": return [side, "\(level)", "downsample"] + parts[5...]
    case "upsamplers": return [side, "\(level)", "upsample"] + parts[5...]
    default: return nil
    }
  }

  private func block(_ rest: ArraySlice<String>) -> [String] {
    rest.first == "conv_shortcut" ? ["nin_shortcut"] + rest.dropFirst() : Array(rest)
  }

  private func attention(_ rest: ArraySlice<String>) -> [String]? {
    let path = rest.dropLast().joined(separator: ".")
    let layers = [
      "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out",
    ]
    guard let layer = layers[path], let last = rest.last else { return nil }
    return [layer, last]
  }
}

/// The names of OpenCLIP's text encoder, after `cond_stage_model.model.`.
struct OpenCLIPNames {
  func place(_ name: String) -> OriginalPlace? {
    guard name.hasPrefix("text_model.") else { return nil }
    let parts = name.split(separator: ".").dropFirst().map(String.init)
    switch parts.first {
    case "embeddings" where parts == ["embeddings", "token_embedding", "weight"]:
      return OriginalPlace("token_embedding.weight")
    case "embeddings" where parts == ["embeddings", "position_embedding", "weight"]:
      return OriginalPlace("positional_embedding")
    case "final_layer_norm" where parts.count == 2: return OriginalPlace("ln_final." + parts[1])
    case "encoder" where parts.count > 4 && parts[1] == "layers":
      return layer("transformer.resblocks.\(parts[2]).", Array(parts[3...]))
    default: return nil
    }
  }

  private func layer(_ block: String, _ parts: [String]) -> OriginalPlace? {
    let layers = [
      "layer_norm1": "ln_1.", "layer_norm2": "ln_2.", "mlp.fc1": "mlp.c_fc.",
      "mlp.fc2": "mlp.c_proj.", "self_attn.out_proj": "attn.out_proj.",
    ]
    let path = parts.dropLast().joined(separator: ".")
    let last = parts[parts.count - 1]
    if let original = layers[path] { return OriginalPlace(block + original + last) }
    let thirds = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]
    return thirds.firstIndex(of: path).map {
      OriginalPlace(block + "attn.in_proj_" + last, third: $0)
    }
  }
}
