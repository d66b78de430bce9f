package upload

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"testing"
)

// BenchmarkPNG compares the writer with image/png on the same pictures: ns/op is the time, KB/file the size.
func BenchmarkPNG(b *testing.B) {
	var encoder Encoder
	for _, size := range []int{128, 512, 1024} {
		for name, picture := range map[string]Picture{"photo": photo(size, size), "flat": flat(size, size)} {
			writers := []struct {
				name  string
				write func() (int, error)
			}{
				{"stipple", func() (int, error) {
					data, _, err := encoder.Encode(picture, PNG, 0, catMeta())
					return len(data), err
				}},
				{"image_png_default", standard(picture, png.DefaultCompression)},
				{"image_png_bestspeed", standard(picture, png.BestSpeed)},
			}
			for _, w := range writers {
				b.Run(fmt.Sprintf("%s%d/%s", name, size, w.name), func(b *testing.B) {
					b.SetBytes(int64(len(picture.Pix)))
					b.ReportAllocs()
					var written int
					for b.Loop() {
						var err error
						if written, err = w.write(); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(written)/1024, "KB/file")
				})
			}
		}
	}
}

// standard writes the picture with image/png, from the form the engine would have to convert it to.
func standard(p Picture, level png.CompressionLevel) func() (int, error) {
	img := image.NewNRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i, j := 0, 0; i < len(p.Pix); i, j = i+3, j+4 {
		img.Pix[j], img.Pix[j+1], img.Pix[j+2], img.Pix[j+3] = p.Pix[i], p.Pix[i+1], p.Pix[i+2], 0xFF
	}
	encoder := png.Encoder{CompressionLevel: level}
	return func() (int, error) {
		var buf bytes.Buffer
		err := encoder.Encode(&buf, img)
		return buf.Len(), err
	}
}

func BenchmarkJPEG(b *testing.B) {
	picture := photo(512, 512)
	b.SetBytes(int64(len(picture.Pix)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Encode(picture, JPEG, 0, catMeta()); err != nil {
			b.Fatal(err)
		}
	}
}
