package upload

import "fmt"

// Detail is how much a file tells of its picture. What it leaves out is never lost: the result and the object's
// metadata say where the picture comes from.
type Detail int

// How much there is to choose from.
const (
	Full    Detail = iota // prompts, parameters, the job, and what Minimal has
	Minimal               // that a model made it (IPTC), which one, and the trace
	None                  // nothing
)

// ParseDetail reads METADATA: full, minimal or none.
func ParseDetail(s string) (Detail, error) {
	for d, name := range []string{"full", "minimal", "none"} {
		if s == name {
			return Detail(d), nil
		}
	}
	return Full, fmt.Errorf("%q is no detail of metadata: choose full, minimal or none", s)
}

// xmp is how much of Meta an XMP packet holds where there is room.
func (d Detail) xmp() xmpDetail {
	if d == Full {
		return xmpWhole
	}
	return xmpOrigin
}
