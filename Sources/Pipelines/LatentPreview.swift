package import PipitFormats

/// A rough picture of latents without a decoder: each colour a weighted sum of the channels.
package struct LatentPreview {
  /// Colours of each of the four channels of Stable Diffusion 1.x and 2.x, from -1 to 1: a fit to what the
  /// decoder gives (K. Turner, "Decoding latents to RGB without upscaling", Hugging Face forum 2022).
  private static let colours: [[Float]] = [
    [0.298, 0.207, 0.208], [0.187, 0.286, 0.173], [-0.158, 0.189, 0.264], [-0.184, -0.271, -0.473],
  ]

  /// Whether there are colours for that many channels.
  package static func knows(channels: Int) -> Bool { channels == colours.count }

  /// A picture of latents `[channels, height, width]` in the denoiser's scale, eight pixels a side for each.
  package static func picture(_ latents: [Float], width: Int, height: Int) -> Picture {
    let count = width * height
    precondition(latents.count == colours.count * count)
    var pixels = [UInt8](repeating: 0, count: 3 * count)
    for index in 0..<count {
      for colour in 0..<3 {
        var sum: Float = 0
        for channel in colours.indices {
          sum += colours[channel][colour] * latents[channel * count + index]
        }
        let level = (sum + 1) * 127.5
        // NaN becomes 0: min and max would let it through to a trapping conversion.
        pixels[3 * index + colour] = level >= 0 ? UInt8(min(level.rounded(), 255)) : 0
      }
    }
    return Resampling.bilinear.apply(
      Picture(width: width, height: height, pixels: pixels), width: 8 * width, height: 8 * height)
  }
}
