package queue

import (
	"fmt"
	"strings"
)

// Tally counts the results of a batch, each job once, by the last of its results. The zero value is empty.
type Tally struct {
	summary Summary
	dense   []uint8         // 1 + status by index, below denseTally
	sparse  map[int64]uint8 // the same for indexes above
}

// denseTally bounds the memory of indexes that follow one another: a byte each.
const denseTally = 1 << 24

// Add counts a result. It takes the place of an earlier one of the same job.
func (t *Tally) Add(r Result) {
	status := uint8(0)
	for i, s := range []string{Succeeded, Failed, Cancelled, Expired} {
		if r.Status == s {
			status = uint8(i + 1)
		}
	}
	if c := t.counter(t.swap(r.Index, status)); c != nil {
		*c--
	}
	if c := t.counter(status); c != nil {
		*c++
	}
}

// swap notes a job's status and returns the one before.
func (t *Tally) swap(index int64, status uint8) (before uint8) {
	if index >= denseTally || index < 0 {
		if t.sparse == nil {
			t.sparse = map[int64]uint8{}
		}
		before, t.sparse[index] = t.sparse[index], status
		return before
	}
	if n := int(index) + 1 - len(t.dense); n > 0 {
		t.dense = append(t.dense, make([]uint8, n)...)
	}
	before, t.dense[index] = t.dense[index], status
	return before
}

func (t *Tally) counter(status uint8) *int64 {
	counters := []*int64{nil, &t.summary.Succeeded, &t.summary.Failed, &t.summary.Cancelled, &t.summary.Expired}
	return counters[status]
}

// Summary returns the counts.
func (t *Tally) Summary() Summary { return t.summary }

// Total is the number of jobs that were counted.
func (s Summary) Total() int64 { return s.Succeeded + s.Failed + s.Cancelled + s.Expired }

// String returns the counts that are not zero.
func (s Summary) String() string {
	parts := []string{fmt.Sprintf("%d succeeded", s.Succeeded)}
	for _, part := range []struct {
		n    int64
		name string
	}{{s.Failed, Failed}, {s.Cancelled, Cancelled}, {s.Expired, Expired}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.name))
		}
	}
	return strings.Join(parts, ", ")
}
