package batch

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readCSV reads comma-separated values (RFC 4180): a header that names fields of a job, then a row a record. An
// empty cell leaves its field out. A record may span lines inside quotes.
func readCSV(name string, r io.Reader) Rows {
	return func(yield func(Row, error) bool) {
		in := &recordReader{r: withoutBOM(r)}
		records := csv.NewReader(in)
		records.FieldsPerRecord = -1 // counted here, for a better message
		records.ReuseRecord = true
		columns, err := header(name, records)
		if err != nil {
			if !errors.Is(err, io.EOF) { // an empty file has no rows
				yield(Row{}, err)
			}
			return
		}
		for {
			in.used = 0
			cells, err := records.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Row{}, csvError(name, err))
				return
			}
			row, err := record(name, columns, cells, records)
			if !yield(row, err) {
				return
			}
		}
	}
}

// header reads the names of the columns.
func header(name string, records *csv.Reader) ([]field, error) {
	cells, err := records.Read()
	if errors.Is(err, io.EOF) {
		return nil, err
	}
	if err != nil {
		return nil, csvError(name, err)
	}
	columns := make([]field, len(cells))
	seen := make(map[string]bool, len(cells))
	for i, cell := range cells {
		cell = strings.TrimSpace(cell)
		if columns[i], err = findField(cell); err != nil {
			return nil, fmt.Errorf("%s:1: column %d of the header: %w", name, i+1, err)
		}
		if seen[cell] {
			return nil, fmt.Errorf("%s:1: column %d of the header: %s stands more than once", name, i+1, cell)
		}
		seen[cell] = true
	}
	return columns, nil
}

// record reads one record into the fields of its columns.
func record(name string, columns []field, cells []string, records *csv.Reader) (Row, error) {
	first, _ := records.FieldPos(0)
	row := Row{Source: name, Line: int64(first)}
	if len(cells) != len(columns) {
		return Row{}, &RowError{name, row.Line, fmt.Errorf("has %d cells, the header has %d; a comma inside a cell needs quotes around the cell", len(cells), len(columns))}
	}
	for i, cell := range cells {
		if cell == "" {
			continue
		}
		if err := columns[i].set(&row.Job, cell); err != nil {
			at, _ := records.FieldPos(i)
			return Row{}, &RowError{name, int64(at), err}
		}
	}
	if err := check(row.Job); err != nil {
		return Row{}, &RowError{name, row.Line, err}
	}
	return row, nil
}

// csvError is an error behind which records cannot be told apart any more, or that of the reader below.
func csvError(name string, err error) error {
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse):
		return fmt.Errorf("%s:%d: %w (in the record that begins on line %d)", name, parse.Line, parse.Err, parse.StartLine)
	default:
		return fmt.Errorf("reading %s: %w", name, err)
	}
}

// recordReader fails when one record takes more than maxRow bytes, give or take a buffer.
type recordReader struct {
	r    io.Reader
	used int // bytes read since the record began; the reader of records sets it back
}

func (r *recordReader) Read(p []byte) (int, error) {
	if r.used > maxRow {
		return 0, fmt.Errorf("a record of more than %d bytes; is a quote missing?", maxRow)
	}
	n, err := r.r.Read(p)
	r.used += n
	return n, err
}

// withoutBOM is r without the byte order mark that it may begin with.
func withoutBOM(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	mark := []byte("\uFEFF")
	if head, err := b.Peek(len(mark)); err == nil && bytes.Equal(head, mark) {
		if _, err := b.Discard(len(mark)); err != nil {
			return io.MultiReader(b) // not reached: the bytes were just seen
		}
	}
	return b
}
