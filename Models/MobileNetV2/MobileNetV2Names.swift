import PipitGraph

extension MobileNetV2 {
  /// What a convolution does in a block.
  enum Part { case first, expansion, depthwise, reduction }

  /// Where the tensors lie: transformers, torchvision and timm each have names of their own.
  enum Names {
    case transformers, torchvision, timm

    init(_ g: GraphBuilder) throws {
      if try g.has(Scope("features.0.0.weight")) {
        self = .torchvision
      } else if try g.has(Scope("conv_stem.weight")) {
        self = .timm
      } else {
        self = .transformers
      }
    }

    /// How many blocks each of timm's stages has, behind the stem's own.
    private static let stages = [2, 3, 4, 3, 3, 1]

    func stem(_ part: Part) -> NormedConvolution {
      switch self {
      case .transformers:
        let scope = Scope("mobilenet_v2.conv_stem")
        return NormedConvolution(at: scope / (part == .first ? "first_conv" : Names.own(part)))
      case .torchvision:
        let scope = Scope("features")
        switch part {
        case .reduction: return NormedConvolution(scope / "1.conv.1", scope / "1.conv.2")
        case .first, .expansion: return NormedConvolution(scope / "0.0", scope / "0.1")
        case .depthwise: return NormedConvolution(scope / "1.conv.0.0", scope / "1.conv.0.1")
        }
      case .timm:
        let scope = Scope("blocks.0.0")
        switch part {
        case .reduction: return NormedConvolution(scope / "conv_pw", scope / "bn2")
        case .first, .expansion: return NormedConvolution(Scope("conv_stem"), Scope("bn1"))
        case .depthwise: return NormedConvolution(scope / "conv_dw", scope / "bn1")
        }
      }
    }

    func block(_ index: Int, _ part: Part) -> NormedConvolution {
      switch self {
      case .transformers:
        return NormedConvolution(at: Scope("mobilenet_v2.layer") / index / Names.own(part))
      case .torchvision:
        // Two lie before: the stem's convolution and its block.
        let scope = Scope("features") / (index + 2) / "conv"
        switch part {
        case .first, .expansion: return NormedConvolution(scope / "0.0", scope / "0.1")
        case .depthwise: return NormedConvolution(scope / "1.0", scope / "1.1")
        case .reduction: return NormedConvolution(scope / "2", scope / "3")
        }
      case .timm:
        let scope = Names.timmBlock(index)
        switch part {
        case .first, .expansion: return NormedConvolution(scope / "conv_pw", scope / "bn1")
        case .depthwise: return NormedConvolution(scope / "conv_dw", scope / "bn2")
        case .reduction: return NormedConvolution(scope / "conv_pwl", scope / "bn3")
        }
      }
    }

    var last: NormedConvolution {
      switch self {
      case .transformers: NormedConvolution(at: Scope("mobilenet_v2.conv_1x1"))
      case .torchvision: NormedConvolution(Scope("features.18.0"), Scope("features.18.1"))
      case .timm: NormedConvolution(Scope("conv_head"), Scope("bn2"))
      }
    }

    var classifier: Scope { Scope(self == .torchvision ? "classifier.1" : "classifier") }

    private static func own(_ part: Part) -> String {
      switch part {
      case .first, .expansion: "expand_1x1"
      case .depthwise: "conv_3x3"
      case .reduction: "reduce_1x1"
      }
    }

    private static func timmBlock(_ index: Int) -> Scope {
      var rest = index
      for (stage, count) in stages.enumerated() {
        if rest < count { return Scope("blocks") / (stage + 1) / rest }
        rest -= count
      }
      preconditionFailure("block \(index) of 16")
    }
  }
}
