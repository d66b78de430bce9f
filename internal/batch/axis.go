package batch

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/stipple-ai/stipple/internal/queue"
)

// MaxJobs bounds a batch. It is far above what anyone draws; more is a slip such as --seeds 1..99999999999.
const MaxJobs = 1_000_000_000

// Axis is a field of a job and the values that it takes, one after the other.
type Axis struct {
	field field
	spans []span
	n     int64
}

// span is a run of values: one text, or integers that begin at first and grow by step.
type span struct {
	n           int64
	end         int64  // values of the axis up to and with this span
	text        string // of the single value where step is 0
	first, step uint64
}

// Len is the number of values.
func (a Axis) Len() int64 { return a.n }

// Field is the name of the field.
func (a Axis) Field() string { return a.field.name }

// ParseAxis reads the values of a field. Where commas do not belong to the text itself, it is a list, in which
// an integer may be a range with both its ends: "1..8" is eight values, "10..50..20" is 10, 30, 50.
func ParseAxis(fieldName, text string) (Axis, error) {
	f, err := findField(fieldName)
	if err != nil {
		return Axis{}, err
	}
	if f.list == noList {
		return NewAxis(fieldName, text)
	}
	a := Axis{field: f}
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return Axis{}, fmt.Errorf("%s: an empty value in the list %s", fieldName, shorten(text))
		}
		s := span{n: 1, text: item}
		if f.list == integers && strings.Contains(item, "..") {
			if s, err = parseRange(item); err != nil {
				return Axis{}, fmt.Errorf("%s: %w", fieldName, err)
			}
		}
		if err := a.add(s); err != nil {
			return Axis{}, err
		}
	}
	return a, nil
}

// NewAxis returns the axis of a field with these values, each taken as it is.
func NewAxis(fieldName string, values ...string) (Axis, error) {
	f, err := findField(fieldName)
	if err != nil {
		return Axis{}, err
	}
	if len(values) == 0 {
		return Axis{}, fmt.Errorf("%s: no values", fieldName)
	}
	a := Axis{field: f}
	for _, v := range values {
		if err := a.add(span{n: 1, text: v}); err != nil {
			return Axis{}, err
		}
	}
	return a, nil
}

// add appends a span after trying its ends: what a job may hold between two values it may hold are all values
// in between.
func (a *Axis) add(s span) error {
	a.n += s.n
	s.end = a.n
	a.spans = append(a.spans, s)
	if a.n > MaxJobs {
		return fmt.Errorf("%s: more than %d values", a.field.name, MaxJobs)
	}
	ends := []int64{a.n - s.n, a.n - 1}
	for _, i := range slices.Compact(ends) {
		var j queue.Job
		if err := a.set(&j, i); err != nil {
			return err
		}
		if err := check(j); err != nil {
			return err
		}
	}
	return nil
}

// set gives j the i-th value.
func (a Axis) set(j *queue.Job, i int64) error {
	text, ok := a.text(i)
	if !ok {
		return fmt.Errorf("%s has %d values", a.field.name, a.n) // not reached: callers count to Len
	}
	return a.field.set(j, text)
}

// Value is the i-th value as it was given, from 0; "" for one that there is not.
func (a Axis) Value(i int64) string {
	text, _ := a.text(i)
	return text
}

// text is the i-th value, and whether there is one.
func (a Axis) text(i int64) (string, bool) {
	at, _ := slices.BinarySearchFunc(a.spans, i+1, func(s span, n int64) int { return cmp.Compare(s.end, n) })
	if i < 0 || at == len(a.spans) {
		return "", false
	}
	s := a.spans[at]
	return s.at(i - (s.end - s.n)), true
}

func (s span) at(i int64) string {
	if s.step == 0 {
		return s.text
	}
	return strconv.FormatUint(s.first+uint64(i)*s.step, 10)
}

// parseRange reads "a..b" or "a..b..step".
func parseRange(text string) (span, error) {
	bad := fmt.Errorf("a range is first..last or first..last..step, such as 1..8, is %s", shorten(text))
	parts := strings.Split(text, "..")
	if len(parts) > 3 {
		return span{}, bad
	}
	var n [3]uint64
	n[2] = 1
	for i, p := range parts {
		var err error
		if n[i], err = strconv.ParseUint(strings.TrimSpace(p), 10, 64); err != nil {
			return span{}, bad
		}
	}
	first, last, step := n[0], n[1], n[2]
	switch {
	case step == 0:
		return span{}, fmt.Errorf("range %s: the step must be 1 or more", shorten(text))
	case last < first:
		return span{}, fmt.Errorf("range %s: ends below its beginning", shorten(text))
	case (last-first)/step >= MaxJobs:
		return span{}, fmt.Errorf("range %s: more than %d values", shorten(text), MaxJobs)
	}
	return span{n: int64((last-first)/step) + 1, first: first, step: step}, nil
}

// Group is axes that go together: the i-th job along a group takes the i-th value of each.
type Group []Axis

// Zip returns the group of these axes, which must be of one length and of different fields.
func Zip(axes ...Axis) (Group, error) {
	if len(axes) == 0 {
		return nil, errors.New("a group of no axes")
	}
	for _, a := range axes[1:] {
		if a.n != axes[0].n {
			return nil, fmt.Errorf("%s has %d values and %s has %d: values that go together must be as many",
				axes[0].field.name, axes[0].n, a.field.name, a.n)
		}
	}
	if err := distinct(Group(axes)); err != nil {
		return nil, err
	}
	return Group(axes), nil
}

// ParseSizes reads "512x512,768x512": a group of width and height.
func ParseSizes(text string) (Group, error) {
	var widths, heights []string
	for item := range strings.SplitSeq(text, ",") {
		w, h, ok := strings.Cut(strings.TrimSpace(item), "x")
		if !ok {
			return nil, fmt.Errorf("a size is <width>x<height>, such as 512x768, is %s", shorten(item))
		}
		widths, heights = append(widths, w), append(heights, h)
	}
	width, err := NewAxis("width", widths...)
	if err != nil {
		return nil, err
	}
	height, err := NewAxis("height", heights...)
	if err != nil {
		return nil, err
	}
	return Zip(width, height)
}

// distinct refuses groups that set one field twice.
func distinct(groups ...Group) error {
	var seen []string
	for _, g := range groups {
		for _, a := range g {
			if slices.Contains(seen, a.field.name) {
				return fmt.Errorf("%s is given values twice", a.field.name)
			}
			seen = append(seen, a.field.name)
		}
	}
	return nil
}

// product is the number of combinations of a value from each group, and whether it is at most MaxJobs.
func product(n int64, groups []Group) (int64, bool) {
	for _, g := range groups {
		hi, lo := bits.Mul64(uint64(n), uint64(g[0].n))
		if hi != 0 || lo > MaxJobs {
			return 0, false
		}
		n = int64(lo)
	}
	return n, n <= MaxJobs
}
