package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/stipple-ai/stipple/internal/queue"
)

// line is one line of a file, without its end.
type line struct {
	text   []byte // valid until the next line is asked for
	number int64  // from 1
}

// lines returns the lines of r that are not blank. A byte order mark at the beginning and a carriage return at
// the end of a line are taken off. An error is the last that comes; it names the line.
func lines(name string, r io.Reader) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		sc := bufio.NewScanner(r)
		sc.Buffer(make([]byte, 0, 64<<10), maxRow)
		l := line{}
		for sc.Scan() {
			l.number++
			if l.text = sc.Bytes(); l.number == 1 {
				l.text = bytes.TrimPrefix(l.text, []byte("\uFEFF"))
			}
			if len(bytes.TrimSpace(l.text)) > 0 && !yield(l, nil) {
				return
			}
		}
		switch err := sc.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			yield(line{}, fmt.Errorf("%s:%d: a line of more than %d bytes; is this a text file?", name, l.number+1, maxRow))
		case err != nil:
			yield(line{}, fmt.Errorf("reading %s after line %d: %w", name, l.number, err))
		}
	}
}

// readText reads a prompt a line. There are no comments: a prompt may begin with any character.
func readText(name string, r io.Reader) Rows {
	return func(yield func(Row, error) bool) {
		for l, err := range lines(name, r) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			prompt := string(l.text)
			row := Row{Job: queue.Job{Prompt: &prompt}, Source: name, Line: l.number}
			if invalid := check(row.Job); invalid != nil {
				row, err = Row{}, &RowError{name, l.number, invalid}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}
