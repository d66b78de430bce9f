package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is columns of text for people. Numbers stand to the right, other text to the left; the last column is not
// padded.
type table struct {
	head  []string
	right map[int]bool // columns of numbers
	rows  [][]string
}

func newTable(head ...string) *table { return &table{head: head, right: map[int]bool{}} }

// add appends a row. What came from outside is made safe for a terminal.
func (t *table) add(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		switch c.(type) {
		case int, int64, uint64:
			t.right[i] = true
		}
		row[i] = printable(fmt.Sprint(c))
	}
	t.rows = append(t.rows, row)
}

// write writes the table, unless it has no rows.
func (t *table) write(w io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if t.right[i] {
				cell = gap + cell
			} else if i < len(row)-1 {
				cell += gap
			}
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(cell)
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
