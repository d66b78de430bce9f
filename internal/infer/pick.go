package infer

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// patience is how many later arrivals of higher priority may begin before a sample at the door takes its turn by age. It is the queue's
// own number: every eighth pick starts at low.
const patience = 8

// pick chooses the rows of the next call: begun samples first, by age; then the door, by priority and age. The first sample's
// size is the call's, and rows of other samples of that size ride along up to maxRows. It returns nil when no row is ready.
//
// Rows whose call failed come before all others, each by itself. Those of them that succeed share calls again from the next step on: left until their turn by age, each
// sample would be drawn to its end without its neighbours, and those who came later before them.
//
// Who rides along costs nobody anything, but it may pass a sample of another size that waits longer. That one then takes its turn by age, as if it had begun:
// no call is led by a later arrival while it waits, so no size waits longer than the samples that were there before it.
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
	if r := first.doubted(); r != nil {
		return []*row{r}
	}
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

// rank is lowest for what has begun, so that priority is judged at the door alone, and of that for what has to run alone.
func (s *sample) rank() int {
	switch {
	case s.doubted() != nil:
		return math.MinInt
	case s.begun || s.passed >= patience:
		return math.MinInt + 1
	default:
		return s.req.Priority
	}
}

// doubted is a ready row that has to run alone, or nil.
func (s *sample) doubted() *row {
	for i := range s.rows {
		if r := &s.rows[i]; r.alone && r.state == rowReady {
			return r
		}
	}
	return nil
}

// board turns rows into a call's rows, and tells those left at the door who overtook them.
func board(samples []*sample, rows []*row, now time.Time) []Row {
	out := make([]Row, len(rows))
	for i, r := range rows {
		if !r.sample.begun {
			for _, s := range samples {
				s.overtakenBy(r.sample)
			}
		}
		out[i] = r.sample.take(r, now)
	}
	return out
}

// overtakenBy counts other, which begins now. Only a higher priority may pass more than once.
func (s *sample) overtakenBy(other *sample) {
	switch {
	case s.begun || s.seq >= other.seq:
	case other.req.Priority < s.req.Priority:
		s.passed++
	default:
		s.passed = patience
	}
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
