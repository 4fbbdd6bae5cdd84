/// Why tokenizer files could not be used.
///
/// Each case carries where, what was expected and what was found.
package enum TokenizerError: Error, Equatable {
  /// The file breaks the rules of its own format at a byte offset.
  case malformed(file: String, offset: Int, expected: String, found: String)
  /// A member of the file has a value that cannot be.
  case invalid(file: String, member: String, expected: String, found: String)
  /// The file asks for a component that Pipit does not have.
  case unsupported(file: String, component: String, type: String)
  /// The file holds more than Pipit accepts.
  case tooLarge(file: String, what: String, limit: Int, found: Int)
}

extension TokenizerError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformed(let file, let offset, let expected, let found):
      "\(file): byte \(offset): expected \(expected), found \(found)"
    case .invalid(let file, let member, let expected, let found):
      "\(file): \(member): expected \(expected), found \(found)"
    case .unsupported(let file, let component, let type):
      "\(file): \(component) of type '\(type)' is not supported"
    case .tooLarge(let file, let what, let limit, let found):
      "\(file): \(what): at most \(limit) are accepted, found \(found)"
    }
  }
}
