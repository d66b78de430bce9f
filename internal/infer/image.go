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

// newImage turns a decoder's output [3,H,W], about -1 to 1, into 8 bits. A picture with NaN or infinite values, or a flat one (max − min ≤ 1 over all channels), is
// an error of type bad_image: a broken VAE or sampler makes those.
func newImage(v []float32, width, height int) (Image, error) {
	n := width * height
	if len(v) != 3*n {
		return Image{}, &Error{Type: "model_error", Err: fmt.Errorf("the VAE gave %d values for a picture of %d × %d", len(v), width, height)}
	}
	if !finite(v) {
		return Image{}, badImage("the VAE gives NaN or infinite values: a decoder in float16 overflows so; put one in float32 into vae_decoder_fp32 (docs/models.md)")
	}
	img := Image{Width: width, Height: height, Pix: make([]byte, 3*n)}
	red, green, blue := v[:n], v[n:2*n], v[2*n:]
	for i := range n {
		pixel := img.Pix[3*i : 3*i+3]
		pixel[0], pixel[1], pixel[2] = eightBits(red[i]), eightBits(green[i]), eightBits(blue[i])
	}
	if lo, hi := bounds(img.Pix); hi-lo <= 1 {
		return Image{}, badImage("the picture is flat (all values %d to %d): the model gives nothing for this job", lo, hi)
	}
	return img, nil
}

// eightBits is what diffusers makes of a value: clamp(v/2 + 0.5, 0, 1) · 255, half to even.
func eightBits(v float32) byte {
	const integers = 1 << 23 // from here on float32 has no fractions: the sum is rounded as it should be, and ends in the bits of the integer
	v = min(max(v/2+0.5, 0), 1)
	return byte(math.Float32bits(float32(v*255) + integers))
}

// bounds are the least and the greatest value of a picture, or of its beginning where they differ by more than 1 there.
func bounds(pix []byte) (lo, hi byte) {
	lo, hi = 255, 0
	for _, b := range pix {
		if lo, hi = min(lo, b), max(hi, b); hi-lo > 1 {
			break
		}
	}
	return lo, hi
}
