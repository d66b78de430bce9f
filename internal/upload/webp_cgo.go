//go:build cgo

package upload

import (
	"image"

	"github.com/chai2010/webp"
)

// webpEncodable says that this build has libwebp.
const webpEncodable = true

// encodeVP8 is libwebp's lossy encoder. It returns a simple WebP file.
func encodeVP8(p Picture, quality int) ([]byte, error) {
	return webp.EncodeRGB(&webp.RGBImage{XPix: p.Pix, XStride: 3 * p.Width, XRect: image.Rect(0, 0, p.Width, p.Height)}, float32(quality))
}
