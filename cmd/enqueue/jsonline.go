package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// writeLine writes v as a line of JSON.
func writeLine(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}
