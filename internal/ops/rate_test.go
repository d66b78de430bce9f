package ops

import (
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	begin := time.Date(2030, 1, 2, 15, 0, 0, 0, time.UTC)
	var r Rate
	if got := r.PerSecond(begin); got != 0 {
		t.Errorf("%v of nothing", got)
	}
	for i := range 100_000 { // a hundred a second for 1000 s
		r.Add(begin.Add(time.Duration(i) * 10 * time.Millisecond))
	}
	if len(r.recent) > 12_000 {
		t.Errorf("%d times are kept", len(r.recent))
	}
	end := begin.Add(1000 * time.Second)
	for after, want := range map[time.Duration]float64{0: 100, 30 * time.Second: 50, 2 * time.Minute: 0} {
		c := r
		c.recent = append([]time.Time{}, r.recent...)
		if got := c.PerSecond(end.Add(after)); got < want-0.1 || got > want+0.1 {
			t.Errorf("%v later: %v a second, want %v", after, got, want)
		}
	}
	young := Rate{}
	young.Add(begin)
	young.Add(begin.Add(4 * time.Second))
	if got := young.PerSecond(begin.Add(4 * time.Second)); got != 0.5 {
		t.Errorf("two results in the first 4 s: %v a second", got)
	}
	if got := young.PerSecond(begin); got != 0.5 { // our clock is behind
		t.Errorf("by a slow clock: %v a second", got)
	}
}
