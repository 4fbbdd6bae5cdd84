// swift-tools-version: 6.0
import PackageDescription

/// Every Swift target is compiled with the same settings.
let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

/// A library target `Pipit<name>` in `<folder>`; dependencies are named the same way.
func module(
  _ name: String, in folder: String, needs: [String] = [], extra: [Target.Dependency] = [],
  exclude: [String] = [], resources: [Resource]? = nil
) -> Target {
  .target(
    name: "Pipit" + name,
    dependencies: needs.map { .byName(name: "Pipit" + $0) } + extra,
    path: folder, exclude: exclude, resources: resources, swiftSettings: settings)
}

/// A test target; it sees what it names and the shared test support.
func tests(
  _ name: String, needs: [String], extra: [Target.Dependency] = [], exclude: [String] = []
) -> Target {
  .testTarget(
    name: name,
    dependencies: needs.map { .byName(name: "Pipit" + $0) } + ["TestSupport"] + extra,
    path: "Tests/" + name, exclude: exclude, swiftSettings: settings)
}

/// Architectures with a README.md beside their code, which is no source.
let documentedModels = [
  "Autoencoder", "AutoencoderKL", "AutoencoderTiny", "BERT", "CLIPText", "DistilBERT",
  "FlowMLP", "MPNet", "MobileNetV2", "ResNet", "RoBERTa", "TextSentiment", "UNet2DCondition", "ViT",
]

let package = Package(
  name: "pipit",
  products: [
    .executable(name: "pipit", targets: ["pipit"]),
    .library(name: "PipitEngine", targets: ["PipitEngine"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.3.0")
  ],
  targets: [
    // In reading order: each target needs only those above it.
    .systemLibrary(
      name: "CLibPNG", path: "Sources/CLibPNG", pkgConfig: "libpng",
      providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CSystem", path: "Sources/CSystem"),
    .target(name: "CKernels", path: "Sources/CKernels"),
    module("Tensors", in: "Sources/Tensors", extra: ["CSystem"]),
    module("Kernels", in: "Sources/Kernels", needs: ["Tensors"], extra: ["CKernels"]),
    module("Graph", in: "Sources/Graph", needs: ["Tensors"]),
    module("Runtime", in: "Sources/Runtime", needs: ["Graph", "Kernels", "Tensors"]),
    module("Formats", in: "Sources/Formats", needs: ["Tensors"], extra: ["CLibPNG"]),
    module("Tokenizers", in: "Sources/Tokenizers"),
    module(
      "Models", in: "Models", needs: ["Graph", "Tensors"],
      exclude: ["Default"] + documentedModels.map { $0 + "/README.md" }),
    module(
      "Pipelines", in: "Sources/Pipelines",
      needs: ["Models", "Formats", "Tokenizers", "Runtime", "Kernels", "Graph", "Tensors"]),
    module("Engine", in: "Sources/Engine", needs: ["Pipelines", "Formats"]),
    module(
      "Benchmarks", in: "Benchmarks",
      needs: ["Pipelines", "Formats", "Runtime", "Kernels", "Graph", "Tensors"],
      exclude: ["README.md", "mca", "peers.py", "records"], resources: [.embedInCode("boards")]),
    module(
      "Quantize", in: "Quantize",
      needs: ["Pipelines", "Formats", "Runtime", "Kernels", "Graph", "Tensors"],
      exclude: ["README.md", "evaluate.py"]),
    .executableTarget(
      name: "pipit",
      dependencies: [
        "PipitEngine", "PipitBenchmarks", "PipitQuantize", "PipitPipelines", "PipitModels",
        "PipitFormats", "PipitRuntime", "PipitKernels", "PipitGraph", "PipitTensors",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/pipit", swiftSettings: settings),

    .target(name: "CTestSupport", path: "Tests/CTestSupport"),
    .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
    tests("KernelTests", needs: ["Kernels", "Tensors"], extra: ["CKernels"]),
    tests("GraphTests", needs: ["Graph", "Tensors"]),
    tests(
      "RuntimeTests", needs: ["Models", "Runtime", "Graph", "Kernels", "Tensors"],
      extra: ["CTestSupport"]),
    tests("FormatTests", needs: ["Formats", "Tensors"]),
    tests("TokenizerTests", needs: ["Tokenizers"], exclude: ["Goldens"]),
    tests(
      "ModelTests", needs: ["Models", "Formats", "Runtime", "Kernels", "Graph", "Tensors"],
      exclude: ["Goldens", "parity"]),
    tests(
      "PipelineTests",
      needs: ["Pipelines", "Formats", "Tokenizers", "Graph", "Kernels", "Tensors"],
      exclude: ["Goldens"]),
    tests(
      "QuantizeTests", needs: ["Quantize", "Pipelines", "Formats", "Kernels", "Tensors"],
      exclude: ["Goldens"]),
    tests("BenchmarkTests", needs: ["Benchmarks", "Runtime", "Kernels", "Graph", "Tensors"]),
    tests("CommandTests", needs: [], extra: ["pipit"]),
    tests("TidyTests", needs: []),
  ],
  cLanguageStandard: .c17
)
