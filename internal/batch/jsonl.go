package batch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/stipple-ai/stipple/internal/queue"
)

// readJSONL reads a JSON object a line. The fields are judged by the queue's own reader, so that what is taken
// here is what a worker takes: names by case, none twice, none unknown.
func readJSONL(name string, r io.Reader) Rows {
	return func(yield func(Row, error) bool) {
		for l, err := range lines(name, r) {
			if err != nil {
				yield(Row{}, err)
				return
			}
			row := Row{Source: name, Line: l.number}
			if row.Job, err = decodeRow(l.text); err != nil {
				row, err = Row{}, &RowError{name, l.number, err}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// decodeRow reads the fields of a job from a JSON object in which the identity has no place and the model need
// not stand.
func decodeRow(data []byte) (queue.Job, error) {
	body, has, err := completed(data)
	if err != nil {
		return queue.Job{}, err
	}
	j, err := queue.Decode(body, queue.Identity{Batch: "b"}) // any valid identity
	if err != nil {
		return queue.Job{}, err
	}
	if !has.model {
		j.Model = ""
	}
	if !has.id {
		j.ID = "" // the reader's default
	}
	j.Version, j.BatchID = 0, ""
	return j, nil
}

// named says which fields with a default of the queue's reader an object has.
type named struct{ model, id bool }

// completed is the object with a model where it names none, so that it is a whole job for the queue's reader.
func completed(data []byte) (body []byte, has named, err error) {
	if !utf8.Valid(data) {
		return nil, has, errors.New("is not valid UTF-8") // the parser below would mend it
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	first, err := dec.Token()
	if err != nil {
		return nil, has, notJSON(err)
	}
	if first != json.Delim('{') {
		return nil, has, errors.New("must be a JSON object")
	}
	open := dec.InputOffset()
	var value json.RawMessage
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, has, notJSON(err)
		}
		if err := dec.Decode(&value); err != nil {
			return nil, has, notJSON(err)
		}
		switch name {
		case "batch_id", "index", "retry", "trace_context":
			return nil, has, &queue.InvalidError{Field: fmt.Sprint(name), Reason: "is set when the job is enqueued; leave it out"}
		case "model":
			has.model = true
		case "id":
			has.id = true
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, has, notJSON(err)
	}
	if has.model {
		return data, has, nil
	}
	// What stands behind the object, if anything does, is refused by the reader.
	body = append(body, data[:open]...)
	body = append(body, `"model":"m"`...) // any valid model
	if rest := bytes.TrimLeft(data[open:], " \t\r"); len(rest) > 0 && rest[0] != '}' {
		body = append(body, ',')
	}
	return append(body, data[open:]...), has, nil
}

// notJSON is the error for a line that the JSON parser gave up on.
func notJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("is not JSON: it ends too early")
	}
	return fmt.Errorf("is not JSON: %w", err)
}
