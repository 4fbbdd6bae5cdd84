import PipitGraph
import PipitTensors

/// Settings that transformers' configurations share, each refused by name where it cannot be.
extension Configuration {
  /// The width of a transformer's states and the number of its heads, which must divide it.
  func attentionWidth(
    hidden hiddenKey: String, heads headsKey: String
  ) throws -> (hidden: Int, heads: Int) {
    let hidden = try integer(hiddenKey, in: 1...65536)
    let heads = try integer(headsKey, in: 1...1024)
    guard hidden % heads == 0, hidden / heads <= 512 else {
      throw error(
        headsKey, "a divisor of \(hiddenKey) \(hidden), heads at most 512 wide", "\(heads)")
    }
    return (hidden, heads)
  }

  /// What a norm adds to a variance: positive, also as f32.
  func epsilon(_ key: String, fallback: Double) throws -> Float {
    let epsilon = Float(try number(key, fallback: fallback))
    guard epsilon > 0, epsilon.isFinite else { throw error(key, "a positive number", "\(epsilon)") }
    return epsilon
  }

  /// An activation by the name that transformers and diffusers give it.
  func activation(_ key: String, fallback: String? = nil) throws -> Activation {
    let name = try string(key, fallback: fallback)
    switch name {
    case "relu": return .relu
    case "relu6": return .relu6
    case "gelu": return .gelu
    case "gelu_new", "gelu_pytorch_tanh", "gelu-approximate": return .geluTanh
    case "quick_gelu": return .geluQuick
    case "silu", "swish": return .silu
    case "tanh": return .tanh
    default: throw error(key, "relu, relu6, gelu, gelu_new, quick_gelu, silu or tanh", "'\(name)'")
    }
  }
}

extension Configuration {
  /// Refuses settings by which BERT's family becomes something else than an encoder with absolute positions.
  func requireEncoder() throws {
    try require("position_embedding_type", .string("absolute"))
    try require("is_decoder", .bool(false))
    try require("add_cross_attention", .bool(false))
  }
}
