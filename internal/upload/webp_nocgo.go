//go:build !cgo

package upload

// webpEncodable says that this build has no libwebp, which is C.
const webpEncodable = false

func encodeVP8(Picture, int) ([]byte, error) { return nil, &FormatError{Format: WebP} }
