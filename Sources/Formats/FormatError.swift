/// A file is not what it should be: one line that says what, where, expected and found.
package struct FormatError: Error, Hashable, Sendable, CustomStringConvertible {
  package let path: String
  /// The part of the file, e.g. "tensor 'x'"; empty for the file as a whole.
  package let part: String
  package let expected: String
  package let found: String

  package init(path: String, part: String = "", expected: String, found: String) {
    self.path = path
    self.part = part
    self.expected = expected
    self.found = found
  }

  package var description: String {
    "'\(path)'\(part.isEmpty ? "" : ", \(part)"): expected \(expected), found \(found)"
  }
}
