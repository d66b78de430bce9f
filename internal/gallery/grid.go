package gallery

import "strconv"

// Dimension is a side of a grid: what is varied, and its values. The zero Dimension varies nothing and has one value
// without a name.
type Dimension struct {
	Name   string // of the field, such as guidance_scale; "" for none
	Values []string
}

// Len is the number of values, at least 1.
func (d Dimension) Len() int { return max(1, len(d.Values)) }

// Value is the i-th value as text; "" where nothing is varied.
func (d Dimension) Value(i int) string {
	if d.Name == "" {
		return ""
	}
	return d.Values[i]
}

// Label is name and i-th value, such as "seed 3"; "" where nothing is varied.
func (d Dimension) Label(i int) string {
	if d.Name == "" {
		return ""
	}
	return d.Name + " " + d.Value(i)
}

// part is the dimension with the values from..to alone.
func (d Dimension) part(from, to int) Dimension {
	if d.Name == "" {
		return d
	}
	return Dimension{d.Name, d.Values[from:to]}
}

// span says which of the values from..to of a dimension of so many are shown: "seed 1–40 of 100", counted from 1; ""
// where it is all of them.
func (d Dimension) span(from, to int) string {
	if to-from == d.Len() {
		return ""
	}
	return d.Name + " " + strconv.Itoa(from+1) + "–" + strconv.Itoa(to) + " of " + strconv.Itoa(d.Len())
}
