package infer

import (
	"cmp"
	"slices"
	"time"
)

// patience is how many later arrivals may begin before a sample at the door is let in like one of high priority. It is the queue's
// own number: every eighth pick starts at low.
const patience = 8

// pick chooses the rows of the next call: begun samples first, by age; then the door, by priority and age. The first sample's
// size is the call's, and rows of other samples of that size ride along up to maxRows. It returns nil when no row is ready.
func pick(samples []*sample, maxRows int, oneSample bool) []*row {
	order := make([]*sample, 0, len(samples))
	for _, s := range samples {
		if s.ready() {
			order = append(order, s)
		}
	}
	if len(order) == 0 {
		return nil
	}
	slices.SortFunc(order, before)
	first := order[0]
	var rows []*row
	for _, s := range order {
		if s.size != first.size || (oneSample && s != first) {
			continue
		}
		for i := range s.rows {
			r := &s.rows[i]
			if r.state != rowReady {
				continue
			}
			if r.alone {
				if len(rows) == 0 {
					return []*row{r}
				}
				continue
			}
			if rows = append(rows, r); len(rows) == maxRows {
				return rows
			}
		}
	}
	return rows
}

func before(a, b *sample) int {
	return cmp.Or(
		cmp.Compare(a.rank(), b.rank()),
		cmp.Compare(a.seq, b.seq),
	)
}

// rank is lowest for what has begun, so that priority is judged at the door alone.
func (s *sample) rank() int {
	switch {
	case s.begun:
		return -1 << 31
	case s.passed >= patience:
		return -1 << 30
	default:
		return s.req.Priority
	}
}

// board turns rows into a call's rows, and counts for those left at the door who overtook them.
func board(samples []*sample, rows []*row, now time.Time) []Row {
	out := make([]Row, len(rows))
	for i, r := range rows {
		if !r.sample.begun {
			for _, s := range samples {
				if !s.begun && s.seq < r.sample.seq {
					s.passed++
				}
			}
		}
		out[i] = r.sample.take(r, now)
	}
	return out
}

// pad returns the smallest of shapes (ascending) that holds n rows, or n when none does.
func pad(n int, shapes []int) int {
	for _, s := range shapes {
		if s >= n {
			return s
		}
	}
	return n
}
