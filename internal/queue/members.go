package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// member is one name and value of a JSON object, as written.
type member struct {
	name  string
	value json.RawMessage // valid JSON without space around it
}

func (m member) null() bool { return string(m.value) == "null" }

// members splits a JSON object into its members, in order, repeated ones included. Package encoding/json keeps
// the last of repeated members, matches names whatever their case and mends broken UTF-8; a contract wants none
// of these. Errors are *InvalidError that name field.
func members(field string, data []byte) ([]member, error) {
	if !utf8.Valid(data) {
		return nil, &InvalidError{field, "is not valid UTF-8"}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	first, err := dec.Token()
	if err != nil {
		return nil, notJSON(field, err)
	}
	if first != json.Delim('{') {
		return nil, &InvalidError{field, "must be a JSON object"}
	}
	var all []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, notJSON(field, err)
		}
		m := member{name: name.(string)} // the decoder takes nothing else for a name
		if err := dec.Decode(&m.value); err != nil {
			return nil, notJSON(field, err)
		}
		all = append(all, m)
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, notJSON(field, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &InvalidError{field, "must be one JSON object, has more behind it"}
	}
	return all, nil
}

// notJSON is the error for a body that the JSON parser gave up on.
func notJSON(field string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &InvalidError{field, "is not JSON: it ends too early"}
	}
	return &InvalidError{field, "is not JSON: " + err.Error()}
}
