/// How a tensor is to be stored.
package enum StorageScheme: Hashable, Sendable {
  /// As it is.
  case keep
  /// IEEE half precision.
  case f16
  /// 8-bit integers, symmetric, one scale a row; the layer's input becomes 8-bit integers too, in linear
  /// layers each token by itself when they run, in convolutions by numbers from calibration. What is only
  /// looked up (tables) or was not calibrated is stored as `w8`.
  case w8a8
  /// 8-bit integers, symmetric, one scale a row; products stay f32.
  case w8
  /// 4-bit integers, symmetric, one scale for `group` columns of a row. For matrices; convolutions and
  /// matrices that do not divide into groups are stored as `w8`.
  case w4(group: Int)

  /// Groups that `w4` can have.
  package static let groups = [32, 64]
  /// Names that a person may give.
  package static let names = ["w8a8", "w8", "w4", "f16", "keep"]

  /// The scheme of a name; `nil` if there is none.
  package init?(_ name: String, group: Int) {
    precondition(StorageScheme.groups.contains(group))
    switch name {
    case "keep": self = .keep
    case "f16": self = .f16
    case "w8a8": self = .w8a8
    case "w8": self = .w8
    case "w4": self = .w4(group: group)
    default: return nil
    }
  }

  package var name: String {
    switch self {
    case .keep: "keep"
    case .f16: "f16"
    case .w8a8: "w8a8"
    case .w8: "w8"
    case .w4: "w4"
    }
  }

  var isInteger: Bool {
    switch self {
    case .keep, .f16: false
    case .w8a8, .w8, .w4: true
    }
  }
}

/// How the scale of integers is chosen.
package enum Clipping: String, Sendable, CaseIterable {
  /// The largest number is just representable.
  case absmax
  /// Of scales up to that one, the one of least squared error.
  case mse
}

/// A scheme for the tensors whose names a pattern finds.
package struct StorageRule {
  /// As the person wrote it.
  package let text: String
  package let scheme: StorageScheme
  private let pattern: Regex<AnyRegexOutput>

  /// Throws what the pattern's parser says.
  package init(pattern: String, scheme: StorageScheme, text: String) throws {
    self.pattern = try Regex(pattern)
    self.scheme = scheme
    self.text = text
  }

  /// Whether the pattern occurs in the name.
  func matches(_ name: String) -> Bool { name.contains(pattern) }
}

/// What a person asks for.
package struct QuantizationRequest {
  package var scheme = StorageScheme.w8a8
  /// Of rules that match a tensor the last one counts, before the built-in exceptions.
  package var rules: [StorageRule] = []
  package var clipping = Clipping.mse
  /// What the layers' inputs look like; `nil` where no data was run.
  package var calibration: Calibration?
  /// Tensors, by name, whose products stay f32 although the scheme or a rule says otherwise: what a search
  /// found to do the most harm.
  package var floatProducts: Set<String> = []

  package init() {}
}
