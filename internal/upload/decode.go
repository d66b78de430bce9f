package upload

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// Decode reads the pixels of a PNG, JPEG or WebP file. Of a PNG that Encode wrote they are the very ones it was given;
// the other formats lose detail, and equal files have equal ones.
//
// Errors: ErrNoPicture, and a description of what is wrong with the file.
func Decode(file []byte) (Picture, error) {
	var config func(io.Reader) (image.Config, error)
	var decode func(io.Reader) (image.Image, error)
	format := formatOf(file)
	switch format {
	case PNG:
		config, decode = png.DecodeConfig, png.Decode
	case JPEG:
		config, decode = jpeg.DecodeConfig, jpeg.Decode
	case WebP:
		config, decode = webp.DecodeConfig, webp.Decode
	default:
		return Picture{}, ErrNoPicture
	}
	c, err := config(bytes.NewReader(file))
	if err == nil && (c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide) {
		err = fmt.Errorf("it has %d×%d pixels, want 1 to %d a side", c.Width, c.Height, maxSide)
	}
	if err != nil {
		return Picture{}, fmt.Errorf("decoding the %s file: %w", format, err)
	}
	img, err := decode(bytes.NewReader(file))
	if err != nil {
		return Picture{}, fmt.Errorf("decoding the %s file: %w", format, err)
	}
	return rgb(img), nil
}

// rgb takes the pixels of an image; alpha, which no picture of ours has, is over black.
func rgb(img image.Image) Picture {
	b := img.Bounds()
	full, ok := img.(*image.RGBA)
	if !ok || b.Min != (image.Point{}) {
		full = image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
		draw.Draw(full, full.Bounds(), img, b.Min, draw.Src)
	}
	p := Picture{Width: b.Dx(), Height: b.Dy(), Pix: make([]byte, 0, 3*b.Dx()*b.Dy())}
	for y := range p.Height {
		row := full.Pix[y*full.Stride:][:4*p.Width]
		for i := 0; i < len(row); i += 4 {
			p.Pix = append(p.Pix, row[i:i+3]...)
		}
	}
	return p
}
