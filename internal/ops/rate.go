package ops

import "time"

// RateOver is how far back a rate of results looks.
const RateOver = time.Minute

// Rate knows how many results were stored in the last minute, from the times at which they were, in order. The zero value
// knows none.
type Rate struct {
	first  time.Time
	recent []time.Time // not older than RateOver before the last
}

// Add counts a result by the time at which it was stored.
func (r *Rate) Add(t time.Time) {
	if r.first.IsZero() {
		r.first = t
	}
	r.recent = append(r.recent, t)
	if len(r.recent)%4096 == 0 {
		r.trim(t)
	}
}

// trim forgets what is older than RateOver before t.
func (r *Rate) trim(t time.Time) {
	i := 0
	for i < len(r.recent) && t.Sub(r.recent[i]) > RateOver {
		i++
	}
	r.recent = append(r.recent[:0], r.recent[i:]...)
}

// PerSecond is the rate over the minute before now, by the broker's clock if that is ahead.
func (r *Rate) PerSecond(now time.Time) float64 {
	if len(r.recent) == 0 {
		return 0
	}
	if last := r.recent[len(r.recent)-1]; last.After(now) {
		now = last
	}
	r.trim(now)
	over := min(max(now.Sub(r.first), time.Second), RateOver)
	return float64(len(r.recent)) / over.Seconds()
}
