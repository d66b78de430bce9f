package infer

import (
	"errors"
	"fmt"
	"math"
)

// Image is 8-bit RGB, row by row, three bytes a pixel.
type Image struct {
	Width, Height int
	Pix           []byte
}

// errBadImage is what is wrong with a picture that no one would want.
var errBadImage = errors.New("bad image")

func badImage(format string, args ...any) error {
	return &Error{Type: "bad_image", Err: fmt.Errorf("%w: %w", errBadImage, fmt.Errorf(format, args...))}
}

// newImage turns a decoder's output [3,H,W], about -1 to 1, into 8 bits as diffusers does: clamp(v/2 + 0.5, 0, 1) · 255, half to even. A picture with NaN or
// infinite values, or a flat one (max − min ≤ 1 over all channels), is an error of type bad_image: a broken VAE or sampler makes those.
func newImage(v []float32, width, height int) (Image, error) {
	n := width * height
	if len(v) != 3*n {
		return Image{}, &Error{Type: "model_error", Err: fmt.Errorf("the VAE gave %d values for a picture of %d × %d", len(v), width, height)}
	}
	img := Image{Width: width, Height: height, Pix: make([]byte, 3*n)}
	lo, hi := byte(255), byte(0)
	bad := false
	for c := range 3 {
		plane := v[c*n : (c+1)*n]
		for i, f := range plane {
			// NaN fails every comparison, and so does what it makes; infinity is caught by the exponent.
			if f-f != 0 {
				bad = true
			}
			f = f/2 + 0.5
			f = min(max(f, 0), 1)
			b := byte(math.RoundToEven(float64(f * 255)))
			lo, hi = min(lo, b), max(hi, b)
			img.Pix[3*i+c] = b
		}
	}
	switch {
	case bad:
		return Image{}, badImage("the VAE gives NaN or infinite values: a decoder in float16 overflows so; put one in float32 into vae_decoder_fp32 (docs/models.md)")
	case hi-lo <= 1:
		return Image{}, badImage("the picture is flat (all values %d to %d): the model gives nothing for this job", lo, hi)
	}
	return img, nil
}
