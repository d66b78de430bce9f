package infer

import (
	"log/slog"
	"slices"
)

// fits remembers how many rows of a size go into one call, where the device has run out of memory for more: MaxRows is chosen for the model's own size, and a crowd of
// larger pictures would else fail at every step. Only Run touches it.
type fits struct {
	maxRows int   // Config.MaxRows
	shapes  []int // Config.RowShapes
	sizes   map[Size]*fit
	logger  *slog.Logger
}

// fit is the most rows of a call of one size, and how many calls of so many have succeeded.
type fit struct{ rows, calls int }

// regrow is how many full calls of a size succeed before the next larger one is tried: what filled the memory may have gone.
const regrow = 100

// cut leaves away the rows that the first one's size has no memory for.
func (f *fits) cut(rows []*row) []*row {
	if known := f.sizes[rows[0].sample.size]; known != nil {
		return rows[:min(len(rows), known.rows)]
	}
	return rows
}

// failed takes the next smaller call for the size of one that ran out of memory. Where all calls are padded to one shape there is none.
func (f *fits) failed(c *Call, err error) {
	if typ, _ := classOf(err); typ != "out_of_memory" || len(c.Rows) < 2 {
		return
	}
	rows := len(c.Rows) / 2
	if len(f.shapes) > 0 {
		i, _ := slices.BinarySearch(f.shapes, c.Pad)
		if i == 0 {
			return
		}
		rows = f.shapes[i-1]
	}
	if known := f.sizes[c.Size]; known != nil {
		rows = min(rows, known.rows) // calls on other lanes may have failed before
	}
	f.sizes[c.Size] = &fit{rows: rows}
	f.logger.Warn("calls of this size get fewer rows for a while: the device has no memory for more",
		slog.Any("latents", c.Size), slog.Int("rows", rows))
}

// succeeded takes the next larger call for a size again, after some that were full.
func (f *fits) succeeded(c *Call) {
	known := f.sizes[c.Size]
	if known == nil || len(c.Rows) < known.rows {
		return
	}
	if known.calls++; known.calls < regrow {
		return
	}
	rows := 2 * known.rows
	if i, _ := slices.BinarySearch(f.shapes, known.rows+1); i < len(f.shapes) {
		rows = f.shapes[i]
	}
	if known.rows, known.calls = rows, 0; rows >= f.maxRows {
		delete(f.sizes, c.Size)
	}
}
