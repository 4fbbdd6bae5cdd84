/// A number with at most six digits after the point, for people; very large ones as Swift writes them.
package func decimal(_ number: Double, _ digits: Int) -> String {
  precondition((0...6).contains(digits))
  // Times a million it still is an `Int`.
  guard number.isFinite, abs(number) < 1e12 else { return "\(number)" }
  let scale = (0..<digits).reduce(1) { product, _ in product * 10 }
  let scaled = Int((abs(number) * Double(scale)).rounded())
  let whole = (number < 0 && scaled > 0 ? "-" : "") + "\(scaled / scale)"
  guard digits > 0 else { return whole }
  let fraction = String(scaled % scale)
  return whole + "." + String(repeating: "0", count: digits - fraction.count) + fraction
}
