import Glibc
import PipitFormats

/// The report as one page that needs nothing else: measures, pictures side by side, layers with those that do
/// the most harm first.
package struct ReportPage {
  private let report: QuantizationReport
  private let title: String

  /// Pictures that are shown; more say little more.
  private static let pictureLimit = 6

  package init(_ report: QuantizationReport, title: String) {
    self.report = report
    self.title = title
  }

  package var html: String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><title>pipit quantize \(escaped(title))</title>
    <style>
    body{font:14px/1.4 sans-serif;margin:24px auto;max-width:1240px;color:#222}
    h1{font-size:20px} h2{font-size:16px;margin-top:28px}
    table{border-collapse:collapse;font-size:12px} td,th{padding:2px 8px;text-align:right;border-bottom:1px solid #eee}
    td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}
    figure{display:inline-block;margin:0 8px 12px 0;font-size:12px;color:#555} img{display:block;max-width:256px}
    .bar{display:inline-block;height:9px;background:#3b76c4;vertical-align:middle} .bad{background:#d9822b}
    </style></head><body>
    <h1>\(escaped(title))</h1>
    \(summary)
    \(measures)
    \(pictures)
    <h2>Layers, those that do the most harm first</h2>
    <p>Output: the layer's output on inputs that calibration saw, against f32. Weight: the stored numbers
    against the given ones. Times are of all runs of the material that the measures are about.</p>
    \(layers)
    \(exceptions)
    </body></html>
    """
  }

  private var summary: String {
    let ratio = Double(report.bytes_after) / Double(max(report.bytes_before, 1))
    var text = "<p>Weights \(megabytes(report.bytes_before)) MB &rarr; \(megabytes(report.bytes_after)) MB"
    text += " (\(decimal(ratio, 3)))"
    if report.float_ms > 0 {
      text += "; time \(decimal(report.float_ms, 1)) ms &rarr; \(decimal(report.quantized_ms, 1)) ms"
      text += " (\(decimal(report.quantized_ms / report.float_ms, 2)))"
    }
    let copied = report.copied_components.map { "\(escaped($0)): quantized already, copied" }
    let leftOut = report.left_out.map { "\(escaped($0)): left out" }
    return text + (copied + leftOut).map { "<br>" + $0 }.joined() + "</p>"
  }

  private var measures: String {
    guard !report.measurements.isEmpty else { return "" }
    let rows = report.measurements.map { measurement in
      cells([
        escaped(measurement.part), measurement.name, decimal(measurement.value, 5),
        "\(measurement.count)",
      ])
    }
    return "<h2>Against the float model</h2><table>"
      + heads(["part", "measure", "value", "of"]) + rows.joined(separator: "\n") + "</table>"
  }

  private var pictures: String {
    let shown = report.pictures.prefix(ReportPage.pictureLimit)
    guard !shown.isEmpty else { return "" }
    let rows = shown.map { entry in
      let difference = entry.float.difference(entry.quantized)
      return "<div>" + figure(entry.float, entry.part + " f32") + figure(entry.quantized, "quantized")
        + figure(difference.image, "difference, " + decimal(Double(difference.factor), 0) + " times") + "</div>"
    }
    return "<h2>Pictures</h2>" + rows.joined(separator: "\n")
  }

  private func figure(_ image: Image, _ caption: String) -> String {
    guard let bytes = try? PNG.encode(image.picture) else { return "" }
    return "<figure><img alt=\"\(escaped(caption))\" src=\"data:image/png;base64,"
      + Base64.text(bytes) + "\">\(escaped(caption))</figure>"
  }

  private var layers: String {
    let names = [
      "tensor", "shape", "scheme", "input", "output SQNR dB", "output cosine", "weight SQNR dB",
      "bytes before", "after", "f32 ms", "quantized ms", "",
    ]
    let rows = report.rows.filter { $0.scheme != "keep" }.map { row in
      cells([
        escaped(row.name), "\(row.shape)", row.scheme, row.input,
        optional(row.output_sqnr_dB, 1), optional(row.output_cosine, 6), optional(row.sqnr_dB, 1),
        "\(row.bytes_before)", "\(row.bytes_after)", optional(row.float_ms, 3),
        optional(row.quantized_ms, 3), bar(row.harm_dB),
      ])
    }
    return "<table>" + heads(names) + rows.joined(separator: "\n") + "</table>"
  }

  /// The longer the worse: noise in decibels below 60.
  private func bar(_ sqnr: Double) -> String {
    let width = min(max(60 - sqnr, 0), 60) * 3
    return "<span class=\"bar\(sqnr < 30 ? " bad" : "")\" style=\"width:\(decimal(width, 0))px\"></span>"
  }

  private var exceptions: String {
    let rows = report.exceptions.map { exception in
      cells([
        escaped(exception.reason), "\(exception.names.count)",
        escaped(exception.names.joined(separator: ", ")),
      ])
    }
    guard !rows.isEmpty else { return "" }
    return "<h2>Not as was asked for</h2><table>" + heads(["reason", "tensors", "names"])
      + rows.joined(separator: "\n") + "</table>"
  }

  // MARK: Text

  private func heads(_ names: [String]) -> String {
    "<tr>" + names.map { "<th>\($0)</th>" }.joined() + "</tr>\n"
  }

  private func cells(_ texts: [String]) -> String {
    "<tr>" + texts.map { "<td>\($0)</td>" }.joined() + "</tr>"
  }

  private func megabytes(_ count: Int) -> String { decimal(Double(count) / 1e6, 1) }

  private func optional(_ value: Double?, _ digits: Int) -> String {
    value.map { decimal($0, digits) } ?? ""
  }
}

extension Image {
  /// The difference to another picture, enlarged by a factor so that it can be seen: grey where they are equal.
  fileprivate func difference(_ other: Image) -> (image: Image, factor: Float) {
    let differences = zip(values, other.values).map { $1 - $0 }
    let square = differences.reduce(0) { $0 + $1 * $1 } / Float(max(differences.count, 1))
    // A fifth of the range for what is usual: a few pixels may be cut off.
    let factor = square > 0 ? min(max((0.2 / square.squareRoot()).rounded(), 1), 100) : 1
    return (Image(width: width, height: height, values: differences.map { $0 * factor }), factor)
  }
}

/// Bytes as text of 64 letters (RFC 4648).
enum Base64 {
  private static let letters = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func text(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for begin in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - begin)
      var word = UInt32(bytes[begin]) << 16
      if count > 1 { word |= UInt32(bytes[begin + 1]) << 8 }
      if count > 2 { word |= UInt32(bytes[begin + 2]) }
      for place in 0..<4 {
        let letter = letters[Int(word >> UInt32(18 - 6 * place)) & 63]
        text.append(place <= count ? letter : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
