package gallery

import (
	_ "embed" // for the page's template and style
	"fmt"
	"html/template"
	"io"
	"iter"
	"strings"
	"time"
)

// GridPage is a grid of pictures as an HTML page: a table for each value of Z, with a row for each of Y and a column for
// each of X.
type GridPage struct {
	Title   string
	Lede    string
	X, Y, Z Dimension
	Common  []Fact               // what holds for all pictures
	Command string               // that makes the grid again
	Took    time.Duration        // in all; 0 leaves it out
	Drawn   int                  // pictures that are there
	Missing int                  // and that are not
	Size    int64                // of the files, in bytes
	Sheets  func(z int) []string // URLs of the contact sheets of a value of Z; nil for none

	// Cell gives the picture of a cell, at (z·Y.Len() + y)·X.Len() + x. It is called once for each, in order, while the page
	// is written.
	Cell func(i int) GridCell

	// ImageSources are the sources of a Content-Security-Policy from which the page loads its pictures, besides data: URLs.
	ImageSources string
}

// Fact is a name and a value.
type Fact struct{ Name, Value string }

// GridCell is a picture of a GridPage.
type GridCell struct {
	Alt     string       // what is on it
	Source  template.URL // of the picture: a relative URL, http, https, or data:image/…; "" for one that is missing
	File    string       // URL of the whole file, where that is another; "" for none
	Missing string       // what became of a picture that is missing: failed, cancelled
	Reason  string       // and why
	Width   int          // of the picture in pixels; 0 where it is not known
	Height  int
	Facts   []Fact
}

// PlacedCell is a cell with its place.
type PlacedCell struct {
	GridCell
	Number         int // of the cell, from 1
	Where          string
	Previous, Next int // numbers; 0 for none
}

var (
	//go:embed grid.html.tmpl
	gridTemplate string
	//go:embed grid.css
	gridStyle string
)

// Render writes the page as one HTML file without scripts, which loads no more than its pictures. All text is escaped.
// It works in dark and light, on narrow screens, by keyboard, and in print. It is written as cells are asked for, and so
// takes little memory however large the grid is.
func (p GridPage) Render(w io.Writer) error {
	return renderPage(w, "grid", gridTemplate, pageStyle+gridStyle, p)
}

// Policy is the value of img-src.
func (p GridPage) Policy() string { return strings.TrimSpace("data: " + p.ImageSources) }

// Summary is the grid in figures.
func (p GridPage) Summary() []Figure {
	figures := []Figure{{fmt.Sprint(p.Drawn), plural(p.Drawn, "picture")}}
	if p.Missing > 0 {
		figures = append(figures, Figure{fmt.Sprint(p.Missing), "missing"})
	}
	var sides []string
	for _, d := range []Dimension{p.X, p.Y, p.Z} {
		if d.Name != "" {
			sides = append(sides, fmt.Sprint(d.Len()))
		}
	}
	if len(sides) > 1 {
		figures = append(figures, Figure{strings.Join(sides, " × "), "grid"})
	}
	if p.Took > 0 {
		figures = append(figures, Figure{FormatDuration(p.Took), "in all"})
	}
	if p.Size > 0 {
		figures = append(figures, Figure{FormatBytes(p.Size), "stored"})
	}
	return figures
}

// Tables are the indexes of Z.
func (p GridPage) Tables() iter.Seq[int] { return indexes(p.Z.Len()) }

// Columns are the indexes of X.
func (p GridPage) Columns() iter.Seq[int] { return indexes(p.X.Len()) }

// Rows are the indexes of Y.
func (p GridPage) Rows() iter.Seq[int] { return indexes(p.Y.Len()) }

// Cells are the cells of a row.
func (p GridPage) Cells(z, y int) iter.Seq[PlacedCell] {
	return func(yield func(PlacedCell) bool) {
		total := p.X.Len() * p.Y.Len() * p.Z.Len()
		for x := range p.X.Len() {
			i := (z*p.Y.Len()+y)*p.X.Len() + x
			c := PlacedCell{GridCell: p.Cell(i), Number: i + 1, Where: p.where(x, y, z), Previous: i, Next: (i + 2) % (total + 1)}
			if !yield(c) {
				return
			}
		}
	}
}

// where names a place of the grid.
func (p GridPage) where(x, y, z int) string {
	var words []string
	for _, label := range []string{p.X.Label(x), p.Y.Label(y), p.Z.Label(z)} {
		if label != "" {
			words = append(words, label)
		}
	}
	return strings.Join(words, " · ")
}

// SheetsOf are the sheets of a value of Z.
func (p GridPage) SheetsOf(z int) []string {
	if p.Sheets == nil {
		return nil
	}
	return p.Sheets(z)
}

func indexes(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}
