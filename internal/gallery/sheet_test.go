package gallery

import (
	"image"
	"image/color"
	"image/draw"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// plain is a picture of one colour.
func plain(w, h int, c color.Color) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(img, img.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

func TestSheetPlacesEveryPicture(t *testing.T) {
	tiles := []Tile{
		{Image: plain(128, 128, color.RGBA{255, 0, 0, 255}), Caption: "red", Note: "seed 1"},
		{Image: plain(512, 256, color.RGBA{0, 255, 0, 255}), Caption: "green and wide"},
		{Image: plain(1, 1, color.RGBA{0, 0, 255, 255}), Caption: "blue"},
		{Image: plain(128, 128, color.RGBA{255, 255, 0, 255}), Caption: "yellow, in the second row"},
	}
	sheet, err := Sheet{Title: "stipple", Subtitle: "four", Tiles: tiles}.Draw()
	if err != nil {
		t.Fatal(err)
	}
	if want := image.Pt(2*margin+3*tileSize+2*tileGap, margin+headHeight+2*(tileSize+textHeight)+margin/4); sheet.Bounds().Size() != want {
		t.Errorf("the sheet is %v, want %v: three columns and two rows", sheet.Bounds().Size(), want)
	}
	for i, want := range []color.Color{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}, color.RGBA{255, 255, 0, 255}} {
		x, y := margin+i%3*(tileSize+tileGap), margin+headHeight+i/3*(tileSize+textHeight)
		if got := sheet.At(x+tileSize/2, y+tileSize/2); got != want {
			t.Errorf("picture %d is %v in the middle, want %v", i, got, want)
		}
		if got, want := sheet.At(x, y), color.RGBAModel.Convert(paper); got != want {
			t.Errorf("picture %d is %v in the corner, want the paper's %v: corners are round", i, got, want)
		}
		caption := image.Rect(x, y+tileSize+2, x+tileSize, y+tileSize+lineHeight+4)
		if n := count(sheet, caption, ink); n == 0 {
			t.Errorf("picture %d has no caption", i)
		}
	}
	// The wide one keeps its shape: paper above it.
	if got, want := sheet.At(margin+tileSize+tileGap+tileSize/2, margin+headHeight+10), color.RGBAModel.Convert(paper); got != want {
		t.Errorf("above the wide picture is %v, want the paper's %v", got, want)
	}
}

// count is how many pixels of area have the colour.
func count(img image.Image, area image.Rectangle, c color.Color) int {
	n, want := 0, color.RGBAModel.Convert(c)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			if img.At(x, y) == want {
				n++
			}
		}
	}
	return n
}

// TestFit: a picture fills the box one way to the pixel, also where its share of it is not exact in binary.
func TestFit(t *testing.T) {
	for _, tc := range []struct{ picture, want image.Point }{
		{image.Pt(256, 256), image.Pt(256, 256)},
		{image.Pt(64, 64), image.Pt(256, 256)},
		{image.Pt(392, 392), image.Pt(256, 256)}, // 256/392*392 is 255.99999999999997
		{image.Pt(392, 196), image.Pt(256, 128)},
		{image.Pt(196, 392), image.Pt(128, 256)},
		{image.Pt(300, 200), image.Pt(256, 170)},
		{image.Pt(2000, 1), image.Pt(256, 1)},
		{image.Pt(1, 2000), image.Pt(1, 256)},
	} {
		if got := Fit(image.NewRGBA(image.Rectangle{Max: tc.picture}), image.Pt(256, 256)).Bounds().Size(); got != tc.want {
			t.Errorf("%v fits as %v, want %v", tc.picture, got, tc.want)
		}
	}
}

// TestSheetCaptionWithoutLetters: a caption that the type cannot write is no row of boxes.
func TestSheetCaptionWithoutLetters(t *testing.T) {
	picture := plain(8, 8, ink)
	draw := func(caption string) *image.RGBA {
		sheet, err := Sheet{Tiles: []Tile{{Image: picture}, {Image: picture, Caption: caption}}}.Draw()
		if err != nil {
			t.Fatal(err)
		}
		return sheet
	}
	if !slices.Equal(draw("日本語の猫").Pix, draw("no. 2").Pix) {
		t.Error("a caption in Japanese does not look like the number")
	}
}

func TestSheetOfNothing(t *testing.T) {
	if _, err := (Sheet{}).Draw(); err == nil {
		t.Error("a sheet without pictures was drawn, want an error")
	}
}

func TestWrap(t *testing.T) {
	face := basicfont.Face7x13 // seven pixels a character
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"a cat", []string{"a cat"}},
		{"  spaces \n in between  ", []string{"spaces in", "between"}},
		{"a cat on a blue background", []string{"a cat on a", "blue…"}},
		{"a cat on blue ground", []string{"a cat on", "blue ground"}},
		{"donaudampfschiff", []string{"donaudampfs", "chiff"}},
		{"donaudampfschiffahrtsgesellschaft", []string{"donaudampfs", "chiffahrts…"}},
		{"éééééééééééé", []string{"ééééééééééé", "é"}},
	} {
		if diff := cmp.Diff(tc.want, wrap(face, tc.text, 80, 2)); diff != "" {
			t.Errorf("wrap(%q) (-want +got):\n%s", tc.text, diff)
		}
	}
}

func FuzzWrap(f *testing.F) {
	f.Add("a cat on a blue background", 80, 2)
	f.Add("\xff\xfe é…", 1, 1)
	f.Fuzz(func(t *testing.T, text string, width, lines int) {
		width, lines = width&0xFFF, lines&7+1
		got := wrap(basicfont.Face7x13, text, width, lines)
		if len(got) > lines {
			t.Fatalf("%d lines, want at most %d", len(got), lines)
		}
		for _, line := range got {
			if line == "" {
				t.Error("an empty line")
			}
			if utf8.RuneCountInString(line) > 2 && font.MeasureString(basicfont.Face7x13, line) > fixed.I(width) {
				t.Errorf("line %q is wider than %d", line, width)
			}
		}
	})
}
