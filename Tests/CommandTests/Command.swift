import Glibc

/// What a finished program left behind.
struct Outcome {
  let code: Int32
  let output: String
  let errors: String
}

/// Runs the `pipit` that was built beside the tests.
enum Command {
  /// The folder of this checkout.
  static let root = parent(of: #filePath, 3)
  static let bundle = root + "/Models/Default"

  /// Whether the whole default bundle is there.
  static var hasBundle: Bool {
    ["text_encoder", "denoiser", "vae", "text_sentiment", "image_sentiment"].allSatisfy {
      access(bundle + "/" + $0 + "/config.json", F_OK) == 0
    }
  }

  private static func parent(of path: String, _ count: Int) -> String {
    var path = path[...]
    for _ in 0..<count { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
    return String(path)
  }

  private static let binary: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes {
      $0.baseAddress.map { readlink("/proc/self/exe", $0, 4096) } ?? 0
    }
    // Beside the test program; where a runner of the toolchain loads the tests, beside its first argument.
    let runner = parent(of: String(decoding: buffer[..<max(count, 0)], as: UTF8.self), 1)
    for argument in [runner + "/x"] + CommandLine.arguments {
      let path = parent(of: argument, 1) + "/pipit"
      if access(path, X_OK) == 0 { return path }
    }
    return "pipit"
  }()

  /// A fresh folder, to be removed by `remove`.
  static func temporaryFolder() -> String {
    var template = Array("/tmp/pipit-command-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return "/tmp" }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  static func files(in folder: String) -> [String] {
    var names: [String] = []
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  static func remove(_ folder: String) {
    for name in files(in: folder) where unlink(folder + "/" + name) != 0 {
      remove(folder + "/" + name)
    }
    rmdir(folder)
  }

  static func run(_ arguments: [String], environment: [String] = []) -> Outcome {
    run(bytes: arguments.map { Array($0.utf8) }, environment: environment)
  }

  /// Runs where no file can grow beyond 8 KiB, as on a disk that is full.
  static func runOnFullDisk(_ arguments: [String]) -> Outcome {
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""
    let words = ["/bin/sh", "-c", script, binary] + arguments
    return start("/bin/sh", words.map { Array($0.utf8) }, environment: [])
  }

  /// Runs with arguments that need not be text; sends SIGINT when a file is there.
  static func run(
    bytes arguments: [[UInt8]], environment: [String] = [], interruptWhen path: String? = nil
  ) -> Outcome {
    start(
      binary, [Array(binary.utf8)] + arguments, environment: environment, interruptWhen: path)
  }

  private static func start(
    _ program: String, _ words: [[UInt8]], environment: [String],
    interruptWhen path: String? = nil
  ) -> Outcome {
    let folder = temporaryFolder()
    defer { remove(folder) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (descriptor, name) in [(STDOUT_FILENO, "out"), (STDERR_FILENO, "err")] {
      posix_spawn_file_actions_addopen(
        &actions, descriptor, folder + "/" + name, O_WRONLY | O_CREAT, 0o600)
    }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    var process = pid_t()
    let argv = words.map { strdup($0.map { CChar(bitPattern: $0) } + [0]) } + [nil]
    let inherited = ["PATH", "HOME", "LD_LIBRARY_PATH"].compactMap { name in
      getenv(name).map { name + "=" + String(cString: $0) }
    }
    let envp = (inherited + environment).map { strdup($0) } + [nil]
    defer { (argv + envp).forEach { free($0) } }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    setSignals(&attributes)
    guard posix_spawn(&process, program, &actions, &attributes, argv, envp) == 0 else {
      return Outcome(code: -1, output: "", errors: "cannot start \(program)")
    }
    var status: Int32 = 0
    if let path {
      for _ in 0..<3000 where access(path, F_OK) != 0 { usleep(10_000) }
      kill(process, SIGINT)
    }
    waitpid(process, &status, 0)
    let code = status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
    return Outcome(
      code: code, output: contents(folder + "/out"), errors: contents(folder + "/err"))
  }

  /// Signals as a terminal leaves them: tests run on threads that block them, or in the background, where
  /// Ctrl-C is ignored.
  private static func setSignals(_ attributes: inout posix_spawnattr_t) {
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigaddset(&signals, SIGINT)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
  }

  static func bytes(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = fread(&block, 1, block.count, file)
      if count == 0 { return bytes }
      bytes += block[..<count]
    }
  }

  static func contents(_ path: String) -> String { String(decoding: bytes(path), as: UTF8.self) }

  static func write(_ bytes: [UInt8], to path: String) {
    guard let file = fopen(path, "w") else { return }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }
}
