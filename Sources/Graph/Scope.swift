/// Where in a checkpoint the tensors of a layer lie: a path of names joined by dots.
package struct Scope: Hashable, Sendable, CustomStringConvertible {
  package let path: String

  /// The scope of a whole model, with an optional prefix that all its names share.
  package init(_ path: String = "") { self.path = path }

  package static func / (scope: Scope, name: String) -> Scope {
    Scope(scope.path.isEmpty ? name : scope.path + "." + name)
  }

  package static func / (scope: Scope, index: Int) -> Scope { scope / String(index) }

  package var description: String { path }
}
