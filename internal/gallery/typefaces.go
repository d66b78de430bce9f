package gallery

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"strings"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// typefaces are the faces of a sheet, from the Go fonts.
type typefaces struct {
	title, text, note font.Face
	letters           *sfnt.Font // of text; the others have the same
}

// loadTypeAt returns the faces in these sizes, in pixels.
func loadTypeAt(title, text, note float64) (typefaces, error) {
	var t typefaces
	for _, f := range []struct {
		dst  *font.Face
		ttf  []byte
		size float64
	}{{&t.title, gobold.TTF, title}, {&t.note, gomono.TTF, note}, {&t.text, goregular.TTF, text}} {
		parsed, err := opentype.Parse(f.ttf)
		if err != nil {
			return t, fmt.Errorf("reading a font: %w", err)
		}
		if *f.dst, err = opentype.NewFace(parsed, &opentype.FaceOptions{Size: f.size, DPI: 72, Hinting: font.HintingNone}); err != nil {
			return t, fmt.Errorf("scaling a font: %w", err)
		}
		t.letters = parsed
	}
	return t, nil
}

// line writes text with its baseline's left end at x, y.
func (typefaces) line(dst draw.Image, face font.Face, c color.Color, x, y int, text string) {
	d := font.Drawer{Dst: dst, Src: image.NewUniform(c), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
}

// legible is text without the characters that the type cannot show, which has Latin, Greek and Cyrillic; or instead
// where it loses more than half of its letters by that.
func (t typefaces) legible(text, instead string) string {
	var buffer sfnt.Buffer
	var kept strings.Builder
	letters, lost := 0, 0
	for _, r := range text {
		letter := !unicode.IsSpace(r)
		if letter {
			letters++
		}
		glyph, err := t.letters.GlyphIndex(&buffer, r)
		switch {
		case unicode.IsSpace(r):
			kept.WriteByte(' ')
		case err != nil || glyph == 0:
			lost++
		default:
			kept.WriteRune(r)
		}
	}
	if letters == 0 || 2*lost > letters {
		return instead
	}
	return strings.TrimSpace(kept.String())
}
