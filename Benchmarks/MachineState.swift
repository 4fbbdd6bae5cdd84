import Glibc
import PipitKernels

/// The machine as it is now, where the system tells.
package struct MachineState: Codable, Sendable {
  package var processor: String
  package var processors: Int
  /// The hottest zone, in degrees Celsius.
  package var temperature_c: Double?
  /// Of the first processor.
  package var frequency_mhz: Double?
  /// Load of the last minute: what else runs disturbs the numbers.
  package var load: Double?
  /// A Raspberry Pi's bits: 1 under-voltage, 2 frequency capped, 4 throttled, 8 soft temperature limit;
  /// the same shifted by 16 have occurred since start.
  package var throttled: Int?

  package static func now() -> MachineState {
    MachineState(
      processor: KernelTable.processorSummary,
      processors: max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))),
      temperature_c: temperature(),
      frequency_mhz: number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
        .map { $0 / 1e3 },
      load: load(),
      throttled: text("/sys/devices/platform/soc/soc:firmware/get_throttled")
        .flatMap { Int($0, radix: 16) })
  }

  private static func temperature() -> Double? {
    (0..<16).compactMap { number("/sys/class/thermal/thermal_zone\($0)/temp") }.max()
      .map { $0 / 1e3 }
  }

  private static func load() -> Double? {
    var loads = [0.0]
    return getloadavg(&loads, 1) == 1 ? loads[0] : nil
  }

  private static func number(_ path: String) -> Double? { text(path).flatMap { Double($0) } }

  /// The first line of a file of the system, without white space around it.
  private static func text(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = fread(&buffer, 1, buffer.count, file)
    let line = buffer[..<count].prefix { $0 != 10 }.filter { $0 > 32 }
    return line.isEmpty ? nil : String(decoding: line, as: UTF8.self)
  }
}
