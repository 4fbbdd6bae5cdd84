/// How one element is stored.
package enum ElementType: String, Hashable, Sendable, CaseIterable {
  case f64, f32, f16, bf16
  case i64, i32, i16, i8
  case u64, u32, u16, u8
  case bool
  case f8e4m3, f8e5m2

  package var byteCount: Int {
    switch self {
    case .f64, .i64, .u64: 8
    case .f32, .i32, .u32: 4
    case .f16, .bf16, .i16, .u16: 2
    case .i8, .u8, .bool, .f8e4m3, .f8e5m2: 1
    }
  }
}
