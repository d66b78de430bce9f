package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/gallery"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// gridCells are the jobs of a grid and what became of them so far. Pictures are made small as they land and kept in a
// file, so that the memory of a grid does not grow with its pictures.
type gridCells struct {
	axes    gridAxes
	jobs    []queue.Job
	results []*queue.Result // by index; nil where there is none
	small   *smallPictures
	broken  map[int64]string // pictures that were not made small, and why
	took    time.Duration    // from the first job to the last picture; 0 where an earlier run has sent some
	resumed bool             // an earlier run has
}

func newGridCells(axes gridAxes, plan batch.Plan, f *gridFlags) (*gridCells, error) {
	c := &gridCells{axes: axes, broken: map[int64]string{}}
	for j, err := range plan.Jobs(f.batch) {
		if err != nil {
			return nil, input(err)
		}
		c.jobs = append(c.jobs, j)
	}
	c.results = make([]*queue.Result, len(c.jobs))
	var err error
	c.small, err = newSmallPictures(len(c.jobs), f.cell)
	return c, err
}

func (c *gridCells) close() error { return c.small.close() }

// take notes a result. The file has its picture; "" where it has none.
func (c *gridCells) take(r queue.Result, file string) {
	if r.Index < 0 || r.Index >= int64(len(c.jobs)) {
		return // of another program under this batch's name
	}
	c.results[r.Index] = &r
	delete(c.broken, r.Index)
	if file == "" {
		return
	}
	if err := c.shrink(int(r.Index), file); err != nil {
		c.broken[r.Index] = err.Error()
	}
}

// shrink makes the small picture of a file.
func (c *gridCells) shrink(i int, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	p, err := upload.Decode(data)
	if err != nil {
		return err
	}
	return c.small.put(i, gallery.Fit(pixels{p}, image.Pt(c.small.side, c.small.side)))
}

// missing says what became of a cell without a picture, and why; "" for one that has it.
func (c *gridCells) missing(i int) (what, why string) {
	r := c.results[i]
	switch {
	case r == nil:
		return "no picture", "it is not in the bucket, or its result is gone"
	case c.broken[int64(i)] != "":
		return "not shown", c.broken[int64(i)]
	case r.Status == queue.Expired:
		return r.Status, "its deadline had passed"
	case r.Error != nil:
		return r.Status, r.Error.Type + ": " + r.Error.Message
	case !c.small.has(i):
		return r.Status, ""
	}
	return "", ""
}

// place says where the pictures lie: the bucket, and what their keys begin with; "" where no job has one.
func (c *gridCells) place() (bucket, prefix string) {
	for _, r := range c.results {
		if r != nil && r.Image != nil && r.Image.Key != "" {
			return r.Image.Bucket, r.Image.Key[:strings.LastIndexByte(r.Image.Key, '/')+1]
		}
	}
	return "", ""
}

// gridPrinter prints as another printer does, and hands results on to the grid.
type gridPrinter struct {
	printer

	cells *gridCells
	keep  bool // the files stay where they are
}

func (p gridPrinter) result(r queue.Result, file string) {
	p.cells.take(r, file)
	if !p.keep && file != "" {
		_ = os.Remove(file) // its folder is removed at the end
		file = ""
	}
	p.printer.result(r, file)
}

func (p gridPrinter) submitted(r batch.Receipt) {
	p.cells.resumed = r.Before > 0
	p.printer.submitted(r)
}

func (p gridPrinter) end(e ending) {
	if !p.keep {
		e.Dir = ""
	}
	p.printer.end(e)
}

// pixels is a picture as an image.
type pixels struct{ upload.Picture }

// ColorModel implements image.Image.
func (p pixels) ColorModel() color.Model { return color.RGBAModel }

// Bounds implements image.Image.
func (p pixels) Bounds() image.Rectangle { return image.Rect(0, 0, p.Width, p.Height) }

// At implements image.Image.
func (p pixels) At(x, y int) color.Color {
	i := 3 * (y*p.Width + x)
	return color.RGBA{p.Pix[i], p.Pix[i+1], p.Pix[i+2], 0xFF}
}

// smallPictures keeps small pictures in a file that has no name any more, and so is gone with the process. One
// goroutine at a time uses it.
type smallPictures struct {
	side  int // of the box that they fit into, in pixels
	file  *os.File
	end   int64
	at    []section
	boxes []image.Point // their sizes; zero for one that is not there
}

// section is a part of a file.
type section struct{ offset, length int64 }

func newSmallPictures(n, side int) (*smallPictures, error) {
	file, err := os.CreateTemp("", "stipple-grid-")
	if err != nil {
		return nil, fmt.Errorf("making a file for small pictures: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("making a file for small pictures: %w", err), file.Close())
	}
	return &smallPictures{side: side, file: file, at: make([]section, n), boxes: make([]image.Point, n)}, nil
}

func (s *smallPictures) close() error { return s.file.Close() }

// has reports whether the i-th picture is there.
func (s *smallPictures) has(i int) bool { return s.at[i].length > 0 }

// put keeps a picture in place of what is there.
func (s *smallPictures) put(i int, picture image.Image) error {
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, picture); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(b.Bytes(), s.end); err != nil {
		return fmt.Errorf("keeping a small picture: %w", err)
	}
	s.at[i], s.boxes[i] = section{s.end, int64(b.Len())}, picture.Bounds().Size()
	s.end += int64(b.Len())
	return nil
}

// get returns the i-th picture.
func (s *smallPictures) get(i int) (image.Image, error) {
	picture, err := png.Decode(io.NewSectionReader(s.file, s.at[i].offset, s.at[i].length))
	if err != nil {
		return nil, fmt.Errorf("reading a small picture back: %w", err)
	}
	return picture, nil
}

// box is the smallest box, of gallery.MinCell a side at least, that all pictures fit into; a square where there are none.
func (s *smallPictures) box() image.Point {
	var most image.Point
	for _, b := range s.boxes {
		most = image.Pt(max(most.X, b.X), max(most.Y, b.Y))
	}
	if most == (image.Point{}) {
		return image.Pt(s.side, s.side)
	}
	return image.Pt(max(most.X, gallery.MinCell), max(most.Y, gallery.MinCell))
}

// embedQuality is the JPEG quality of pictures inside a page.
const embedQuality = 90

// jpeg is the i-th picture as a JPEG file.
func (s *smallPictures) jpeg(i int) ([]byte, error) {
	picture, err := s.get(i)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = jpeg.Encode(&b, picture, &jpeg.Options{Quality: embedQuality})
	return b.Bytes(), err
}
