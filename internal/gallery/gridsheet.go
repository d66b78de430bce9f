package gallery

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/math/fixed"
)

// Bounds of a grid's sheet, in pixels.
const (
	MinCell = 48    // side of a cell's picture
	MaxCell = 1024  // the same
	MaxSide = 16384 // of a sheet; viewers refuse much larger pictures
	maxArea = 1 << 26
)

// Thumbnail is a cell of a grid's sheet.
type Thumbnail struct {
	Image   image.Image // no larger than the sheet's Box; nil for a picture that is missing
	Missing string      // what became of that: failed, cancelled
	Reason  string      // and why
}

// GridSheet is one contact sheet of a grid: a column for each value of X, a row for each of Y. It is drawn a row at a
// time, so that a large one takes the memory of a row.
type GridSheet struct {
	Title    string      // wrapped to two lines
	Subtitle string      // wrapped to three
	X, Y     Dimension   // columns and rows
	Box      image.Point // the size of a cell's picture, MinCell to MaxCell a side: smaller ones stand in its middle

	// Cell gives the cell of a column and a row, each once, row by row.
	Cell func(x, y int) (Thumbnail, error)

	first image.Point // of a part: column and row of its first cell in the whole
}

// Parts cuts a sheet that would be larger than MaxSide into several, each with the labels of its rows and columns,
// and says in their subtitles which these are. Most sheets have one.
func (s GridSheet) Parts() []GridSheet {
	m := measuresOf(s.Box)
	columns := max(1, (MaxSide-2*m.margin-m.mostGutter-m.gap)/(s.Box.X+m.gap))
	width := 2*m.margin + max(m.least, m.mostGutter+m.gap+min(columns, s.X.Len())*(s.Box.X+m.gap))
	rows := max(1, (min(MaxSide, maxArea/width)-2*m.margin-m.mostHead())/(s.Box.Y+m.gap))
	var parts []GridSheet
	for y := 0; y < s.Y.Len(); y += rows {
		for x := 0; x < s.X.Len(); x += columns {
			toX, toY := min(x+columns, s.X.Len()), min(y+rows, s.Y.Len())
			part := s
			part.X, part.Y, part.first = s.X.part(x, toX), s.Y.part(y, toY), s.first.Add(image.Pt(x, y))
			part.Cell = func(column, row int) (Thumbnail, error) { return s.Cell(x+column, y+row) }
			words := slices.DeleteFunc([]string{s.Subtitle, s.X.span(x, toX), s.Y.span(y, toY)}, func(w string) bool { return w == "" })
			part.Subtitle = strings.Join(words, " · ")
			parts = append(parts, part)
		}
	}
	return parts
}

// Encode writes the sheet as PNG. Errors are those of Cell and of w, and of a Box out of bounds.
func (s GridSheet) Encode(w io.Writer) error {
	if min(s.Box.X, s.Box.Y) < MinCell || max(s.Box.X, s.Box.Y) > MaxCell {
		return fmt.Errorf("drawing a contact sheet: cells of %d×%d pixels, want %d to %d a side", s.Box.X, s.Box.Y, MinCell, MaxCell)
	}
	l, err := s.lay()
	if err != nil {
		return fmt.Errorf("drawing a contact sheet: %w", err)
	}
	b := &bands{size: l.size, edges: l.edges(), draw: l.draw}
	err = png.Encode(w, b)
	if err = errors.Join(b.err, err); err != nil {
		return fmt.Errorf("drawing a contact sheet: %w", err)
	}
	return nil
}

// measures are the sizes that follow from a cell's, in pixels.
type measures struct {
	margin, gap int
	radius      float64 // of the corners of pictures
	title, text float64 // of the type
	titleLine   int     // from one line of the title to the next
	line        int     // the same of other text
	mostGutter  int     // of the width of the rows' labels
	least       int     // of a sheet's width, without its margins: a title has to stand somewhere
}

// Lines of text, at most.
const (
	titleLines    = 2
	subtitleLines = 3
	columnLines   = 4 // of a column's label
)

// Sizes of type, in pixels: labels are read at the sheet's own size, however small its cells are.
const (
	leastText = 14
	mostText  = 22
)

func measuresOf(box image.Point) measures {
	side := float64(min(box.X, box.Y))
	text := max(leastText, min(mostText, side/12))
	return measures{
		margin: int(max(28, min(64, side/4))), gap: int(max(8, min(24, side/14))), radius: max(5, min(20, side/13)),
		title: text * 1.8, text: text, titleLine: int(text * 2.2), line: int(text * 1.35),
		mostGutter: int(max(130, min(300, side))), least: 440,
	}
}

// mostHead is the most height of what stands above the first row.
func (m measures) mostHead() int {
	return titleLines*m.titleLine + (subtitleLines+columnLines+3)*m.line
}

// gridLayout is where everything of a sheet goes.
type gridLayout struct {
	GridSheet
	measures
	t               typefaces
	title, subtitle []string // lines
	columns, rows   [][]string
	gutter          int // of the rows' labels, with the gap behind them; 0 for none
	labels          int // where the columns' labels begin, from the top
	head            int // where the first row begins
	size            image.Point
}

// lay measures the text and places everything.
func (s GridSheet) lay() (*gridLayout, error) {
	l := &gridLayout{GridSheet: s, measures: measuresOf(s.Box)}
	var err error
	if l.t, err = loadTypeAt(l.measures.title, l.text, max(leastText-1, l.text*0.8)); err != nil {
		return nil, err
	}
	l.layGutter()
	pictures := s.X.Len()*(s.Box.X+l.gap) - l.gap
	inner := max(l.gutter+pictures, l.least)
	l.title = wrap(l.t.title, l.t.legible(s.Title, "Grid of pictures"), inner, titleLines)
	l.subtitle = wrap(l.t.text, l.t.legible(s.Subtitle, ""), inner, subtitleLines)
	most := 0
	for x := range s.X.Len() {
		label := l.label(s.X, x, l.first.X)
		l.columns = append(l.columns, wrap(l.t.text, label, s.Box.X, columnLines))
		most = max(most, len(l.columns[x]))
	}
	l.labels = l.margin + len(l.title)*l.titleLine + len(l.subtitle)*l.line + l.line/2
	l.head = l.labels
	if s.X.Name != "" || s.Y.Name != "" {
		l.head += l.line + l.line/3 // of the names
	}
	l.head += most*l.line + l.line/2
	l.size = image.Pt(2*l.margin+inner, l.head+s.Y.Len()*(s.Box.Y+l.gap)-l.gap+l.margin)
	return l, nil
}

// layGutter wraps the labels of the rows into as narrow a column as takes them, and no wider than mostGutter.
func (l *gridLayout) layGutter() {
	if l.Y.Name == "" {
		return
	}
	widest := l.t.width(l.t.note, l.Y.Name+" ↓")
	for y := range l.Y.Len() {
		widest = max(widest, l.t.width(l.t.text, l.label(l.Y, y, l.first.Y)))
	}
	width := min(widest, l.mostGutter)
	for y := range l.Y.Len() {
		l.rows = append(l.rows, wrap(l.t.text, l.label(l.Y, y, l.first.Y), width, max(1, l.Box.Y/l.line)))
	}
	l.gutter = width + l.gap
}

// label is the i-th value of a dimension, in letters that the type has; else its number. Of a part that is counted on from first.
func (l *gridLayout) label(d Dimension, i, first int) string {
	value := d.Value(i)
	if value == "" && d.Name != "" {
		return "(none)"
	}
	return l.t.legible(value, fmt.Sprintf("no. %d", first+i+1))
}

// edges are the rows of pixels at which the bands of the sheet begin, and its height.
func (l *gridLayout) edges() []int {
	edges := []int{0}
	for y := range l.Y.Len() {
		edges = append(edges, l.head+y*(l.Box.Y+l.gap))
	}
	return append(edges, l.size.Y)
}

// draw draws a band: the head, then the rows.
func (l *gridLayout) draw(i int, dst *image.RGBA) error {
	draw.Draw(dst, dst.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	if i == 0 {
		l.drawHead(dst)
		return nil
	}
	y := i - 1
	top := dst.Bounds().Min.Y
	if l.rows != nil {
		lines := l.rows[y]
		at := top + (l.Box.Y-len(lines)*l.line)/2 + l.line*3/4
		for _, text := range lines {
			l.t.line(dst, l.t.text, ink, l.margin+l.gutter-l.gap-l.t.width(l.t.text, text), at, text)
			at += l.line
		}
	}
	for x := range l.X.Len() {
		cell, err := l.Cell(x, y)
		if err != nil {
			return err
		}
		box := image.Rectangle{Max: l.Box}.Add(image.Pt(l.left(x), top))
		if cell.Image != nil {
			l.picture(dst, box, cell.Image)
		} else {
			l.missing(dst, box, cell)
		}
	}
	return nil
}

// left is where a column's pictures begin.
func (l *gridLayout) left(x int) int { return l.margin + l.gutter + x*(l.Box.X+l.gap) }

// drawHead draws what stands above the pictures.
func (l *gridLayout) drawHead(dst *image.RGBA) {
	stipple(dst, image.Rect(l.size.X/2, 0, l.size.X, max(l.margin, l.labels-l.line)))
	y := l.margin + int(l.measures.title*0.75)
	for _, text := range l.title {
		l.t.line(dst, l.t.title, ink, l.margin, y, text)
		y += l.titleLine
	}
	y = l.margin + len(l.title)*l.titleLine + l.line*2/3
	for _, text := range l.subtitle {
		l.t.line(dst, l.t.text, faint, l.margin, y, text)
		y += l.line
	}
	y = l.labels + l.line
	if l.Y.Name != "" {
		name := l.t.fit(l.t.note, l.Y.Name, " ↓", l.gutter-l.gap)
		l.t.line(dst, l.t.note, brand, l.margin+l.gutter-l.gap-l.t.width(l.t.note, name), l.head-l.line/2, name)
	}
	if l.X.Name != "" {
		l.t.line(dst, l.t.note, brand, l.left(0), y, l.t.fit(l.t.note, l.X.Name, " →", l.size.X-l.margin-l.left(0)))
	}
	for x, lines := range l.columns {
		at := l.head - l.line/2 - (len(lines)-1)*l.line
		for _, text := range lines {
			l.t.line(dst, l.t.text, ink, l.left(x)+(l.Box.X-l.t.width(l.t.text, text))/2, at, text)
			at += l.line
		}
	}
}

// picture draws a picture into the middle of its box.
func (l *gridLayout) picture(dst *image.RGBA, box image.Rectangle, picture image.Image) {
	size := picture.Bounds().Size()
	at := box.Min.Add(box.Size().Sub(size).Div(2))
	draw.DrawMask(dst, image.Rectangle{Min: at, Max: at.Add(size)}, picture, picture.Bounds().Min, rounded{size, l.radius}, image.Point{}, draw.Over)
}

// missing draws the place of a picture that is missing, with the reason as far as it fits.
func (l *gridLayout) missing(dst *image.RGBA, box image.Rectangle, cell Thumbnail) {
	draw.DrawMask(dst, box, image.NewUniform(rule), image.Point{}, rounded{box.Size(), l.radius}, image.Point{}, draw.Over)
	inner := box.Inset(2)
	draw.DrawMask(dst, inner, image.NewUniform(blank), image.Point{}, rounded{inner.Size(), l.radius - 2}, image.Point{}, draw.Over)
	pad := max(6, l.gap*2/3)
	width, room := box.Dx()-2*pad, (box.Dy()-2*pad)/l.line
	y := box.Min.Y + pad + l.line*3/4
	write := func(face font.Face, c color.Color, text string) {
		for _, line := range wrap(face, text, width, max(1, room)) {
			if room--; room < 0 {
				return
			}
			l.t.line(dst, face, c, box.Min.X+pad, y, line)
			y += l.line
		}
	}
	write(l.t.text, bad, l.t.legible(cell.Missing, "missing"))
	if room > 0 {
		write(l.t.note, faint, l.t.legible(cell.Reason, ""))
	}
}

// width is that of text in pixels, rounded up.
func (typefaces) width(face font.Face, text string) int {
	return font.MeasureString(face, text).Ceil()
}

// fit cuts text so that it is at most width pixels wide with the ending, which stays whole.
func (typefaces) fit(face font.Face, text, ending string, width int) string {
	fits := func(s string) bool { return font.MeasureString(face, s+ending) <= fixed.I(width) }
	if fits(text) {
		return text + ending
	}
	return text[:longest(text, func(s string) bool { return fits(s + "…") })] + "…" + ending
}
