package gallery

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"

	xdraw "golang.org/x/image/draw"
)

// Tile is one picture of a contact sheet.
type Tile struct {
	Image   image.Image
	Caption string // wrapped to two lines; the tile's number where the type lacks its letters
	Note    string // one line below, smaller
}

// Sheet draws tiles as a grid under a title, one picture after the other, about three wide by two high.
type Sheet struct {
	Title, Subtitle string
	Tiles           []Tile // one at least
}

// Sizes of a sheet, in pixels.
const (
	tileSize   = 256 // of a picture's box; smaller and larger pictures are scaled to fit it
	tileGap    = 32
	tileRadius = 22  // of a picture's corners
	textHeight = 108 // below a picture
	margin     = 64
	headHeight = 120
	lineHeight = 27
	titleSize  = 46 // of the type, and so on
	textSize   = 21
	noteSize   = 16
)

// Colours of a sheet, red in the highest byte of three.
const (
	paper rgb = 0xFBFAF7
	ink   rgb = 0x1C1B22
	faint rgb = 0x6B6976
	brand rgb = 0x5B4BDB
	bad   rgb = 0xB3261E
	rule  rgb = 0xE5E2DA // round what is missing
	blank rgb = 0xF3F1EB // and inside it
)

// rgb is an opaque colour.
type rgb uint32

// RGBA implements color.Color.
func (c rgb) RGBA() (r, g, b, a uint32) {
	return uint32(c>>16&0xFF) * 0x101, uint32(c>>8&0xFF) * 0x101, uint32(c&0xFF) * 0x101, 0xFFFF
}

// Draw returns the sheet.
func (s Sheet) Draw() (*image.RGBA, error) {
	if len(s.Tiles) == 0 {
		return nil, errors.New("drawing a contact sheet: there are no pictures")
	}
	t, err := loadTypeAt(titleSize, textSize, noteSize)
	if err != nil {
		return nil, fmt.Errorf("drawing a contact sheet: %w", err)
	}
	columns := s.columns()
	rows := (len(s.Tiles) + columns - 1) / columns
	width := 2*margin + columns*(tileSize+tileGap) - tileGap
	height := margin + headHeight + rows*(tileSize+textHeight) + margin/4
	sheet := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(sheet, sheet.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)

	stipple(sheet, image.Rect(width/2, 0, width, margin+headHeight-tileGap))
	t.line(sheet, t.title, ink, margin, margin+titleSize-6, s.Title)
	t.line(sheet, t.text, faint, margin, margin+titleSize+32, s.Subtitle)
	for i, tile := range s.Tiles {
		x := margin + i%columns*(tileSize+tileGap)
		y := margin + headHeight + i/columns*(tileSize+textHeight)
		place(sheet, image.Rect(x, y, x+tileSize, y+tileSize), tile.Image)
		y += tileSize + lineHeight
		caption := tile.Caption
		if caption != "" {
			caption = t.legible(caption, fmt.Sprintf("no. %d", i+1))
		}
		for _, line := range wrap(t.text, caption, tileSize, 2) {
			t.line(sheet, t.text, ink, x, y, line)
			y += lineHeight
		}
		t.line(sheet, t.note, faint, x, y-2, tile.Note)
	}
	return sheet, nil
}

// columns is the width of the grid: three columns for two rows.
func (s Sheet) columns() int {
	return max(1, min(len(s.Tiles), int(math.Ceil(math.Sqrt(1.5*float64(len(s.Tiles)))))))
}

// place draws a picture into box, as large as fits, with round corners.
func place(dst draw.Image, box image.Rectangle, picture image.Image) {
	scaled := Fit(picture, box.Size())
	size := scaled.Bounds().Size()
	at := box.Min.Add(box.Size().Sub(size).Div(2))
	draw.DrawMask(dst, image.Rectangle{Min: at, Max: at.Add(size)}, scaled, image.Point{}, rounded{size, tileRadius}, image.Point{}, draw.Over)
}

// Fit is a picture as large as fits into a box, a pixel a side at least.
func Fit(picture image.Image, box image.Point) *image.RGBA {
	b := picture.Bounds()
	size := box // one side of it stays, whole numbers see to that; the other is the picture's share
	if w, h := b.Dx()*box.Y, b.Dy()*box.X; w > h {
		size.Y = max(1, h/b.Dx())
	} else if w < h {
		size.X = max(1, w/b.Dy())
	}
	scaled := image.NewRGBA(image.Rectangle{Max: size})
	xdraw.CatmullRom.Scale(scaled, scaled.Bounds(), picture, b, xdraw.Src, nil)
	return scaled
}

// stipple fills box with dots that grow from nothing at its lower left to its upper right.
func stipple(dst draw.Image, box image.Rectangle) {
	const pitch = 14
	for y := box.Min.Y; y < box.Max.Y; y += pitch {
		for x := box.Min.X; x < box.Max.X; x += pitch {
			right := float64(x-box.Min.X) / float64(box.Dx())
			up := 1 - float64(y-box.Min.Y)/float64(box.Dy())
			d := int(1.3 * pitch * right * right * up)
			if d == 0 {
				continue
			}
			at := image.Pt(x+(pitch-d)/2, y+(pitch-d)/2)
			draw.DrawMask(dst, image.Rectangle{Min: at, Max: at.Add(image.Pt(d, d))}, image.NewUniform(brand), image.Point{},
				rounded{image.Pt(d, d), float64(d) / 2}, image.Point{}, draw.Over)
		}
	}
}

// rounded is the mask of a rectangle with round corners: a circle where radius is half its side.
type rounded struct {
	size   image.Point
	radius float64
}

// ColorModel implements image.Image.
func (r rounded) ColorModel() color.Model { return color.AlphaModel }

// Bounds implements image.Image.
func (r rounded) Bounds() image.Rectangle { return image.Rectangle{Max: r.size} }

// At implements image.Image: opaque inside, with an edge of one pixel's width.
func (r rounded) At(x, y int) color.Color {
	w, h := float64(r.size.X), float64(r.size.Y)
	radius := min(r.radius, w/2, h/2)
	// The distance from the pixel's middle to the rectangle in which the corners' circles have their middles.
	px, py := float64(x)+0.5, float64(y)+0.5
	dx := max(radius-px, 0, px-(w-radius))
	dy := max(radius-py, 0, py-(h-radius))
	inside := radius - math.Hypot(dx, dy) + 0.5
	return color.Alpha{uint8(255 * max(0, min(1, inside)))}
}
