package batch

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Row is one entry of the input: the fields that it sets for the jobs made from it.
type Row struct {
	Job    queue.Job // fields that the row leaves out are nil or ""
	Source string    // the file's name
	Line   int64     // where it begins in its source, from 1; of combinations of values, their document
}

// Rows are the entries of an input, in order. Ranging over it a second time reads the input again.
//
// An error that is a *RowError concerns that row alone, and the rows behind it follow; any other error is the
// last that comes.
type Rows = iter.Seq2[Row, error]

// RowError is a row that cannot become a job, or a file that cannot be read on from there.
type RowError struct {
	Source string // the file's name
	Line   int64  // from 1
	Err    error
}

// Error returns "<source>:<line>: <what is wrong>", with the field first where it is one field's fault.
func (e *RowError) Error() string {
	if invalid, ok := errors.AsType[*queue.InvalidError](e.Err); ok {
		return fmt.Sprintf("%s:%d: %s %s", e.Source, e.Line, invalid.Field, invalid.Reason)
	}
	return fmt.Sprintf("%s:%d: %v", e.Source, e.Line, e.Err)
}

// Unwrap returns what is wrong.
func (e *RowError) Unwrap() error { return e.Err }

// Format is the form of an input.
type Format string

// The formats of input.
const (
	TextFormat  Format = "text"  // a prompt a line; blank lines are skipped
	CSVFormat   Format = "csv"   // a header that names fields of a job, then a row a record
	JSONLFormat Format = "jsonl" // a JSON object with fields of a job a line
	YAMLFormat  Format = "yaml"  // documents: a list of rows, or fields of a job and groups of axes
)

// Formats returns the formats, in the order in which a message names them.
func Formats() []Format { return []Format{TextFormat, CSVFormat, JSONLFormat, YAMLFormat} }

// maxRow bounds a row of the formats that are read row by row, in bytes: two prompts of the longest kind with every character escaped,
// and the other fields. Without a bound, one missing quote would read a whole file into memory.
const maxRow = 256 << 10

// Read returns the rows of r, which errors call name.
func Read(format Format, name string, r io.Reader) Rows {
	switch format {
	case CSVFormat:
		return readCSV(name, r)
	case JSONLFormat:
		return readJSONL(name, r)
	case YAMLFormat:
		return readYAML(name, r)
	case TextFormat:
	}
	return readText(name, r)
}

// Source returns the rows of an input that open opens, each time they are ranged over. Open's error comes back
// as it is.
func Source(format Format, name string, open func() (io.ReadCloser, error)) Rows {
	return func(yield func(Row, error) bool) {
		r, err := open()
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer r.Close()
		for row, err := range Read(format, name, r) {
			if !yield(row, err) {
				return
			}
		}
	}
}

// Args returns a row for each prompt. Unlike a line of a file, a prompt here may be empty and may hold line
// breaks.
func Args(prompts ...string) Rows {
	return func(yield func(Row, error) bool) {
		for i := range prompts {
			row := Row{Job: queue.Job{Prompt: &prompts[i]}, Source: "argument", Line: int64(i + 1)}
			var err error
			if invalid := check(row.Job); invalid != nil {
				row, err = Row{}, &RowError{"argument", int64(i + 1), invalid}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}
