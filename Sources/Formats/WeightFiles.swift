import Glibc
import PipitTensors

/// Which files of a component's folder hold its weights.
package struct WeightFiles: Sendable {
  /// Names of the safetensors files, one or several shards.
  package let names: [String]
  /// The name of the file that says which tensor lies in which shard; `nil` where one file has all.
  package let index: String?

  /// Names under which the field's libraries save weights, in the order in which they are looked for.
  private static let stems = ["model", "diffusion_pytorch_model", "pytorch_model"]

  package init(folder: String) throws {
    func exists(_ name: String) -> Bool { access(folder + "/" + name, F_OK) == 0 }
    for stem in WeightFiles.stems {
      for variant in ["", ".fp16"] {
        let name = stem + variant + ".safetensors"
        if exists(name) {
          (names, self.index) = ([name], nil)
          return
        }
        let index = stem + ".safetensors.index" + variant + ".json"
        if exists(index) {
          (names, self.index) = (try WeightFiles.shards(folder, index), index)
          return
        }
      }
    }
    let pickles = ["pytorch_model.bin", "diffusion_pytorch_model.bin", "model.ckpt", "model.pt"]
    if let pickle = pickles.first(where: exists) {
      throw FormatError(
        path: folder + "/" + pickle,
        expected: "safetensors weights (convert it with the library that made it)",
        found: "a pickle, which can run any code when it is read")
    }
    throw FormatError(
      path: folder, expected: "model.safetensors or diffusion_pytorch_model.safetensors",
      found: "neither")
  }

  private static func shards(_ folder: String, _ index: String) throws -> [String] {
    let path = folder + "/" + index
    let configuration = try JSON.configuration(path: path)
    guard let map = try configuration.object("weight_map") else {
      throw FormatError(path: path, part: "'weight_map'", expected: "an object", found: "none")
    }
    var names: Set<String> = []
    for key in map.values.keys { names.insert(try map.string(key)) }
    for name in names where name.isEmpty || name.contains("/") || name.hasPrefix(".") {
      throw FormatError(
        path: path, part: "'weight_map'", expected: "names of files beside it", found: "'\(name)'")
    }
    return names.sorted()
  }
}
