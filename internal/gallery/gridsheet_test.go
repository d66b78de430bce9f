package gallery

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// drawn encodes a sheet and reads it back, and gives where the layout has put things.
func drawn(t *testing.T, s GridSheet) (image.Image, *gridLayout) {
	t.Helper()
	var file bytes.Buffer
	if err := s.Encode(&file); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.lay()
	if err != nil {
		t.Fatal(err)
	}
	if img.Bounds().Size() != l.size {
		t.Errorf("the sheet is %v, laid out for %v", img.Bounds().Size(), l.size)
	}
	return img, l
}

// shade is a colour of its own for each cell.
func shade(x, y int) color.RGBA { return color.RGBA{uint8(40 + 20*x), uint8(60 + 30*y), 200, 255} }

// dimension has n values.
func dimension(name string, n int) Dimension {
	d := Dimension{Name: name}
	for i := range n {
		d.Values = append(d.Values, fmt.Sprint(i+1))
	}
	return d
}

func TestGridSheetPlacesEveryCell(t *testing.T) {
	for _, box := range []image.Point{{MinCell, MinCell}, {128, 96}, {256, 256}, {300, 500}} {
		t.Run(fmt.Sprint(box), func(t *testing.T) {
			var asked []image.Point
			img, l := drawn(t, GridSheet{
				Title: "a red apple", Subtitle: "seed × guidance_scale", X: dimension("seed", 3), Y: dimension("guidance_scale", 2), Box: box,
				Cell: func(x, y int) (Thumbnail, error) {
					asked = append(asked, image.Pt(x, y))
					if x == 1 && y == 1 {
						return Thumbnail{Missing: "failed", Reason: "model_error: it broke"}, nil
					}
					return Thumbnail{Image: plain(box.X, box.Y, shade(x, y))}, nil
				},
			})
			if diff := cmp.Diff([]image.Point{{0, 0}, {1, 0}, {2, 0}, {0, 1}, {1, 1}, {2, 1}}, asked); diff != "" {
				t.Errorf("cells asked for (-want +got):\n%s", diff)
			}
			for y := range 2 {
				for x := range 3 {
					at := image.Rectangle{Max: box}.Add(image.Pt(l.left(x), l.head+y*(box.Y+l.gap)))
					middle := at.Min.Add(box.Div(2))
					if x == 1 && y == 1 {
						if got := count(img, at, blank); got < box.X*box.Y/3 {
							t.Errorf("the missing cell has %d pixels of its paper", got)
						}
						if count(img, at, bad) == 0 {
							t.Error("the missing cell does not say what happened")
						}
					} else if got := img.At(middle.X, middle.Y); got != shade(x, y) {
						t.Errorf("cell %d, %d is %v in the middle, want %v", x, y, got, shade(x, y))
					}
					label := image.Rect(at.Min.X, l.labels+l.line+l.line/3, at.Max.X, l.head)
					if count(img, label, ink) == 0 {
						t.Errorf("column %d has no label", x)
					}
				}
				label := image.Rect(l.margin, l.head+y*(box.Y+l.gap), l.margin+l.gutter-l.gap+1, l.head+y*(box.Y+l.gap)+box.Y)
				if count(img, label, ink) == 0 {
					t.Errorf("row %d has no label", y)
				}
			}
		})
	}
}

// TestGridSheetLabels: whatever the values are, labels stay within their places and the pictures free of them.
func TestGridSheetLabels(t *testing.T) {
	long := strings.Repeat("an oil painting of a lighthouse, ", 40)
	values := []string{long, "18446744073709551615", strings.Repeat("x", 300), "", "ein Fuchs über dem Fluß", "日本語の猫", "a 🦊 fox"}
	for _, side := range []int{MinCell, 256} {
		img, l := drawn(t, GridSheet{
			Title: long, Subtitle: long, X: Dimension{"prompt", values}, Y: Dimension{"negative_prompt", values}, Box: image.Pt(side, side),
			Cell: func(int, int) (Thumbnail, error) {
				return Thumbnail{Image: plain(side, side, color.RGBA{0, 255, 0, 255})}, nil
			},
		})
		want := []string{"", "", "", "(none)", "", "no. 6", "a fox"}
		for i := range values {
			if want[i] != "" && strings.Join(strings.Fields(strings.Join(l.columns[i], " ")), " ") != want[i] && side > MinCell {
				t.Errorf("column %d is labelled %q, want %q", i, l.columns[i], want[i])
			}
			for j := range values {
				at := image.Rectangle{Max: l.Box}.Add(image.Pt(l.left(i), l.head+j*(side+l.gap)))
				if n := count(img, at, ink); n > 0 {
					t.Errorf("cell %d, %d has %d pixels of ink on it", i, j, n)
				}
			}
		}
		if right := image.Rect(l.size.X-l.margin/2, 0, l.size.X, l.size.Y); count(img, right, ink) > 0 {
			t.Error("text runs into the margin on the right")
		}
	}
}

func TestGridSheetOfOneDimension(t *testing.T) {
	cell := func(int, int) (Thumbnail, error) { return Thumbnail{Missing: "no picture"}, nil }
	_, both := drawn(t, GridSheet{X: dimension("seed", 1), Y: dimension("steps", 1), Box: image.Pt(64, 64), Cell: cell})
	_, row := drawn(t, GridSheet{X: dimension("seed", 1), Box: image.Pt(64, 64), Cell: cell})
	_, none := drawn(t, GridSheet{Box: image.Pt(64, 64), Cell: cell})
	if both.gutter == 0 || row.gutter != 0 || none.gutter != 0 {
		t.Errorf("room for the labels of rows: %d, %d and %d; want some, none and none", both.gutter, row.gutter, none.gutter)
	}
	if none.head >= row.head {
		t.Errorf("without columns the head takes %d pixels, with them %d", none.head, row.head)
	}
}

func TestGridSheetParts(t *testing.T) {
	for _, tc := range []struct {
		columns, rows, side int
		want                []string // subtitles
	}{
		{4, 3, 256, []string{"s"}},
		{100, 2, 256, []string{"s · seed 1–58 of 100", "s · seed 59–100 of 100"}},
		{1, 20, 1024, []string{"s · steps 1–15 of 20", "s · steps 16–20 of 20"}},
	} {
		s := GridSheet{Subtitle: "s", X: dimension("seed", tc.columns), Y: dimension("steps", tc.rows), Box: image.Pt(tc.side, tc.side)}
		seen := map[image.Point]int{}
		s.Cell = func(x, y int) (Thumbnail, error) { seen[image.Pt(x, y)]++; return Thumbnail{}, nil }
		var subtitles []string
		for _, part := range s.Parts() {
			subtitles = append(subtitles, part.Subtitle)
			l, err := part.lay()
			if err != nil {
				t.Fatal(err)
			}
			if l.size.X > MaxSide || l.size.Y > MaxSide || l.size.X*l.size.Y > maxArea {
				t.Errorf("a part of %d×%d cells is %v", tc.columns, tc.rows, l.size)
			}
			for y := range part.Y.Len() {
				for x := range part.X.Len() {
					if _, err := part.Cell(x, y); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if diff := cmp.Diff(tc.want, subtitles); diff != "" {
			t.Errorf("%d×%d cells of %d (-want +got):\n%s", tc.columns, tc.rows, tc.side, diff)
		}
		if len(seen) != tc.columns*tc.rows {
			t.Errorf("the parts have %d cells, want %d", len(seen), tc.columns*tc.rows)
		}
		for at, n := range seen {
			if n != 1 || at.X >= tc.columns || at.Y >= tc.rows {
				t.Errorf("cell %v is drawn %d times", at, n)
			}
		}
	}
}

// TestGridSheetPartsCountOn: values that the type cannot write have numbers, which do not begin again in each part.
func TestGridSheetPartsCountOn(t *testing.T) {
	const values = 60
	d := Dimension{Name: "prompt"}
	for range values {
		d.Values = append(d.Values, "猫")
	}
	for _, s := range []GridSheet{{X: d, Box: image.Pt(256, 256)}, {Y: d, Box: image.Pt(1024, 1024)}} {
		var got []string
		for _, part := range s.Parts() {
			l, err := part.lay()
			if err != nil {
				t.Fatal(err)
			}
			labels := l.columns
			if s.Y.Name != "" {
				labels = l.rows
			}
			for _, lines := range labels {
				got = append(got, strings.Join(lines, " "))
			}
		}
		var want []string
		for i := range values {
			want = append(want, fmt.Sprintf("no. %d", i+1))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
	}
}

func TestGridSheetErrors(t *testing.T) {
	broken := errors.New("the file is gone")
	s := GridSheet{Box: image.Pt(64, 64), Cell: func(int, int) (Thumbnail, error) { return Thumbnail{}, broken }}
	if err := s.Encode(io.Discard); !errors.Is(err, broken) {
		t.Errorf("Encode of a cell that cannot be had: %v, want its error", err)
	}
	for _, box := range []image.Point{{}, {MinCell, MaxCell + 1}} {
		s.Box = box
		if err := s.Encode(io.Discard); err == nil || errors.Is(err, broken) {
			t.Errorf("Encode with cells of %v: %v", box, err)
		}
	}
}

// TestBands draws bands out of order, as an encoder would not.
func TestBands(t *testing.T) {
	drawn := 0
	b := &bands{size: image.Pt(4, 9), edges: []int{0, 2, 2, 6, 9}, draw: func(i int, band *image.RGBA) error {
		drawn++
		for y := band.Rect.Min.Y; y < band.Rect.Max.Y; y++ {
			for x := range 4 {
				band.SetRGBA(x, y, color.RGBA{uint8(i), uint8(x), uint8(y), 255})
			}
		}
		return nil
	}}
	of := []int{0, 0, 2, 2, 2, 2, 3, 3, 3}
	for _, y := range []int{0, 1, 2, 5, 6, 8, 3, 0, 8} {
		if got, want := b.At(1, y), (color.RGBA{uint8(of[y]), 1, uint8(y), 255}); got != want {
			t.Errorf("row %d is %v, want %v", y, got, want)
		}
	}
	if drawn != 6 {
		t.Errorf("%d bands were drawn, want 6", drawn)
	}
}

func TestLegible(t *testing.T) {
	f, err := loadTypeAt(20, 20, 20)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"a cat": "a cat", "Füchse, Ωmega, Жар": "Füchse, Ωmega, Жар", "a 🦊 in the snow": "a  in the snow",
		"猫": "else", "": "else", "   ": "else", "tab\tand\nline": "tab and line", "→ ↓ × – …": "→ ↓ × – …",
	} {
		if got := f.legible(text, "else"); got != want {
			t.Errorf("legible(%q) = %q, want %q", text, got, want)
		}
	}
}

func BenchmarkGridSheet(b *testing.B) {
	picture := plain(256, 256, color.RGBA{1, 2, 3, 255})
	s := GridSheet{Title: "t", X: dimension("seed", 16), Y: dimension("steps", 16), Box: image.Pt(256, 256), Cell: func(int, int) (Thumbnail, error) { return Thumbnail{Image: picture}, nil }}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Encode(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
