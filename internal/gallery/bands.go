package gallery

import (
	"image"
	"image/color"
)

// bands is an opaque image that is drawn a band at a time, from the top down: as png.Encode reads one. It holds one
// band; reading a row above it draws anew. One goroutine uses it.
type bands struct {
	size  image.Point
	edges []int                               // where each band begins, and the height
	draw  func(i int, band *image.RGBA) error // draws a band, whose bounds say where it is

	at   int         // the band that is held, from 1; 0 for none
	band *image.RGBA // nil before the first
	err  error       // the first; what is read after it is black
}

// ColorModel implements image.Image.
func (b *bands) ColorModel() color.Model { return color.RGBAModel }

// Bounds implements image.Image.
func (b *bands) Bounds() image.Rectangle { return image.Rectangle{Max: b.size} }

// Opaque says that nothing shines through, which an encoder would look for in every pixel.
func (b *bands) Opaque() bool { return true }

// At implements image.Image.
func (b *bands) At(x, y int) color.Color {
	if b.band == nil || y < b.band.Rect.Min.Y || y >= b.band.Rect.Max.Y {
		b.turn(y)
	}
	if b.err != nil {
		return color.RGBA{A: 0xFF}
	}
	return b.band.RGBAAt(x, y)
}

// turn draws the band of a row of pixels.
func (b *bands) turn(y int) {
	if b.err != nil {
		return
	}
	if b.at++; b.band == nil || y < b.band.Rect.Min.Y {
		b.at = 1
	}
	for y >= b.edges[b.at] {
		b.at++
	}
	b.band = image.NewRGBA(image.Rect(0, b.edges[b.at-1], b.size.X, b.edges[b.at]))
	b.err = b.draw(b.at-1, b.band)
}
