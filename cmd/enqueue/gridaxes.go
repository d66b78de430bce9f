package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/gallery"
)

// gridAxis is what one side of a grid varies. The zero axis varies nothing.
type gridAxis struct {
	flag  string // x, y or z
	side  gallery.Dimension
	group batch.Group // nil for the zero axis
}

// gridAxes are those along x, y and z.
type gridAxes [3]gridAxis

// has reports whether a field is varied.
func (g gridAxes) has(field string) bool {
	for _, a := range g {
		if slices.ContainsFunc(a.group, func(axis batch.Axis) bool { return axis.Field() == field }) {
			return true
		}
	}
	return false
}

// at is the place of a job: its indexes along x, y and z.
func (g gridAxes) at(index int64) (x, y, z int) {
	i := int(index)
	x, i = i%g[0].side.Len(), i/g[0].side.Len()
	return x, i % g[1].side.Len(), i / g[1].side.Len()
}

// labels name the values of a job, such as "seed 3 · scheduler euler".
func (g gridAxes) labels(index int64) string {
	x, y, z := g.at(index)
	words := []string{g[0].side.Label(x), g[1].side.Label(y), g[2].side.Label(z)}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " · ")
}

// parseGridAxes reads the axes. It joins every problem, each naming its flag.
func parseGridAxes(texts [3]string) (gridAxes, error) {
	var all gridAxes
	var errs []error
	cells := 1
	for i, text := range texts {
		all[i].flag = []string{"x", "y", "z"}[i]
		if text == "" {
			continue
		}
		a, err := parseGridAxis(text)
		if err != nil {
			errs = append(errs, flagError(all[i].flag, err))
			continue
		}
		a.flag = all[i].flag
		all[i] = a
		cells *= a.side.Len() // at most maxGridCells³
	}
	switch {
	case len(errs) > 0:
		return all, errors.Join(errs...)
	case cells > maxGridCells:
		return all, fmt.Errorf("a grid of %d pictures: at most %d; make several, or enqueue them without a grid", cells, maxGridCells)
	case texts == [3]string{}:
		return all, errors.New("nothing is varied: give an axis such as --x seed=1..4")
	}
	return all, nil
}

// sizeAxis is the name of the axis of width and height together.
const sizeAxis = "size"

// parseGridAxis reads <field>=<values>.
func parseGridAxis(text string) (gridAxis, error) {
	name, values, ok := strings.Cut(text, "=")
	if !ok {
		return gridAxis{}, errors.New("must be a field and its values, such as seed=1..4")
	}
	field := gridField(strings.TrimSpace(name))
	if field == "id" || field == "deadline" {
		return gridAxis{}, fmt.Errorf("%s changes nothing of a picture; vary something else", field)
	}
	group, err := gridValues(field, values)
	if err != nil {
		return gridAxis{}, err
	}
	if n := group[0].Len(); n > maxGridCells {
		return gridAxis{}, fmt.Errorf("%d values: a grid has at most %d pictures", n, maxGridCells)
	}
	side := gallery.Dimension{Name: field}
	for i := range group[0].Len() {
		value := group[0].Value(i)
		if field == sizeAxis {
			value += "×" + group[1].Value(i)
		}
		side.Values = append(side.Values, value)
	}
	return gridAxis{side: side, group: group}, nil
}

// gridField is the field that a name means: its own, or that of the flag which gives it.
func gridField(name string) string {
	flag := strings.ReplaceAll(name, "_", "-")
	for _, f := range jobFlagTable() {
		if f.name == flag {
			return f.field
		}
	}
	return name
}

// gridValues reads the values of a field: @FILE, or a list.
func gridValues(field, values string) (batch.Group, error) {
	file, isFile := strings.CutPrefix(values, "@")
	text := field == "prompt" || field == "negative_prompt"
	var list []string
	var err error
	switch {
	case isFile:
		if list, err = linesOf(file); err != nil {
			return nil, err
		}
	case text:
		if list, err = quotedList(values); err != nil {
			return nil, err
		}
	}
	switch {
	case field == sizeAxis && isFile:
		return batch.ParseSizes(strings.Join(list, ","))
	case field == sizeAxis:
		return batch.ParseSizes(values)
	case isFile || text:
		axis, err := batch.NewAxis(field, list...)
		return batch.Group{axis}, err
	}
	axis, err := batch.ParseAxis(field, values)
	return batch.Group{axis}, err
}

// quotedList splits a list at its commas, as a record of CSV: values in quotes may hold commas.
func quotedList(text string) ([]string, error) {
	if text == "" {
		return []string{""}, nil // no negative prompt is a value, too
	}
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace = true
	list, err := r.Read()
	if err != nil {
		parse, ok := errors.AsType[*csv.ParseError](err)
		if ok {
			err = parse.Err
		}
		return nil, fmt.Errorf("reading the list: %w; a value with a comma stands in double quotes", err)
	}
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading the list: a line break outside of quotes")
	}
	return list, nil
}

// maxAxisFile bounds a file of values, in bytes.
const maxAxisFile = 16 << 20

// linesOf are the lines of a file that are not blank.
func linesOf(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxAxisFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxAxisFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxAxisFile)
	}
	var list []string
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\uFEFF")) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
			list = append(list, line)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no lines", name)
	}
	return list, nil
}
