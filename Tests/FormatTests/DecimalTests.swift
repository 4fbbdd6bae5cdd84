import PipitFormats
import Testing

@Suite struct DecimalTests {
  @Test func digitsAreRounded() {
    #expect(decimal(1.25, 1) == "1.3" && decimal(-1.25, 1) == "-1.3")
    #expect(decimal(0.0049, 2) == "0.00" && decimal(-0.0049, 2) == "0.00")
    #expect(decimal(2, 0) == "2" && decimal(1.05, 3) == "1.050")
    #expect(decimal(999_999_999_999, 0) == "999999999999" && decimal(123_456.5, 6) == "123456.500000")
  }

  /// What does not fit a whole number of the last digit is told all the same.
  @Test func anyNumberHasAText() {
    for number in [Double.nan, .infinity, -.infinity, .greatestFiniteMagnitude, 1e12, -9.3e13] {
      for digits in 0...6 { #expect(decimal(number, digits) == "\(number)") }
    }
  }
}
