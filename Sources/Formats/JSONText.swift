package import PipitTensors

extension JSON {
  /// A value as JSON, keys sorted, on one line; with `indent` (spaces before the value's own lines) spread
  /// over lines, arrays of plain values excepted.
  package static func text(_ value: JSONValue, indent: Int? = nil) -> String {
    var text = ""
    append(value, to: &text, indent)
    return text
  }

  private static func append(_ value: JSONValue, to text: inout String, _ indent: Int?) {
    switch value {
    case .null, .bool, .integer: text += value.text
    case .number(let number):
      precondition(number.isFinite, "JSON has no \(number)")
      text += "\(number)"
    case .string(let string): appendQuoted(string, to: &text)
    case .array(let elements):
      let isPlain = elements.allSatisfy { element in
        switch element {
        case .array, .object: false
        default: true
        }
      }
      let items = elements.map { element in { append(element, to: &$0, $1) } as Item }
      appendItems(items, "[", "]", to: &text, isPlain && elements.count <= 8 ? nil : indent)
    case .object(let fields):
      let items = fields.keys.sorted().map { key in
        { text, indent in
          appendQuoted(key, to: &text)
          text += indent == nil ? ":" : ": "
          append(fields[key] ?? .null, to: &text, indent)
        } as Item
      }
      appendItems(items, "{", "}", to: &text, indent)
    }
  }

  private typealias Item = (inout String, _ indent: Int?) -> Void

  private static func appendItems(
    _ items: [Item], _ open: String, _ close: String, to text: inout String, _ indent: Int?
  ) {
    text += open
    for (index, item) in items.enumerated() {
      if index > 0 { text += "," }
      if let indent { text += "\n" + String(repeating: " ", count: indent + 2) }
      item(&text, indent.map { $0 + 2 })
    }
    if let indent, !items.isEmpty { text += "\n" + String(repeating: " ", count: indent) }
    text += close
  }

  private static func appendQuoted(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      case _ where scalar.value < 32:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
