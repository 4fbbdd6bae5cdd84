import Glibc
import PipitFormats
import PipitGraph
import PipitKernels
import PipitPipelines
import PipitTensors
import Testing

/// What a computation takes, and what the machine has.
@Suite struct MemoryTests {
  private let goldens: String

  init() {
    let file = #filePath
    goldens = String(file[..<(file.lastIndex(of: "/") ?? file.endIndex)]) + "/Goldens/"
  }

  // MARK: What there is

  /// What is free where `proc` and `sys` have these files.
  private func free(_ files: [String: String]) throws -> (Int, String)? {
    try freeMemory(files).map { ($0.byteCount, $0.reason) }
  }

  private func freeMemory(_ files: [String: String]) throws -> FreeMemory? {
    var template = Array("/tmp/pipit-memory-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let root = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var made = [root]
    defer { made.reversed().forEach { _ = remove($0) } }
    for (path, text) in files {
      var folder = root
      for part in path.split(separator: "/").dropLast() {
        folder += "/" + part
        if mkdir(folder, 0o700) == 0 { made.append(folder) }
      }
      let file = try #require(fopen(root + "/" + path, "w"))
      fputs(text, file)
      fclose(file)
      made.append(root + "/" + path)
    }
    return FreeMemory(root: root)
  }

  private let meminfo = "MemTotal:  8000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\n"

  @Test func withoutGroupsItIsWhatTheKernelThinks() throws {
    let found: (Int, String) = try #require(try free(["proc/meminfo": meminfo]))
    #expect(found == (4_096_000, "MemAvailable"))
    #expect(try free([:]) == nil)
  }

  @Test func theTightestGroupOfVersionTwoCounts() throws {
    let found = try #require(
      try free([
        "proc/meminfo": meminfo, "proc/self/cgroup": "0::/a.slice/b.scope\n",
        "sys/fs/cgroup/a.slice/memory.max": "2000000\n",
        "sys/fs/cgroup/a.slice/memory.current": "700000\n",
        // What only caches files is given back when it is needed.
        "sys/fs/cgroup/a.slice/memory.stat": "anon 5\ninactive_file 100000\nactive_file 200000\n",
        "sys/fs/cgroup/a.slice/b.scope/memory.max": "max\n",
        "sys/fs/cgroup/a.slice/b.scope/memory.current": "600000\n",
      ]))
    #expect(found == (1_600_000, "limit of the control group"))
  }

  @Test func groupsOfVersionOneCount() throws {
    let groups = "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n"
    let none = "9223372036854771712\n"
    // In a container only the mount is there, whatever path the host gave the group.
    let found = try #require(
      try free([
        "proc/meminfo": meminfo, "proc/self/cgroup": groups,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1200000\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 100000\n",
      ]))
    #expect(found == (0, "limit of the control group"))
    let unlimited = try #require(
      try free([
        "proc/meminfo": meminfo, "proc/self/cgroup": groups,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": none,
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1200000\n",
      ]))
    #expect(unlimited.0 == 4_096_000)
  }

  @Test func whatIsNoNumberIsNoLimit() throws {
    let found = try #require(
      try free([
        "proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n\nx\n1:memory\n",
        "sys/fs/cgroup/a/memory.max": "-5 99999999999999999999\n",
        "sys/fs/cgroup/a/memory.current": "",
      ]))
    #expect(found.0 == 4_096_000)
    #expect(try free(["proc/meminfo": "MemAvailable: 99999999999999999 kB\n"]) == nil)
  }

  @Test func thisMachineTells() throws {
    #expect(try #require(FreeMemory()).byteCount > 1_000_000)
  }

  // MARK: What it takes

  private func pipeline(_ name: String) throws -> StableDiffusion {
    let folder = try #require(DiffusersFolder(try ModelFolder(path: goldens + name)))
    return StableDiffusion(folder, machine: try Machine(threadCount: 2))
  }

  private func request(_ width: Int, _ height: Int) -> StableDiffusionRequest {
    var request = StableDiffusionRequest()
    (request.width, request.height) = (width, height)
    return request
  }

  @Test func stagesComeOneAfterTheOther() throws {
    let pipeline = try pipeline("sd-ddim")
    let small = try pipeline.memoryPlan(request(256, 256))
    let names = small.stages.map(\.name)
    #expect(names == ["text encoder", "keys and values", "denoiser", "decoder"])
    let most = small.stages.map(\.byteCount).max() ?? 0
    #expect(small.peak == most + MemoryPlan.programByteCount)
    let large = try pipeline.memoryPlan(request(512, 512))
    let (first, second) = (small.stages[3].need, large.stages[3].need)
    #expect(first.packed == second.packed)
    // Four times the pixels.
    #expect(abs(Double(second.arena) / Double(first.arena) - 4) < 0.1)
    var guided = request(256, 256)
    guided.guidance = 1
    let unguided = try pipeline.memoryPlan(guided)
    #expect(unguided.stages[2].need.arena < small.stages[2].need.arena)
  }

  @Test func theMildestChangeThatFitsIsNamed() throws {
    let pipeline = try pipeline("sd-ddim")
    let wanted = request(1024, 512)
    let peak = try pipeline.memoryPlan(wanted).peak
    let same = try #require(try pipeline.change(of: wanted, toFit: peak))
    #expect(!same.isSmaller && !same.usesInt8Weights && same.peak == peak)
    let change = try #require(try pipeline.change(of: wanted, toFit: peak - 1))
    #expect(change.isSmaller && !change.usesInt8Weights && !change.usesTinyDecoder)
    #expect((change.width, change.height) == (768, 384))
    #expect(try pipeline.memoryPlan(request(768, 384)).peak == change.peak)
    #expect(try pipeline.change(of: wanted, toFit: 1000) == nil)
    // The small decoder comes before a smaller picture.
    let turbo = try self.pipeline("sd-turbo")
    let most = try turbo.memoryPlan(wanted).peak
    let other = try #require(try turbo.change(of: wanted, toFit: most - 1))
    #expect(other.usesTinyDecoder && !other.isSmaller && other.peak < most)
  }

  /// Levels that are slower with integers compute convolutions with floats, unless there is no room for them.
  @Test func integersAreWhatFitsLittleMemory() throws {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 * 32 * 9, alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: 3)
    defer { bytes.deallocate() }
    let weight = Weight(
      name: "w", shape: [32, 32, 3, 3], storage: .int8(scales: [Float](repeating: 1, count: 32)),
      activations: .staticPerTensor(scale: 1, zeroPoint: 0), bytes: UnsafeRawBufferPointer(bytes),
      owner: FloatStorage([]))
    let builder = GraphBuilder(weights: NoWeights())
    var x = builder.input("x", [1, 200, 200, 32])
    for name in ["a", "b", "c"] {
      let op = Conv2D(weight: weight, bias: nil, padding: Conv2D.Padding(1))
      x = try builder.add(.conv2D(op), [x], name)
    }
    builder.output("y", x)
    func integers(_ machine: Machine, free: FreeMemory?) -> Int {
      machine.optimize(builder.graph, free: free).nodes.count { node in
        if case .conv2D(let op) = node.op { op.inputQuantization != nil } else { false }
      }
    }
    let little = try #require(try freeMemory(["proc/meminfo": "MemAvailable: 1000 kB\n"]))
    for kernels in KernelTable.available {
      let machine = try Machine(threadCount: 1, kernels: kernels)
      let preferred = kernels.hasDotProducts ? 3 : 0
      #expect(integers(machine, free: nil) == preferred, "\(kernels.name)")
      #expect(integers(machine, free: little) == 3, "\(kernels.name)")
      let forced = try Machine(threadCount: 1, ignoresMemory: true, kernels: kernels)
      #expect(integers(forced, free: little) == preferred, "\(kernels.name)")
      let integral = try Machine(threadCount: 1, prefersFloats: false, kernels: kernels)
      #expect(integers(integral, free: nil) == 3, "\(kernels.name)")
    }
  }

  @Test func whatIsTooMuchIsRefused() throws {
    let free = try #require(FreeMemory()).byteCount
    let machine = try Machine()
    #expect(throws: MemoryError.self) { try machine.check(2 * free, for: "model") }
    try machine.check(1000, for: "model")
    try Machine(ignoresMemory: true).check(2 * free, for: "model")
  }
}

private struct NoWeights: WeightSource {
  var names: [String] { [] }
  func weight(named name: String) throws -> Weight? { nil }
}
